"""`inventory up`: what it says, what it refuses, and what it does when a process dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos.up import COMMAND, Up, free_port, kill
from inventory_cli.up.layout import is_alive
from inventory_client import Inventory

pytestmark = pytest.mark.slow


def up(data: Path, port: int, *arguments: str, status: int = 1) -> str:
    """Run a start that must fail; return its one line."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "inventory_cli", "up", "--data", str(data), "--port", str(port),
         *arguments],
        capture_output=True,
        text=True,
        timeout=60,
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
    """Two supervisors never share one."""
    assert "is in use" in up(system.data, free_port())


def test_what_a_killed_supervisor_left_running_is_said_in_one_line(tmp_path: Path) -> None:
    """Which processes, and what to do; done so, a second start finds the same data."""
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
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with running, Inventory(running.address) as client:
        client.login("Gayathri", "password1")
        assert client.get_item(1).quantity == left


def test_a_directory_that_cannot_be_written_is_said_in_one_line() -> None:
    """Not even root makes files there."""
    assert "cannot be written" in up(Path("/proc/inventory"), free_port())


def test_a_directory_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    """Whatever stands in the way."""
    (tmp_path / "data").write_text("in the way")
    assert "cannot be written" in up(tmp_path / "data", free_port())


def wait_for(output: Path, text: str, seconds: float = 30) -> None:
    """Wait until a line is written."""
    deadline = time.monotonic() + seconds
    while text not in output.read_text():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


def test_who_died_is_shown_and_started_again(tmp_path: Path) -> None:
    """Visibly: it died, it starts again in 3 s, it did."""
    with Up(tmp_path / "data") as running:
        victim = running.leader()
        kill(victim.pid)
        wait_for(running.output, f"{victim.name} died (SIGKILL), starts again in 3 s")
        wait_for(running.output, f"{victim.name} started again, pid ")
        running.wait_until_whole(besides={victim.pid})
        gateway = int((running.data / "run" / "gateway.pid").read_text())
        kill(gateway)
        wait_for(running.output, "gateway started again, pid ")
        running.wait_until_whole()


def test_with_no_restart_the_dead_stay_dead(tmp_path: Path) -> None:
    """And the others go on without them."""
    with Up(tmp_path / "data", (*COMMAND, "--no-restart")) as running:
        victim = running.leader()
        kill(victim.pid)
        wait_for(running.output, f"{victim.name} died (SIGKILL)\n")
        deadline = time.monotonic() + 30
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
    """Its password was generated; the machine users have keys; there are no items."""
    with Up(tmp_path / "data", COMMAND[:-1]) as running:
        users = {user.name: user.role for user in running.watcher.users()}
        assert users == {"admin": "admin", "health": "machine", "metrics": "machine"}
        assert list(running.watcher.items()) == []
        assert len(running.admin_password()) > 30
