"""Commands on their way into the log and their outcomes back, without a cluster around them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from inventory_node.core.node import NodeSettings
from inventory_node.core.replies import Replies
from inventory_node.core.write.proposals import Proposals
from inventory_node.core.write.timestamps import TimestampOracle
from inventory_node.errors import Halted
from inventory_node.machine import RULES_VERSION, AdminOutcome, MutationOutcome
from raft import Accepted, NotLeader, Overloaded
from raft.messages import Entry, EntryKind
from raft.ready import RaftRole
from sim.manual_cluster import HandClock, HandTransport, order
from wire.errors import Reason, reason_of

if TYPE_CHECKING:
    from inventory_node.machine import Machine
    from raft import RawNode

SESSION, OTHER = 7, 8
SIZE = len(order("r00").SerializeToString())  # of each command here


@dataclass(slots=True)
class HandRaft:
    """A log that takes what it is told to take."""

    term: int = 1
    role: RaftRole = RaftRole.LEADER
    is_overloaded: bool = False
    entries: list[Entry] = field(default_factory=list)

    def propose(self, payloads: Sequence[bytes]) -> Accepted | NotLeader | Overloaded:
        """Append, or say why not."""
        assert payloads, "nothing is proposed in vain"
        if self.role is not RaftRole.LEADER:
            return NotLeader(0)
        if self.is_overloaded:
            return Overloaded(1)
        first = len(self.entries) + 1
        self.entries += [
            Entry(first + place, self.term, EntryKind.COMMAND, payload)
            for place, payload in enumerate(payloads)
        ]
        return Accepted(first, self.term)


@dataclass(slots=True)
class HandMachine:
    """What `initialize` asks of a machine."""

    initialized: bool = False


def commands_of(entry: Entry) -> list[bytes]:
    """Return the commands of an entry, which name the rules of this build."""
    batch = raw_pb2.RawBatch.FromString(entry.payload)
    assert batch.rules_version == RULES_VERSION
    return list(batch.commands)


class World:
    """Proposals with their neighbours in hand."""

    def __init__(self, **bounds: int) -> None:
        """Begin with a leader whose clock is trusted."""
        settings = NodeSettings(name="node-1", member_id=1, cluster_id="c", members={1: "node-1"})
        self.settings = replace(settings, initialize=b"first", **bounds)  # type: ignore[arg-type]  # integers all
        self.transport, self.clock, self.log = HandTransport(), HandClock(), HandRaft()
        self.replies = Replies(self.transport, 1)
        self.replies.open(SESSION)
        self.timestamps = TimestampOracle(self.settings, self.clock, self.clock.ms, ())
        self.proposals = Proposals(self.settings, self.replies, self.timestamps)
        self.offered = 0
        self.applied = 0

    @property
    def raft(self) -> "RawNode":
        """The log, as what the proposals take it for."""
        return cast("RawNode", self.log)

    def offer(self, *commands: bytes) -> list[int]:
        """Offer the commands of one frame; return their ids."""
        return self.offer_as(SESSION, *commands)

    def offer_as(self, session: int, *commands: bytes) -> list[int]:
        """Offer the commands of one frame of a gateway; return their ids."""
        first, self.offered = self.offered + 1, self.offered + len(commands)
        ids = list(range(first, self.offered + 1))
        self.proposals.offer(
            session,
            [
                forward_pb2.Proposal(id=number, command=command)
                for number, command in zip(ids, commands, strict=True)
            ],
        )
        return ids

    def orders(self, count: int) -> list[int]:
        """Offer orders, each named by its id."""
        first = self.offered + 1
        return self.offer(
            *(order(f"r{number:02}").SerializeToString() for number in range(first, first + count))
        )

    def apply(self) -> None:
        """Apply the next entry: the outcome of a command is the command."""
        entry = self.log.entries[self.applied]
        self.applied += 1
        self.proposals.answer_entry(
            entry, [MutationOutcome(command) for command in commands_of(entry)]
        )

    def answers(self) -> dict[int, forward_pb2.Reply]:
        """Return the answers so far, each once."""
        self.replies.send()
        found: dict[int, forward_pb2.Reply] = {}
        for _, frame in self.transport.frames:
            for reply in frame.replies:
                assert reply.id not in found
                found[reply.id] = reply
        return found

    def retries(self) -> dict[int, forward_pb2.Retry.ValueType]:
        """Return which requests were answered with which retry."""
        answers = self.answers().items()
        return {number: reply.retry for number, reply in answers if reply.HasField("retry")}

    def sizes(self) -> list[int]:
        """Count the commands of each entry."""
        return [len(commands_of(entry)) for entry in self.log.entries]


class TestBounds:
    """Each queue has an end, which the last one that fits reaches exactly."""

    def test_the_queue_is_bounded_in_commands(self) -> None:
        """And takes again as many as have left it."""
        world = World(commands_waiting_max=3, batch_commands_max=2, batches_in_flight_max=1)
        world.orders(4)
        assert world.retries() == {4: forward_pb2.RETRY_OVERLOADED}
        world.proposals.propose(world.raft)
        world.orders(3)
        assert list(world.retries()) == [4, 7]

    def test_the_queue_is_bounded_in_bytes(self) -> None:
        """A small command may still fit behind one that was too large."""
        world = World(bytes_waiting_max=3 * SIZE, batch_commands_max=2, batches_in_flight_max=1)
        world.orders(2)
        world.offer(bytes(SIZE + 1), order("r04").SerializeToString(), b"x")
        assert world.retries() == dict.fromkeys((3, 5), forward_pb2.RETRY_OVERLOADED)
        world.proposals.propose(world.raft)
        world.orders(3)
        assert list(world.retries()) == [3, 5, 8]

    def test_an_entry_is_bounded_in_commands_and_in_bytes(self) -> None:
        """A command that alone reaches the bound is an entry."""
        world = World(batch_commands_max=3, batch_bytes_max=4 * SIZE)
        world.orders(7)
        world.proposals.propose(world.raft)
        assert world.sizes() == [3, 3, 1]
        world = World(batch_commands_max=3, batch_bytes_max=2 * SIZE)
        world.orders(5)
        world.proposals.propose(world.raft)
        assert world.sizes() == [2, 2, 1]
        world = World(batch_bytes_max=SIZE)
        world.orders(2)
        world.proposals.propose(world.raft)
        assert world.sizes() == [1, 1]

    def test_entries_in_flight_are_bounded(self) -> None:
        """Each that is applied makes room for one."""
        world = World(batch_commands_max=1, batches_in_flight_max=2)
        world.orders(4)
        for sizes in ([1] * 2, [1] * 3, [1] * 4, [1] * 4):
            world.proposals.propose(world.raft)
            assert world.sizes() == sizes
            world.apply()

    def test_a_command_over_the_bound_of_an_entry_is_refused(self) -> None:
        """It would never fit, so that trying again does not help; nor does it for nonsense."""
        world = World(batch_bytes_max=SIZE)
        unknown = b"\xa2\x06\x00"  # an empty field 100
        probe = log_pb2.Command(probe=log_pb2.Probe()).SerializeToString()
        nothing = log_pb2.Command(administration=log_pb2.Administration())
        free = order("r", quantity=0).SerializeToString()
        world.offer(bytes(SIZE + 1), b"\xff", unknown, probe, nothing.SerializeToString(), free)
        answers = world.answers()
        assert all(reason_of(reply.error) is Reason.INVALID_FIELD for reply in answers.values())
        told = {number: reply.error.message for number, reply in answers.items()}
        assert sorted(told) == [1, 2, 3, 5, 6]
        assert told[1] == f"The field command is over {SIZE} bytes long."
        assert told[2] == "The field command cannot be parsed."
        assert told[3] == "The field command holds nothing that is known here."


class TestOneAnswer:
    """Every command is answered once, whatever becomes of the lead."""

    def test_an_entry_of_another_term_does_not_answer(self) -> None:
        """What stands at the index is somebody else's."""
        world = World()
        world.orders(2)
        world.proposals.propose(world.raft)
        other = replace(world.log.entries[0], term=2)
        world.proposals.answer_entry(other, [MutationOutcome(b"else's")] * 2)
        assert world.retries() == dict.fromkeys((1, 2), forward_pb2.RETRY_UNKNOWN)
        world.proposals.answer_entry(world.log.entries[0], [MutationOutcome(b"late")] * 2)
        assert len(world.answers()) == 2

    def test_a_machine_that_miscounts_ends_the_process(self) -> None:
        """Outcomes would go to the wrong callers."""
        for count in (1, 3):
            world = World()
            world.orders(2)
            world.proposals.propose(world.raft)
            with pytest.raises(Halted, match=f"2 commands and came to {count} outcomes"):
                world.proposals.answer_entry(world.log.entries[0], [MutationOutcome(b"")] * count)

    def test_a_lead_that_is_lost_while_proposing_sends_all_away(self) -> None:
        """Nothing is in any log, but for the cluster's own command, for which nobody waits."""
        world = World(batch_commands_max=1)
        world.orders(2)
        world.proposals.offer_own(b"own")
        world.log.role = RaftRole.FOLLOWER
        world.proposals.propose(world.raft)
        assert world.retries() == dict.fromkeys((1, 2), forward_pb2.RETRY_NOT_LEADER)
        world.log.role = RaftRole.LEADER
        world.proposals.propose(world.raft)
        assert world.log.entries == []

    def test_a_later_lead_sends_away_the_entries_of_earlier_ones_alone(self) -> None:
        """What waits goes into the new term; an entry of the own term goes on waiting."""
        world = World(batches_in_flight_max=1)
        world.orders(1)
        world.proposals.propose(world.raft)
        world.orders(1)
        world.proposals.leadership_changed(1)
        assert world.answers() == {}
        world.proposals.leadership_changed(2)
        assert world.retries() == {1: forward_pb2.RETRY_UNKNOWN}
        world.log.term = 2
        world.proposals.propose(world.raft)
        world.applied = 1
        world.apply()
        assert world.answers()[2].outcome == order("r02").SerializeToString()

    def test_no_space_turns_gateways_away_and_keeps_the_own_commands(self) -> None:
        """In whatever order they came; the space that they took is free again."""
        world = World(commands_waiting_max=3, bytes_waiting_max=2 * SIZE + len(b"own"))
        world.orders(1)
        world.proposals.offer_own(b"own")
        world.orders(1)
        world.proposals.turn_away()
        errors = [world.answers()[number].error for number in (1, 2)]
        assert [reason_of(error) for error in errors] == [Reason.DISK_FULL] * 2
        assert all("node-1" in error.message for error in errors)
        world.orders(3)
        assert list(world.retries()) == [5], "the own command has its place"
        world.proposals.propose(world.raft)
        [entry] = world.log.entries
        orders = [order(name).SerializeToString() for name in ("r03", "r04")]
        assert commands_of(entry) == [b"own", *orders]

    def test_an_own_command_answers_nobody(self) -> None:
        """Its place among the outcomes is skipped."""
        world = World()
        world.proposals.offer_own(b"own")
        world.orders(1)
        world.proposals.propose(world.raft)
        own, order_ = AdminOutcome(b"own", checkpoint=False), MutationOutcome(b"ordered")
        world.proposals.answer_entry(world.log.entries[0], [own, order_])
        assert {number: one.outcome for number, one in world.answers().items()} == {1: b"ordered"}

    def test_a_lead_that_is_lost_sends_away_what_waits(self) -> None:
        """Both the proposed and those that never were; none of it counts against the bounds."""
        world = World(batches_in_flight_max=1, batch_commands_max=1, bytes_waiting_max=2 * SIZE)
        world.orders(1)
        world.proposals.propose(world.raft)
        world.orders(2)
        world.proposals.offer_own(b"own")
        world.proposals.leadership_changed(0)
        never = dict.fromkeys((2, 3), forward_pb2.RETRY_NOT_LEADER)
        assert world.retries() == {1: forward_pb2.RETRY_UNKNOWN, **never}
        world.orders(2)
        assert sorted(world.retries()) == [1, 2, 3]
        world.proposals.propose(world.raft)
        assert commands_of(world.log.entries[1]) == [order("r04").SerializeToString()]

    def test_commands_may_be_declined_unread(self) -> None:
        """With the retry that the caller chooses."""
        world = World()
        frame = [forward_pb2.Proposal(id=number) for number in (3, 4)]
        world.proposals.decline(SESSION, frame, forward_pb2.RETRY_NOT_LEADER)
        assert world.retries() == dict.fromkeys((3, 4), forward_pb2.RETRY_NOT_LEADER)


