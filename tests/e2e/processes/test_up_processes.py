"""`inventory up`: its lines, its refusals, and its reaction to the death of a process."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.ports import free_port
from chaos.up import ANY_PORTS, COMMAND, ROOT, Up, kill
from inventory_cli.up.layout import is_alive
from inventory_client import Inventory, InventoryError

pytestmark = pytest.mark.slow
SECONDS_MAX = 60  # no busy machine needs so long
FLIPPED_AT = 600  # in a log's first segment: behind its header, before its end


def up(data: Path, port: int, *arguments: str, status: int = 1) -> str:
    """Run a start that must fail; return the start's one line."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "inventory_cli", "up", "--data", str(data), "--port", str(port),
         *arguments],
        env=os.environ | ANY_PORTS,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )  # fmt: skip
    assert done.returncode == status
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    """Nothing is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in up(tmp_path / "data", port)


def test_a_directory_in_use_is_said_in_one_line(system: Up) -> None:
    """Two supervisors never share a data directory."""
    assert "is in use" in up(system.data, free_port())


@pytest.mark.long
def test_what_a_killed_supervisor_left_running_is_said_in_one_line(tmp_path: Path) -> None:
    """The line has the processes and the remedy; after the remedy a start finds the same data."""
    running = Up(tmp_path / "data")
    running.start()
    with Inventory(running.address) as client:
        client.login("Gayathri", "password1")
        left = client.order_item(1, 2).on_hand_after
    running.kill()
    said = up(running.data, free_port())
    assert "was killed and left processes running" in said
    pids = [int(pid) for pid in said.partition("`kill ")[2].partition("`")[0].split()]
    assert len(pids) == 7
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_MAX
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with running, Inventory(running.address) as client:
        client.login("Gayathri", "password1")
        assert client.item(1).quantity == left


def test_a_directory_that_cannot_be_written_is_said_in_one_line() -> None:
    """Not even root makes files there."""
    assert "cannot be written" in up(Path("/proc/inventory"), free_port())


def test_a_directory_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    """Whatever stands in the way."""
    (tmp_path / "data").write_text("in the way")
    assert "cannot be written" in up(tmp_path / "data", free_port())


def wait_for(output: Path, text: str) -> None:
    """Wait until a line is written."""
    deadline = time.monotonic() + SECONDS_MAX
    while text not in output.read_text():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


@pytest.mark.long
def test_who_died_is_shown_and_started_again(tmp_path: Path) -> None:
    """The lines say that the process died, starts again in 3 s, and has started."""
    with Up(tmp_path / "data") as running:
        victim = running.leader()
        killed_at = time.monotonic()
        kill(victim.pid)
        wait_for(running.output, f"{victim.name} died (SIGKILL), starts again in 3 s")
        wait_for(running.output, f"{victim.name} started again, pid ")
        assert time.monotonic() - killed_at >= 3, "sooner than it says"
        running.wait_until_whole(besides={victim.pid})
        gateway = int((running.data / "run" / "gateway.pid").read_text())
        kill(gateway)
        wait_for(running.output, "gateway started again, pid ")
        running.wait_until_whole()


def test_with_no_restart_the_dead_stay_dead(tmp_path: Path) -> None:
    """The other processes go on."""
    with Up(tmp_path / "data", (*COMMAND, "--no-restart")) as running:
        victim = running.leader()
        kill(victim.pid)
        wait_for(running.output, f"{victim.name} died (SIGKILL)\n")
        deadline = time.monotonic() + SECONDS_MAX
        while running.leader().name == victim.name:
            assert time.monotonic() < deadline
        assert len(running.members()) == 2
        assert "started again" not in running.output.read_text()


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    """Every child is gone, the exit status is 0, and the secrets are private."""
    running = Up(tmp_path / "data")
    running.start()
    pids = [int(path.read_text()) for path in (running.data / "run").glob("*.pid")]
    assert len(pids) == 7
    for secret in (running.data / "keys").iterdir():
        assert secret.stat().st_mode & 0o777 == 0o600, secret
    assert running.stop() == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIG_DFL)
    assert "stopped" in running.output.read_text()


def test_without_demo_there_is_an_admin_and_nobody_else(tmp_path: Path) -> None:
    """The admin's password was generated, machine users have keys, and there are no items."""
    with Up(tmp_path / "data", COMMAND[:-1]) as running:
        users = {user.name: user.role for user in running.watcher.users()}
        assert users == {"admin": "admin", "health": "machine", "metrics": "machine"}
        assert list(running.watcher.items()) == []
        assert len(running.admin_password()) > 30


