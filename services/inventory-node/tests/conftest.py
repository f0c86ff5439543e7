"""What holds after every event of every node, whatever a test is about."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from inventory_node.core.events import Event
from inventory_node.core.node import Node
from sim import bookkeeping
from sim.manual_cluster import Change, HandMember, ManualCluster

REST_TICKS = 90  # of the settings as they ship: a flush that found no space, and one that is due


@pytest.fixture(autouse=True)
def _books(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no counter of a node differ from what is counted, and none left at rest."""
    clusters: list[ManualCluster] = []
    over: set[HandMember | Node] = set()  # crashed or halted
    make, handle, crash, start = (
        ManualCluster.__init__, Node.handle, HandMember.crash, HandMember.start,
    )  # fmt: skip

    def made(
        cluster: ManualCluster, folder: Path, count: int = 3, change: Change | None = None
    ) -> None:
        clusters.append(cluster)
        make(cluster, folder, count, change)

    def handled(node: Node, event: Event) -> None:
        try:
            handle(node, event)
        except BaseException:
            over.add(node)
            raise
        assert not bookkeeping.contradictions(node)

    def crashed(member: HandMember) -> None:
        over.add(member)
        crash(member)

    def started(member: HandMember) -> None:
        start(member)
        over.discard(member)

    monkeypatch.setattr(ManualCluster, "__init__", made)
    monkeypatch.setattr(Node, "handle", handled)
    monkeypatch.setattr(HandMember, "crash", crashed)
    monkeypatch.setattr(HandMember, "start", started)
    yield
    for cluster in clusters:
        cluster.members = {
            number: member
            for number, member in getattr(cluster, "members", {}).items()
            if not {member, member.node} & over and not member.node.stopped
        }
        bring_to_rest(cluster)
        for member in cluster.members.values():
            assert not bookkeeping.remainders(member.node)


def bring_to_rest(cluster: ManualCluster) -> None:
    """Let go what a test holds, and let time pass."""
    for member in cluster.members.values():
        member.disk_held = member.store_held = member.cut_off = False
        member.disk.is_full = member.store.is_full = member.store.is_short = False
    cluster.settle()
    cluster.pass_time(REST_TICKS)
