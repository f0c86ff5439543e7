"""What a member tells of itself: counts, times, catalogue changes, health."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from inventory.v1 import cluster_pb2, inventory_pb2
from inventory_node.core import events
from inventory_node.machine import Applied, MutationOutcome, RefusedCommand
from inventory_node.ports import Step, SyncFolder
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.hooks import Timings
from inventory_node.runtime.metrics import NodeCollector, NodeCounts, Traffic, registry
from inventory_node.runtime.probes import LAG_ENTRIES_MAX, MemberProbes
from inventory_node.runtime.store import SqliteStore
from inventory_node.runtime.volume import volume_of
from inventory_node.runtime.watcher import ELECTIONS_MAX, MemberWatcher
from prometheus_client import CollectorRegistry
from raft.messages import Entry, EntryKind
from raft.ready import Leadership, RaftRole
from sim.watched_machine import SeatedMachine
from structlog.testing import capture_logs

VOTER = cluster_pb2.MEMBER_STANDING_VOTER
LEARNER = cluster_pb2.MEMBER_STANDING_LEARNER
REMOVED = cluster_pb2.MEMBER_STANDING_REMOVED
JOINING = cluster_pb2.MEMBER_STANDING_JOINING


def value(values: CollectorRegistry, name: str) -> float:
    """Return a metric's value."""
    found = values.get_sample_value(f"inventory_node_{name}")
    assert found is not None, name
    return found


class TestMetrics:
    """Read when they are asked for."""

    def test_the_view_and_the_queues_are_shown_as_they_are(self) -> None:
        """Each time anew."""
        member = cluster_pb2.Member(role=cluster_pb2.MEMBER_ROLE_LEADER, term=4, commit_index=9)
        values = registry(
            NodeCollector(
                lambda: member, NodeCounts(), lambda: 0.5, lambda: Traffic(loop_queue_events=3)
            )
        )
        assert (value(values, "leader"), value(values, "role")) == (1, 4)
        assert (value(values, "commit_index"), value(values, "loop_queue_events")) == (9, 3)
        assert value(values, "loop_lag_seconds") == 0.5
        member.role = cluster_pb2.MEMBER_ROLE_FOLLOWER
        assert (value(values, "leader"), value(values, "role")) == (0, 1)

    def test_times_are_summaries(self) -> None:
        """How often, and how long altogether."""
        counts = NodeCounts()
        syncs = counts.timings.of(Step.WAL_JOB)
        syncs.count, syncs.seconds = 4, 2.0
        values = registry(NodeCollector(cluster_pb2.Member, counts, lambda: 0))
        assert value(values, "wal_sync_seconds_count") == 4
        assert value(values, "wal_sync_seconds_sum") == 2.0
        assert value(values, "flush_seconds_count") == 0


class TestTimings:
    """The real adapters, with timings as their hooks."""

    def test_each_job_of_the_disk_is_counted(self, tmp_path: Path) -> None:
        """When it is done; its event goes on."""
        done: SimpleQueue[events.Event] = SimpleQueue()
        timings = Timings()
        disk = ThreadedDisk(tmp_path / "wal", done.put, timings)
        disk.submit([SyncFolder()], 1)
        disk.submit([SyncFolder()], 2)
        disk.close()
        assert [done.get(), done.get()] == [events.DiskDone(1), events.DiskDone(2)]
        assert timings.of(Step.WAL_JOB).count == 2
        assert timings.of(Step.WAL_JOB).seconds > 0

    def test_flushes_are_counted(self, tmp_path: Path) -> None:
        """From the moment the store is given one to its commit."""
        done: SimpleQueue[events.Event] = SimpleQueue()
        timings = Timings()
        store = SqliteStore(tmp_path, 0, done.put, timings)
        machine = SeatedMachine(store)
        machine.apply(Entry(1, 1, EntryKind.NOOP, b""))
        changes = machine.take_changes()
        assert changes is not None
        store.flush(changes, 1)
        assert done.get() == events.Flushed(1)
        store.close()
        assert timings.of(Step.FLUSH_JOB).count == 1


def kept(outcome: inventory_pb2.Outcome) -> MutationOutcome:
    """Return what applying a mutation came to."""
    return MutationOutcome(outcome.SerializeToString())


def told(
    outcomes: Sequence[Applied],
    kind: EntryKind = EntryKind.COMMAND,
    level: str = "info",
    *,
    orders: bool = False,
) -> list[str]:
    """Return what a watcher logs of one entry at a level."""
    with capture_logs() as logs:
        MemberWatcher(NodeCounts(), orders=orders).applied(Entry(1, 1, kind, b""), outcomes)
    return [line["event"] for line in logs if line["log_level"] == level]


