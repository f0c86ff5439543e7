"""A real volume fills under three processes and has space again; nobody is started anew."""

import contextlib
import importlib.util
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from inventory.raft.v1 import forward_pb2, forward_pb2_grpc, log_pb2
from inventory.v1 import inventory_pb2
from wire.channels import authorization
from wire.errors import Reason, reason_of

pytestmark = pytest.mark.slow

MEBIBYTE = 1 << 20
VOLUME = "size=192m"
ROOM_BYTES = 32 * MEBIBYTE  # enough for the log and the database, and not for a snapshot
SECONDS_MAX = 60.0
POLL_SECONDS = 0.05
SMALL = {"INVENTORY_RAFT_SEGMENT_BYTES": str(MEBIBYTE), "INVENTORY_RAFT_TAIL_ENTRIES": "1"}


def _processes() -> Any:  # noqa: ANN401 - a module
    """Return the neighbour that runs members: tests are no package."""
    path = Path(__file__).with_name("test_node_processes.py")
    spec = importlib.util.spec_from_file_location("node_processes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROCESSES = _processes()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Mount a small volume for the data of all members."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a volume of a known size")
    folder = tmp_path / "volume"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", VOLUME, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield folder
    finally:
        # Lazily: whatever a test left open must not keep the mount for ever.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607


@pytest.fixture
def nodes(tmp_path: Path, volume: Path) -> Iterator[Any]:
    """Run three members whose data, and nothing else, is on the volume."""
    with PROCESSES.Nodes(tmp_path) as cluster:
        for name in PROCESSES.NAMES:
            start(cluster, volume, name)
        yield cluster


def start(nodes: Any, volume: Path, name: str) -> None:  # noqa: ANN401 - the neighbour's
    """Start a member."""
    nodes.start(name, INVENTORY_DATA_DIR=str(volume / name), **SMALL)


def fill(volume: Path, left_bytes: int = 0) -> Path:
    """Leave about so many bytes of a volume, or none; return the file that has the rest."""
    other = volume / "other"
    found = os.statvfs(volume)
    size = found.f_bavail * found.f_frsize - max(left_bytes, MEBIBYTE)
    with other.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        file.seek(size)
        with contextlib.suppress(OSError):
            while not left_bytes:
                file.write(bytes(4_096))
    return other


def ask(address: str, request: forward_pb2.ForwardRequest) -> forward_pb2.Reply | None:
    """Send one request on a stream of its own; return its reply, None when none came."""
    answered = threading.Event()

    def requests() -> Iterator[forward_pb2.ForwardRequest]:
        yield request
        answered.wait(SECONDS_MAX)  # a stream that is closed for writing is not answered

    with grpc.insecure_channel(address) as channel:
        stub = forward_pb2_grpc.ForwardServiceStub(channel)
        call = stub.Forward(requests(), metadata=authorization(PROCESSES.KEY), timeout=5)
        try:
            for response in call:
                for reply in response.replies:
                    return reply
        except grpc.RpcError:
            return None
        finally:
            answered.set()
            call.cancel()
    return None


def order(nodes: Any, request_id: str) -> forward_pb2.Reply | None:  # noqa: ANN401 - as above
    """Order one of the first item, once, of whoever leads."""
    command = log_pb2.Command(user_id=1, epoch=1)
    wanted = command.mutation.order_item
    wanted.request_id, wanted.item_id, wanted.quantity = request_id, 1, 1
    proposal = forward_pb2.Proposal(id=1, command=command.SerializeToString())
    request = forward_pb2.ForwardRequest(proposals=[proposal])
    return ask(nodes.addresses[nodes.leader()], request)


def until_refused(nodes: Any) -> Reason | None:  # noqa: ANN401 - as above
    """Order until that is refused for good; return why."""
    deadline = time.monotonic() + SECONDS_MAX
    number = 0
    while time.monotonic() < deadline:
        number += 1
        reply = order(nodes, f"full-{number}")
        if reply is not None and reply.WhichOneof("result") == "error":
            return reason_of(reply.error)
        time.sleep(POLL_SECONDS)
    raise AssertionError("nothing is refused")


def on_hand(nodes: Any) -> int:  # noqa: ANN401 - as above
    """Read the first item's quantity from whoever leads, by a linearizable read."""
    question = forward_pb2.Question(id=1, user_id=1, epoch=1)
    question.query.get_item.item_id = 1
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        reply = ask(
            nodes.addresses[nodes.leader()], forward_pb2.ForwardRequest(questions=[question])
        )
        if reply is not None and reply.answer:
            return inventory_pb2.GetItemResponse.FromString(reply.answer).item.quantity
        time.sleep(POLL_SECONDS)
    raise AssertionError("a read is not answered")


def test_writes_wait_for_space_and_reads_do_not(nodes: Any, volume: Path) -> None:  # noqa: ANN401
    """The database meets it first, at its next flush; what was acknowledged before is kept."""
    nodes.order("one")
    other = fill(volume)
    assert until_refused(nodes) is Reason.DISK_FULL
    before = on_hand(nodes)
    assert before <= PROCESSES.STOCK - 1
    assert until_refused(nodes) is Reason.DISK_FULL
    assert '"event": "disk_full"' in nodes.said(nodes.leader())
    other.unlink()
    assert nodes.order("two").on_hand_after <= before - 1
    assert nodes.order("one").on_hand_after == PROCESSES.STOCK - 1
    leading = nodes.view(nodes.leader())
    for name, process in nodes.processes.items():
        nodes.wait_applied(name, leading.applied_index)
        assert process.poll() is None, nodes.said(name)


def test_a_member_that_is_behind_waits_for_space(nodes: Any, volume: Path) -> None:  # noqa: ANN401
    """Its snapshot would take what the log needs: it is not made, and all else goes on."""
    nodes.order("one")
    nodes.kill("node-2")
    deadline = time.monotonic() + SECONDS_MAX
    number = 0
    while nodes.view(nodes.leader()).first_log_index < 10:
        assert time.monotonic() < deadline, "the log is not cut"
        number += 1
        nodes.order(f"missed-{number}")
    other = fill(volume, ROOM_BYTES)
    start(nodes, volume, "node-2")
    while not any('"snapshot_not_copied"' in nodes.said(name) for name in PROCESSES.NAMES):
        assert time.monotonic() < deadline, "no snapshot is asked for"
        time.sleep(POLL_SECONDS)
    nodes.order("two")
    other.unlink()
    leading = nodes.view(nodes.leader())
    nodes.wait_applied("node-2", leading.applied_index)
    assert all(process.poll() is None for process in nodes.processes.values())