@pytest.mark.long
def test_a_damaged_member_is_named_and_the_others_serve(tmp_path: Path) -> None:
    """A majority is ready; the line names the missing member and the member's log."""
    running = Up(tmp_path / "data")
    with running, Inventory(running.address) as client:
        client.login("Gayathri", "password1")
        left = client.order_item(1, 1).on_hand_after
    [segment] = (running.data / "node-1" / "wal").glob("*.wal")
    with segment.open("r+b") as file:
        file.seek(FLIPPED_AT)
        [byte] = file.read(1)
        file.seek(FLIPPED_AT)
        file.write(bytes([byte ^ 0xFF]))
    with running, Inventory(running.address) as client:
        log = running.data / "run" / "node-1.log"
        wait_for(running.output, "node-1 died (exit status 4), starts again in 3 s")
        wait_for(
            running.output, f"node-1 is missing, the others serve without it; its log is {log}"
        )
        wait_for(running.output, "node-1 started again, pid ")
        client.login("Gayathri", "password1")
        assert client.order_item(1, 1).on_hand_after == left - 1
        assert running.words().count("node-1 is missing") == 1
    assert "the log is damaged" in log.read_text().splitlines()[-1]


@pytest.mark.long
def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    """A pid or a log that cannot be written is said, and the processes run."""
    with Up(tmp_path / "data") as running:
        run = running.data / "run"
        victim = running.leader()
        (run / f"{victim.name}.partial").symlink_to("/dev/full")
        (run / f"{victim.name}.log").unlink()
        (run / f"{victim.name}.log").mkdir()
        kill(victim.pid)
        wait_for(running.output, f"{victim.name} started again, pid ")
        wait_for(running.output, f"{victim.name} runs without a log until it is started again: ")
        said = f"process ids cannot be kept in {run}: No space left on device"
        wait_for(running.output, said)
        running.wait_until_whole(besides={victim.pid})
        assert running.words().count(said) == 1
        assert not (run / f"{victim.name}.pid").exists(), "a process that is gone is not named"
        (run / f"{victim.name}.partial").unlink()
        wait_for(running.output, f"process ids are kept in {run} again")
        pid = int((run / f"{victim.name}.pid").read_text())
        assert pid in {member.pid for member in running.members()}


@pytest.fixture
def anywhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return a start's environment; whatever was left running is killed in the end."""
    data = tmp_path / "data"
    places = {"INVENTORY_UP_PORT": str(free_port()), "INVENTORY_UP_DATA": str(data)}
    yield os.environ | ANY_PORTS | places
    for path in (data / "run").glob("*.pid"):
        if is_alive(int(path.read_text())):
            kill(int(path.read_text()))


def serves(environment: dict[str, str]) -> bool:
    """Tell whether somebody can log in."""
    address = f"127.0.0.1:{environment['INVENTORY_UP_PORT']}"
    try:
        with Inventory(address, timeout=1) as client:
            client.login("Gayathri", "password1")
    except InventoryError:
        return False
    return True


def pids_of(environment: dict[str, str]) -> list[int]:
    """Wait until a system serves; return its processes."""
    deadline = time.monotonic() + SECONDS_MAX
    while not serves(environment):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return [int(path.read_text()) for path in Path(environment["INVENTORY_UP_DATA"]).rglob("*.pid")]


