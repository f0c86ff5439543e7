"""The small parts of the write path, each alone: the applier, the space of the disks, a view."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from inventory.v1 import cluster_pb2
from inventory_node.core.events import DiskFull, StoreFull
from inventory_node.core.node import NodeSettings
from inventory_node.core.status import show
from inventory_node.core.write.applier import Applier
from inventory_node.core.write.disk_space import DiskSpace
from inventory_node.errors import Halted, StateInvariantViolation
from inventory_node.machine import AdminOutcome, Applied, MutationOutcome
from inventory_node.ports import Step
from raft.messages import Configuration, Entry, EntryKind, SnapshotMeta
from raft.ready import RaftRole
from sim.manual_cluster import HandObserver

if TYPE_CHECKING:
    from inventory_node.core.write.flusher import Flusher
    from inventory_node.core.write.log_writer import LogWriter
    from inventory_node.core.write.proposals import Proposals
    from inventory_node.machine import Machine
    from inventory_node.ports import Hooks, Observer
    from raft import RawNode

SETTINGS = NodeSettings(
    name="node-2", member_id=2, cluster_id="c", members={2: "node-2"}, apply_commands_per_turn_max=4
)
CHECKPOINT = b"checkpoint"
BROKEN = b"broken"


def entry(index: int, payload: bytes = b"", commands: int = 1) -> Entry:
    """Return an entry of so many commands."""
    return Entry(index, 1, EntryKind.COMMAND, payload or bytes(commands))


class Applying:
    """An applier whose neighbours keep, in one list, what they are told."""

    def __init__(self) -> None:
        """Begin with a state at index 5."""
        self.told: list[object] = []
        self.applied_index = 5
        self.blocks_apply = self.held = False
        self.snapshot_index = 0
        self.applier = Applier(
            SETTINGS,
            cast("Observer", SimpleNamespace(applied=self._observed)),
            cast("Hooks", SimpleNamespace(before=self._before, after=self._after)),
            cast("Machine", self),
            cast("Proposals", SimpleNamespace(answer_entry=self._answered)),
            cast("Flusher", self),
        )

    def reload(self) -> None:
        """Take the state of the snapshot."""
        self.applied_index = self.snapshot_index

    def apply(self, what: Entry) -> Sequence[Applied]:
        """Apply an entry as a machine does."""
        if what.payload == BROKEN:
            raise StateInvariantViolation("stock is negative")
        self.told.append(("applies", what.index))
        self.applied_index = what.index
        if what.kind is not EntryKind.COMMAND:
            return []
        if what.payload == CHECKPOINT:
            return [MutationOutcome(b""), AdminOutcome(b"", checkpoint=True)]
        return [AdminOutcome(b"", checkpoint=False)] * len(what.payload)

    def _before(self, step: Step) -> None:
        self.told.append(("before", step))

    def _after(self, step: Step) -> None:
        self.told.append(("after", step))

    def _answered(self, what: Entry, outcomes: Sequence[Applied]) -> None:
        self.told.append(("answers", what.index, len(outcomes)))

    def applied(self, what: Entry, commands: int) -> None:
        """Count as a flusher does."""
        self.told.append(("counts", what.index, commands))

    def _observed(self, what: Entry, outcomes: Sequence[Applied]) -> None:
        self.told.append(("observes", what.index, len(outcomes)))

    def checkpoint(self) -> None:
        """Begin a checkpoint."""
        self.told.append("checkpoint")
        self.blocks_apply = True

    def start(self) -> None:
        """Begin a flush."""
        self.told.append("flush")

    def turns(self) -> list[int]:
        """Apply turn by turn; return the index at the end of each."""
        found = []
        while self.applier.busy:
            last = self.applier.turn()
            assert last is not None
            found.append(last.index)
        assert self.applier.turn() is None
        return found


class TestTheApplier:
    """Entries are applied in their order, a bounded number a turn."""

    def test_each_entry_is_told_to_everybody_after_it_is_applied(self) -> None:
        """The gateways first."""
        applying = Applying()
        assert not applying.applier.busy
        applying.applier.queue([entry(6, commands=2)])
        assert applying.turns() == [6]
        assert applying.told == [
            ("before", Step.APPLY),
            ("applies", 6),
            ("after", Step.APPLY),
            ("answers", 6, 2),
            ("counts", 6, 2),
            ("observes", 6, 2),
        ]

    def test_a_turn_ends_when_it_has_applied_enough_commands(self) -> None:
        """An entry without commands counts as one; an entry is never split."""
        applying = Applying()
        noops = [Entry(index, 1, EntryKind.NOOP, b"") for index in range(6, 12)]
        applying.applier.queue(noops[:3])
        applying.applier.queue(noops[3:])
        assert applying.turns() == [9, 11]
        applying.applier.queue([entry(12, commands=3), entry(13, commands=9), entry(14)])
        assert applying.turns() == [13, 14]

    def test_nothing_is_applied_past_a_checkpoint_until_its_changes_are_taken(self) -> None:
        """A flush is begun for it at once."""
        applying = Applying()
        applying.applier.queue([entry(6, CHECKPOINT), entry(7)])
        assert applying.turns() == [6]
        assert applying.told[-2:] == ["checkpoint", "flush"]
        applying.blocks_apply = False
        assert applying.turns() == [7]
        assert applying.told[-1] == ("observes", 7, 1)

    def test_a_snapshot_takes_the_place_of_what_is_queued(self) -> None:
        """Nothing is applied, and nothing is flushed, until its state is there."""
        applying = Applying()
        assert applying.applier.held is False
        applying.applier.queue([entry(6)])
        applying.applier.hold()
        applying.applier.queue([entry(21)])
        assert applying.turns() == []
        assert applying.held
        applying.snapshot_index = 20
        applying.applier.reload(SnapshotMeta(20, 1, Configuration(frozenset())))
        assert applying.applier.held is False
        assert applying.turns() == [21]

    def test_a_state_that_is_not_the_snapshots_halts(self) -> None:
        """The file is damaged."""
        applying = Applying()
        applying.applier.hold()
        applying.snapshot_index = 19
        with pytest.raises(Halted, match="at index 20 holds the state at 19"):
            applying.applier.reload(SnapshotMeta(20, 1, Configuration(frozenset())))

    @pytest.mark.parametrize("index", [5, 7])
    def test_a_gap_halts(self, index: int) -> None:
        """And so does an entry that was applied."""
        applying = Applying()
        applying.applier.queue([entry(index)])
        with pytest.raises(Halted, match=f"entry {index} is committed but the state is at 5"):
            applying.applier.turn()

    def test_a_broken_invariant_halts(self) -> None:
        """Going on would fork the replicas."""
        applying = Applying()
        applying.applier.queue([entry(6, BROKEN)])
        with pytest.raises(Halted, match="applying entry 6 broke an invariant: stock is negative"):
            applying.applier.turn()


class HandJob:
    """A log or a database that may be full."""

    def __init__(self) -> None:
        """Begin with space."""
        self.is_full = False
        self.tickets: list[int] = []

    def full(self, ticket: int) -> None:
        """Keep the ticket of a job that found no space."""
        self.tickets.append(ticket)


def test_a_full_disk_is_told_once_and_again_when_there_is_space() -> None:
    """Whether the log's or the database's: each gets its own job back."""
    log, database, observer = HandJob(), HandJob(), HandObserver()
    space = DiskSpace(cast("LogWriter", log), cast("Flusher", database), observer)
    space.report()
    assert observer.fills == []
    space.ran_out(DiskFull(3))
    space.ran_out(StoreFull(4))
    assert (log.tickets, database.tickets) == ([3], [4])
    for job in (log, database):
        job.is_full = True
        assert space.is_full
        for _ in range(2):
            space.report()
        job.is_full = False
        assert not space.is_full
        for _ in range(2):
            space.report()
    assert observer.fills == [True, False, True, False]


@pytest.mark.parametrize(
    ("voters", "learners", "last_index", "standing"),
    [
        ({2}, set(), 9, cluster_pb2.MEMBER_STANDING_VOTER),
        ({1}, {2}, 9, cluster_pb2.MEMBER_STANDING_LEARNER),
        ({1}, set(), 1, cluster_pb2.MEMBER_STANDING_REMOVED),
        ({1}, set(), 0, cluster_pb2.MEMBER_STANDING_JOINING),
    ],
)
@pytest.mark.parametrize("role", list(RaftRole))
def test_a_view_says_how_a_member_takes_part(
    voters: set[int],
    learners: set[int],
    last_index: int,
    standing: cluster_pb2.MemberStanding.ValueType,
    role: RaftRole,
) -> None:
    """No entry reaches a member before it is added, so one that has entries was removed."""
    raft = SimpleNamespace(
        id=2,
        role=role,
        term=4,
        commit_index=8,
        first_index=3,
        last_index=last_index,
        configuration=Configuration(frozenset(voters), frozenset(learners)),
    )
    member = show(
        SETTINGS,
        cast("RawNode", raft),
        cast("Machine", SimpleNamespace(applied_index=7)),
        cast("Flusher", SimpleNamespace(durable_index=6)),
    )
    assert member == cluster_pb2.Member(
        name="node-2",
        id=2,
        reachable=True,
        role=cluster_pb2.MemberRole.Value(f"MEMBER_ROLE_{role.name}"),
        term=4,
        commit_index=8,
        applied_index=7,
        durable_index=6,
        first_log_index=3,
        last_log_index=last_index,
        standing=standing,
    )