class TestTheFirstState:
    """A leader proposes it once a term, when it has applied an entry of its own."""

    def initialize(self, world: World, term: int, *, is_there: bool = False) -> int:
        """Offer the first state after an entry of `term`; return how many were proposed so far."""
        world.proposals.initialize(world.raft, cast("Machine", HandMachine(is_there)), term)
        world.proposals.propose(world.raft)
        first = raw_pb2.RawCommand(administration=b"first").SerializeToString()
        return sum(commands_of(entry) == [first] for entry in world.log.entries)

    def test_it_is_proposed_once_a_term(self) -> None:
        """And again in the next one: the proposal of the one before may be lost."""
        world = World()
        assert [self.initialize(world, 1), self.initialize(world, 1)] == [1, 1]
        world.log.term = 2
        assert [self.initialize(world, 1), self.initialize(world, 2)] == [1, 2]

    def test_it_is_not_proposed_in_vain(self) -> None:
        """By a follower, over a state, or without one to propose."""
        world = World()
        assert self.initialize(world, 1, is_there=True) == 0
        world.log.role = RaftRole.FOLLOWER
        assert self.initialize(world, 1) == 0
        world.log.role = RaftRole.LEADER
        assert self.initialize(world, 1) == 1
        bare = World()
        bare.proposals = Proposals(
            replace(bare.settings, initialize=b""), bare.replies, bare.timestamps
        )
        self.initialize(bare, 1)
        assert bare.log.entries == []