class TestWatcher:
    """Logs what changed the catalogue."""

    def test_changes_of_the_catalogue_are_told(self) -> None:
        """In the words that each member uses."""
        added, updated = inventory_pb2.Outcome(), inventory_pb2.Outcome()
        added.add_item.item.name, added.add_item.item.id = "Book", 6
        updated.update_item.item.name, updated.update_item.item.id = "Book", 6
        deleted, counted = inventory_pb2.Outcome(), inventory_pb2.Outcome()
        deleted.delete_item.item.name, deleted.delete_item.item.id = "Book", 6
        counted.adjust_stock.item_id, counted.adjust_stock.on_hand_after = 6, 40
        assert told([kept(outcome) for outcome in (added, updated, deleted, counted)]) == [
            "added item 'Book', id 6",
            "updated item 'Book', id 6",
            "deleted item 'Book', id 6",
            "item 6 has 40 on hand",
        ]

    def test_orders_and_refusals_are_not(self) -> None:
        """There are too many of them."""
        order, refusal = inventory_pb2.Outcome(), inventory_pb2.Outcome()
        order.order_item.order_id = 5
        refusal.error.code = 9
        assert told([kept(order), kept(refusal), RefusedCommand(b"")]) == []
        assert told([], EntryKind.NOOP) == []

    def test_orders_are_told_at_debug_only(self) -> None:
        """And not even parsed otherwise."""
        order, place = inventory_pb2.Outcome(), inventory_pb2.Outcome()
        order.order_item.order_id, place.place_order.order.id = 5, 6
        both = [kept(order), kept(place)]
        assert told(both, orders=True, level="debug") == ["ordered", "ordered"]
        assert told(both, orders=True) == told(both, level="debug") == []

    def test_candidacies_are_counted_apart(self) -> None:
        """A change of the leader is not always this member's doing."""
        counts = NodeCounts()
        watcher = MemberWatcher(counts)
        for role in (RaftRole.CANDIDATE, RaftRole.LEADER, RaftRole.FOLLOWER):
            watcher.lead_changed(Leadership(role, 2, 1), "node-0")
        assert (counts.elections, counts.candidacies) == (3, 1)


def test_the_volume_is_looked_at(tmp_path: Path) -> None:
    """Its size, and what is free for anybody."""
    found = volume_of(tmp_path)
    assert found.size_bytes == shutil.disk_usage(tmp_path).total
    assert 0 < found.free_bytes <= found.size_bytes


def test_elections_are_remembered_with_their_leaders() -> None:
    """The newest ones, each once, when they brought a leader."""
    watcher = MemberWatcher(NodeCounts())
    watcher.lead_changed(Leadership(RaftRole.CANDIDATE, 1, 0), "")
    assert not watcher.elections
    for term in range(1, ELECTIONS_MAX + 3):
        for leader in ("node-1", "", "node-1"):
            watcher.lead_changed(Leadership(RaftRole.FOLLOWER, term, 1), leader)
    shown = watcher.elections
    assert [one.term for one in shown] == list(range(3, ELECTIONS_MAX + 3))
    assert shown[0].leader == "node-1"
    moments = [one.see_time.ToNanoseconds() for one in shown]
    assert moments == sorted(moments)
    assert moments[0] > 0


async def health(probes: MemberProbes) -> dict[str, bool]:
    """Ask the four names."""
    names = ("", "startup", "liveness", "readiness")
    answers = {
        name: await probes.servicer.Check(
            health_pb2.HealthCheckRequest(service=name),
            None,  # type: ignore[arg-type]  # a known name needs no context
        )
        for name in names
    }
    return {
        name or "whole": answer.status == health_pb2.HealthCheckResponse.SERVING
        for name, answer in answers.items()
    }


def member(**changes: Any) -> cluster_pb2.Member:  # noqa: ANN401 - any field of it
    """Return a member that is well, but for some changes."""
    well: dict[str, Any] = {"standing": VOTER, "leader": "a", "caught_up": True}
    return cluster_pb2.Member(**well | changes)


class TestProbes:
    """gRPC health, as Kubernetes asks for it."""

    def test_a_member_that_waits_for_its_peers_lives(self) -> None:
        """A restart would not help it."""

        async def scenario() -> None:
            probes = MemberProbes()
            await probes.mark_alive()
            assert await health(probes) == {
                "whole": False, "startup": False, "liveness": True, "readiness": False,
            }  # fmt: skip

        asyncio.run(scenario())

    @pytest.mark.parametrize(
        ("known", "ending", "ready"),
        [
            (member(commit_index=5, applied_index=5), False, True),
            (member(commit_index=LAG_ENTRIES_MAX), False, True),
            (member(commit_index=LAG_ENTRIES_MAX + 1), False, False),
            (member(caught_up=False), False, False),
            (member(standing=LEARNER), False, True),
            (member(standing=REMOVED), False, False),
            (member(standing=JOINING), False, False),
            (member(diverged="another state"), False, False),
            (member(), True, False),
        ],
        ids=[
            "caught up",
            "just",
            "behind again",
            "not caught up",
            "learner",
            "removed",
            "joining",
            "diverged",
            "ending",
        ],  # fmt: skip,
    )
    def test_readiness_is_to_take_part_and_be_caught_up(
        self,
        known: cluster_pb2.Member,
        ending: bool,  # noqa: FBT001 - a parameter of the test
        ready: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        """Liveness and startup have nothing to do with it."""

        async def scenario() -> None:
            probes = MemberProbes()
            await probes.mark_alive()
            await probes.show(known, ending=ending)
            assert await health(probes) == {
                "whole": ready, "startup": True, "liveness": True, "readiness": ready,
            }  # fmt: skip

        asyncio.run(scenario())

    def test_a_member_that_ends_is_not_ready(self) -> None:
        """Though it finishes the calls under way."""

        async def scenario() -> None:
            probes = MemberProbes()
            await probes.mark_alive()
            await probes.show(member(), ending=False)
            await probes.mark_draining()
            assert (await health(probes))["readiness"] is False
            assert (await health(probes))["liveness"] is True

        asyncio.run(scenario())
