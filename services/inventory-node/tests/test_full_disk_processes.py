"""A real volume fills under three processes and has space again; nobody is started anew."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.nodes import NAMES, POLL_SECONDS, SECONDS_MAX, STOCK, Nodes, order_of
from chaos.volumes import mounted
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from wire.errors import Reason, reason_of

pytestmark = [pytest.mark.slow, pytest.mark.long]

MEBIBYTE = 1 << 20
VOLUME_MEBIBYTES = 192
ROOM_BYTES = 32 * MEBIBYTE  # enough for the log and the database, and not for a snapshot
SMALL = {"INVENTORY_RAFT_SEGMENT_BYTES": str(MEBIBYTE), "INVENTORY_RAFT_TAIL_ENTRIES": "1"}


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Mount a small volume for the data of all members."""
    with mounted(tmp_path / "volume", VOLUME_MEBIBYTES) as folder:
        yield folder


@pytest.fixture
def nodes(tmp_path: Path, volume: Path) -> Iterator[Nodes]:
    """Run three members whose data, and nothing else, is on the volume."""
    with Nodes(tmp_path) as cluster:
        for name in NAMES:
            start(cluster, volume, name)
        yield cluster


def start(nodes: Nodes, volume: Path, name: str) -> None:
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


def until_refused(nodes: Nodes) -> Reason | None:
    """Order until that is refused for good; return why."""
    deadline = time.monotonic() + SECONDS_MAX
    number = 0
    while time.monotonic() < deadline:
        number += 1
        reply = nodes.ask_leader(order_of(f"full-{number}"))
        if reply is not None and reply.WhichOneof("result") == "error":
            return reason_of(reply.error)
        time.sleep(POLL_SECONDS)
    raise AssertionError("nothing is refused")


def on_hand(nodes: Nodes) -> int:
    """Read the first item's quantity from whoever leads, by a linearizable read."""
    question = forward_pb2.Question(id=1, user_id=1, epoch=1, session_id=1)
    question.query.get_item.item_id = 1
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        reply = nodes.ask_leader(forward_pb2.ForwardRequest(questions=[question]))
        if reply is not None and reply.answer:
            return inventory_pb2.GetItemResponse.FromString(reply.answer).item.quantity
        time.sleep(POLL_SECONDS)
    raise AssertionError("a read is not answered")


def test_writes_wait_for_space_and_reads_do_not(nodes: Nodes, volume: Path) -> None:
    """The database meets it first, at its next flush; what was acknowledged before is kept."""
    nodes.order("one")
    other = fill(volume)
    assert until_refused(nodes) is Reason.DISK_FULL
    before = on_hand(nodes)
    assert before <= STOCK - 1
    assert until_refused(nodes) is Reason.DISK_FULL
    assert '"event": "disk_full"' in nodes.said(nodes.leader())
    other.unlink()
    assert nodes.order("two").on_hand_after <= before - 1
    assert nodes.order("one").on_hand_after == STOCK - 1
    applied_index = nodes.leading().applied_index
    for name, process in nodes.processes.items():
        nodes.wait_applied(name, applied_index)
        assert process.poll() is None, nodes.said(name)


def test_a_member_that_is_behind_waits_for_space(nodes: Nodes, volume: Path) -> None:
    """Its snapshot would take what the log needs: it is not made, and all else goes on."""
    nodes.order("one")
    nodes.kill("node-2")
    deadline = time.monotonic() + SECONDS_MAX
    number = 0
    while nodes.leading().first_log_index < 10:
        assert time.monotonic() < deadline, "the log is not cut"
        number += 1
        nodes.order(f"missed-{number}")
    other = fill(volume, ROOM_BYTES)
    start(nodes, volume, "node-2")
    while not any('"snapshot_not_copied"' in nodes.said(name) for name in NAMES):
        assert time.monotonic() < deadline, "no snapshot is asked for"
        time.sleep(POLL_SECONDS)
    nodes.order("two")
    other.unlink()
    nodes.wait_applied("node-2", nodes.leading().applied_index)
    assert all(process.poll() is None for process in nodes.processes.values())