def test_without_a_stamp_commands_wait() -> None:
    """A snapshot brings the log's time; until then nothing is proposed, and nothing is lost."""
    world = World()
    world.orders(1)
    world.timestamps.hold()
    world.proposals.propose(world.raft)
    assert world.log.entries == []
    world.timestamps.replaced(0)
    world.clock.ms += 5
    world.proposals.propose(world.raft)
    [entry] = world.log.entries
    assert raw_pb2.RawBatch.FromString(entry.payload).stamp_ms == world.clock.ms
    world.proposals.propose(world.raft)
    assert len(world.log.entries) == 1, "nothing waits, so no entry is made"


STEPS = ["offer", "offer", "propose", "apply", "full", "room"]


@pytest.mark.parametrize("seed", range(24))
def test_commands_keep_their_order(seed: int) -> None:
    """However often the log has no room: each that was taken enters it once, and is answered."""
    draw = random.Random(seed)
    in_flight, batch = 1 + seed % 3, 1 + seed % 4
    world = World(
        batches_in_flight_max=in_flight, batch_commands_max=batch, bytes_waiting_max=5 * SIZE
    )
    taken: list[int] = []
    for _ in range(40):
        step = draw.choice(STEPS)
        match step:
            case "offer":
                room = 5 - (len(taken) - sum(world.sizes()))
                taken += world.orders(3)[:room]
            case "propose":
                world.proposals.propose(world.raft)
            case "apply" if world.applied < len(world.log.entries):
                world.apply()
            case "full" | "room":
                world.log.is_overloaded = step == "full"
            case _:
                pass  # nothing is left to apply
        assert len(world.log.entries) - world.applied <= in_flight
    world.log.is_overloaded = False
    for _ in range(world.offered):
        world.proposals.propose(world.raft)
        if world.applied < len(world.log.entries):
            world.apply()
    expected = {number: order(f"r{number:02}").SerializeToString() for number in taken}
    logged = [one for entry in world.log.entries for one in commands_of(entry)]
    assert logged == list(expected.values())
    refused = {number for number in range(1, world.offered + 1) if number not in expected}
    assert set(world.retries()) == refused
    outcomes = {number: one.outcome for number, one in world.answers().items()}
    assert {number: outcomes[number] for number in taken} == expected


