"""The health service as a process: its start, its refusals, and its view of real members."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pkitest
import pytest
from chaos.ports import free_port
from chaos.up import ANY_PORTS, COMMAND, ROOT, Up, kill
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inventory_cli.up.layout import tls_settings
from inventory_client import Inventory
from pki.identities import parse_identity

pytestmark = pytest.mark.slow
SECONDS_MAX = 60  # no busy machine needs so long
ELECTIONS_SECONDS = 2.0  # some elections would fit
SERVING = health_pb2.HealthCheckResponse.SERVING


def address_of(system: Up, name: str) -> str:
    """Return where `inventory up` has something."""
    ports = json.loads((system.data / "run" / "ports.json").read_text())
    return f"127.0.0.1:{ports[name]}"


def fetch(system: Up, path: str) -> tuple[int, str]:
    """Return status and body."""
    try:
        with urllib.request.urlopen(f"http://{address_of(system, 'health/page')}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError as error:  # it starts
        return 0, str(error)


def served(system: Up, *names: str) -> dict[str, bool]:
    """Ask gRPC health under some names."""
    with grpc.insecure_channel(address_of(system, "health")) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return {
            name: stub.Check(
                health_pb2.HealthCheckRequest(service=name),
                wait_for_ready=True,
                timeout=SECONDS_MAX,
            ).status
            == SERVING
            for name in names
        }


def until(what: str, check: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS_MAX
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_all_is_well_where_all_is_well(system: Up) -> None:
    """Health serves under every name, by HTTP, and has the documented metrics."""
    until("writes commit", lambda: fetch(system, "/healthz")[0] == 200)
    nodes = [f"node/node-{number}" for number in range(3)]
    names = ("", "cluster", "writes", "reads", "startup", "liveness", "readiness", *nodes)
    until("all serves", lambda: all(served(system, *names).values()))
    known = json.loads(fetch(system, "/status")[1])
    assert known["leader"] == system.leader().name
    assert [one["leads"] for one in known["members"]].count(True) == 1
    assert known["elections"]
    assert all(one["free_bytes"] > 0 for one in known["members"])
    with urllib.request.urlopen(f"http://{address_of(system, 'health/metrics')}/metrics") as page:
        text = page.read().decode()
    found = {re.split(r"[ {]", line)[0] for line in text.splitlines() if line[:1] != "#"}
    document = (ROOT / "docs" / "metrics.md").read_text()
    section = document.partition("## Health\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(inventory_\w+)`", section)) | {
        "inventory_internal_errors_total"
    }
    assert {name for name in found if not name.endswith("_created")} == documented


def test_it_tells_a_lost_member_from_a_lost_majority(tmp_path: Path) -> None:
    """One of three: writes go on. Two: nothing commits, and health says what to do."""
    with Up(tmp_path / "data", (*COMMAND, "--no-restart")) as running:
        until("writes commit", lambda: fetch(running, "/healthz")[0] == 200)
        first = running.leader()
        kill(first.pid)

        def says(kind: str) -> bool:
            document = json.loads(fetch(running, "/status")[1])
            return any(one["kind"] == kind for one in document["findings"])

        until("a member is missing", lambda: says("member_missing") and not says("no_leader"))
        until("writes commit", lambda: fetch(running, "/healthz")[0] == 200)
        names = ("cluster", "writes", "reads", f"node/{first.name}")
        until(
            "the rest serves",
            lambda: list(served(running, *names).values()) == [True, True, True, False],
        )
        kill(running.leader().pid)
        until("writes fail", lambda: fetch(running, "/healthz")[0] == 503)
        until("nobody leads", lambda: says("no_leader"))
        assert "Start the members that do not answer." in fetch(running, "/")[1]
        until("nothing serves", lambda: not any(served(running, *names).values()))
        assert served(running, "") == {"": True}


@pytest.mark.long
def test_empty_volumes_elect_nobody_and_it_says_so(tmp_path: Path) -> None:
    """Two of three members lost their volumes while all were down; the third has the data."""
    with Up(tmp_path / "data") as running, Inventory(running.address) as client:
        client.login("Gayathri", "password1")
        client.order_item(1, 1)
    for name in ("node-1", "node-2"):
        shutil.rmtree(running.data / name)
    words = tmp_path / "again"
    with words.open("w") as output:
        again = subprocess.Popen(  # noqa: S603 - our own command
            COMMAND,
            env=os.environ
            | ANY_PORTS
            | {"INVENTORY_UP_DATA": str(running.data), "INVENTORY_UP_PORT": str(running.port)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:

        def lost() -> bool:
            status, text = fetch(running, "/status")
            return status == 200 and "volumes_lost" in text

        until("it is found", lost)
        time.sleep(ELECTIONS_SECONDS)
        known = json.loads(fetch(running, "/status")[1])
        assert [one["kind"] for one in known["findings"]][:2] == ["volumes_lost", "no_leader"]
        assert known["findings"][0]["runbook"] == "runbooks/volumes-lost"
        standings = [one["standing"] for one in known["members"]]
        assert standings == ["voter", "joining", "joining"]
        assert fetch(running, "/healthz")[0] == 503
    finally:
        os.killpg(again.pid, signal.SIGINT)
        again.wait(SECONDS_MAX)


def started(settings: dict[str, str]) -> tuple[int, str]:
    """Run health until it ends by itself; return its exit status and its errors."""
    done = subprocess.run(
        [sys.executable, "-m", "cluster_health"],
        env={key: value for key, value in os.environ.items() if "INVENTORY" not in key} | settings,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def settings() -> dict[str, str]:
    """Return valid settings."""
    return {
        "INVENTORY_HEALTH_LISTEN": f"127.0.0.1:{free_port()}",
        "INVENTORY_HEALTH_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        "INVENTORY_HEALTH_MEMBERS": "node-0=127.0.0.1:1",
        "INVENTORY_HEALTH_GATEWAY": "127.0.0.1:1",
        **tls_settings(pkitest.folder().keep(parse_identity("health"))),
    }


@pytest.mark.parametrize(
    ("name", "value", "status", "said"),
    [
        ("INVENTORY_HEALTH_MEMBERS", "node-0", 2, "is not host:port"),
        ("INVENTORY_HEALTH_REPLICAS", "-1", 2, "greater than or equal to 0"),
        ("INVENTORY_TLS_KEY_FILE", "/nowhere/health.key", 2, "cannot be read"),
        ("INVENTORY_HEALTH_LISTEN", "192.0.2.1:7", 6, "cannot listen"),
        ("INVENTORY_HEALTH_HTTP_LISTEN", "192.0.2.1:7", 6, "cannot listen on 192.0.2.1:7"),
    ],
)
def test_it_refuses_nonsense_in_one_line(
    settings: dict[str, str], name: str, value: str, status: int, said: str
) -> None:
    """Health refuses before it calls any member."""
    ended, errors = started(settings | {name: value})
    assert ended == status, errors
    last = errors.splitlines()[-1]
    assert last.startswith("health: ")
    assert said in last


def test_without_anybody_to_watch_it_serves_and_says_so(settings: dict[str, str]) -> None:
    """Nothing else serves. SIGTERM ends health with status 0, and its key is in no log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cluster_health"],
        env={key: value for key, value in os.environ.items() if "INVENTORY" not in key} | settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    listen = settings["INVENTORY_HEALTH_HTTP_LISTEN"]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://{listen}/readyz"):
                return True
        except urllib.error.URLError:
            return False

    try:
        until("it has looked", ready)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{listen}/healthz")
        with caught.value as answer:
            assert answer.code == 503
            assert "No majority follows a leader" in answer.read().decode()
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0, errors
    assert "a secret of this test alone" not in errors