@pytest.mark.long
def test_lines_that_nobody_can_keep_end_nothing(anywhere: dict[str, str]) -> None:
    """The supervisor's own output goes to a file on the full disk."""
    with Path("/dev/full").open("w") as full:
        running = subprocess.Popen(  # noqa: S603 - our own command
            COMMAND, cwd=ROOT, env=anywhere, stdout=full, stderr=full, start_new_session=True
        )
    try:
        pids = pids_of(anywhere)
        assert len(pids) == 7
        assert running.poll() is None
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(SECONDS_MAX)
    assert not any(map(is_alive, pids))


# A terminal that is closed is noticed, also where these tests are run under nohup.
HOLDER = """
import os, pty, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


class Screen:
    """`inventory up` on a terminal of its own, which a program in between holds."""

    def __init__(self, environment: dict[str, str], output: Path) -> None:
        """Start `inventory up`; the terminal's bytes go to `output`."""
        self.output = output
        with output.open("w") as shown:
            self._holder = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-c", HOLDER, *COMMAND],
                cwd=ROOT,
                env=environment | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
                stdin=subprocess.PIPE,
                stdout=shown,
                start_new_session=True,
            )

    def text(self) -> str:
        """Return the text that was shown so far, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output.read_text())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown."""
        deadline = time.monotonic() + SECONDS_MAX
        while not (found := re.search(pattern, self.text())):
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)
        return found

    def type(self, keys: bytes) -> int:
        """Type the last keys; return the exit status."""
        self._holder.communicate(keys, timeout=SECONDS_MAX)
        return self._holder.returncode

    def break_off(self) -> None:
        """Close the terminal's window."""
        self._holder.kill()
        self._holder.communicate(timeout=SECONDS_MAX)


@pytest.fixture
def screen(anywhere: dict[str, str], tmp_path: Path) -> Iterator[Screen]:
    """Run `inventory up` on a terminal."""
    running = Screen(anywhere, tmp_path / "screen")
    yield running
    running.break_off()


@pytest.mark.long
def test_a_terminal_shows_a_table(screen: Screen, anywhere: dict[str, str]) -> None:
    """The table has role, term, indexes and pid, and shows a death; Ctrl-C ends the system."""
    screen.wait_for(r"member +role +term +commit +applied +pid\s")
    leader = screen.wait_for(r"(node-\d) +leader +\d+ +\d+ +\d+ +(\d+)\s")
    screen.wait_for(r"node-\d +follower +\d+ +\d+ +\d+ +\d+\s")
    for name in ("gateway", "assistant", "metrics", "health"):
        screen.wait_for(rf"{name} +running +\d+\s")
    screen.wait_for(r"ready: try `inventory --address ")
    pids = pids_of(anywhere)
    assert int(leader[2]) in pids
    kill(int(leader[2]))
    screen.wait_for(rf"{leader[1]} +dead\s")
    screen.wait_for(rf"{leader[1]} died \(SIGKILL\), starts again in 3 s")
    again = screen.wait_for(rf"{leader[1]} started again, pid (\d+)")
    screen.wait_for(rf"{leader[1]} +(follower|leader) +\d+ +\d+ +\d+ +{again[1]}\s")
    assert screen.type(b"\x03") == 0
    assert screen.text().rstrip().endswith("stopped")
    assert screen.output.read_text().rindex("\x1b[?25h") > 0, "the cursor is there again"
    assert not any(map(is_alive, [*pids, int(again[1])]))


@pytest.mark.long
def test_a_terminal_that_is_closed_leaves_nothing_running(
    screen: Screen, anywhere: dict[str, str]
) -> None:
    """Although nothing can be written there any more."""
    screen.wait_for("ready: try ")
    pids = pids_of(anywhere)
    assert len(pids) == 7
    screen.break_off()
    deadline = time.monotonic() + SECONDS_MAX
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