class TestGatewaysTakeTurns:
    """A gateway that floods, or is in a stranger's hands, waits behind itself."""

    def flooded(self, count: int, **bounds: int) -> World:
        """Return a leader with one entry in flight, where SESSION has `count` commands waiting."""
        world = World(batches_in_flight_max=1, **bounds)
        world.replies.open(OTHER)
        world.orders(1)
        world.proposals.propose(world.raft)
        world.orders(count)
        return world

    def test_one_command_of_each_in_turn(self) -> None:
        """Whoever came first begins; each gateway's commands keep their order."""
        world = self.flooded(5, batch_commands_max=4)
        mine = [order(f"o{number:02}").SerializeToString() for number in (1, 2)]
        world.offer_as(OTHER, *mine)
        world.apply()
        world.proposals.propose(world.raft)
        theirs = [order(f"r{number:02}").SerializeToString() for number in (2, 3)]
        assert commands_of(world.log.entries[1]) == [theirs[0], mine[0], theirs[1], mine[1]]

    def test_turns_go_on_where_they_were_when_the_log_is_overloaded(self) -> None:
        """What was put back comes first, in the same order."""
        world = self.flooded(3, batch_commands_max=3)
        mine = order("o01").SerializeToString()
        world.offer_as(OTHER, mine)
        world.apply()
        world.log.is_overloaded = True
        world.proposals.propose(world.raft)
        world.log.is_overloaded = False
        world.proposals.propose(world.raft)
        theirs = [order(f"r{number:02}").SerializeToString() for number in (2, 3)]
        assert commands_of(world.log.entries[1]) == [theirs[0], mine, theirs[1]]

    @pytest.mark.parametrize(
        "bounds", [{"commands_waiting_max": 6}, {"bytes_waiting_max": 6 * SIZE}], ids=str
    )
    def test_a_full_queue_has_room_for_whoever_has_less(self, bounds: dict[str, int]) -> None:
        """The flood's newest commands are put off, until both have the same."""
        world = self.flooded(6, **bounds)
        mine = [order(f"o{number:02}").SerializeToString() for number in range(1, 7)]
        ids = world.offer_as(OTHER, *mine)
        world.replies.send()
        put_off = {
            (session, reply.id)
            for session, response in world.transport.frames
            for reply in response.replies
            if reply.retry == forward_pb2.RETRY_OVERLOADED
        }
        assert put_off == {(SESSION, 7), (SESSION, 6), (SESSION, 5)} | {
            (OTHER, number) for number in ids[3:]
        }
        world.apply()
        world.proposals.propose(world.raft)
        assert commands_of(world.log.entries[1])[1::2] == mine[:3]

    def test_the_own_commands_never_make_room(self) -> None:
        """No gateway would offer them again."""
        world = World(commands_waiting_max=2, batches_in_flight_max=1)
        world.orders(1)
        world.proposals.propose(world.raft)
        for command in (b"one", b"two", b"three"):
            world.proposals.offer_own(command)
        world.orders(1)
        assert [one.command for one in world.proposals._waiting] == [b"one", b"two", b"three"]
