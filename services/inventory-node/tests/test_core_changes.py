"""Requests for membership changes and their answers, with consensus in hand."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import forward_pb2, membership_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.events import ChangeAsked
from inventory_node.core.membership.changes import MembershipChanges
from inventory_node.core.node import NodeSettings, Ports
from inventory_node.core.replies import Replies
from inventory_node.ports import Contact
from raft import (
    Accepted,
    AddLearner,
    ChangeRefused,
    NotLeader,
    Promote,
    Remove,
    TransferBegun,
    TransferRefused,
)
from raft.membership import Change
from raft.messages import Configuration
from raft.ready import RaftRole
from raft.view import Follower
from sim.manual_cluster import HandClock, HandTransport
from wire import errors
from wire.errors import Reason, reason_of

if TYPE_CHECKING:
    from raft import RawNode

VOTER = membership_pb2.STANDING_VOTER
LEARNER = membership_pb2.STANDING_LEARNER
REMOVED = membership_pb2.STANDING_REMOVED
ABSENT = membership_pb2.STANDING_ABSENT
FIRST = {1: "node-1", 2: "node-2", 3: "node-3"}
JOINED = ((5, "node-5=host:5"), (4, "node-4=host:4"))
LEADER_OF_2 = membership_pb2.NotLeader(leader="node-2")


@dataclass(slots=True)
class HandRaft:
    """Member 1 leads the voters 1, 2, 3 and 4 and the learner 5 in term 4."""

    id: int = 1
    term: int = 4
    leader: int = 1
    role: RaftRole = RaftRole.LEADER
    commit_index: int = 30
    commit_term: int = 4
    transferring: bool = False
    configuration: Configuration = field(
        default_factory=lambda: Configuration(frozenset({1, 2, 3, 4}), frozenset({5}), JOINED)
    )
    committed: Configuration | None = None  # where it differs
    followers: dict[int, Follower] = field(default_factory=dict)
    decision: ChangeRefused | NotLeader | None = None
    refusal: TransferRefused | None = None
    changes: list[Change] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let all others be there."""
        self.followers = {
            one: Follower(30, 0, is_present=True, needs_snapshot=False) for one in (2, 3, 4, 5)
        }

    def change(self, change: Change) -> Accepted | ChangeRefused | NotLeader:
        """Take a change at the next index."""
        self.changes.append(change)
        return self.decision or Accepted(30 + len(self.changes), self.term)

    def transfer(self, target: int) -> TransferBegun | TransferRefused:
        """Take a transfer."""
        self.targets.append(target)
        self.transferring = self.refusal is None
        return self.refusal or TransferBegun(target)

    def term_at(self, index: int) -> int:
        """Return the term of an entry."""
        return self.commit_term if index <= self.commit_index else 0

    def configuration_at(self, index: int) -> Configuration:
        """Return what is committed."""
        assert index == self.commit_index
        return self.committed or self.configuration


class World:
    """The changes of one member, with its neighbours in hand."""

    def __init__(self, *, has_learnt: bool = True) -> None:
        """Begin with everything known, or with the first members alone."""
        self.raft, self.transport, self.clock = HandRaft(), HandTransport(), HandClock()
        settings = NodeSettings(name="node-1", member_id=1, cluster_id="c", members=FIRST)
        self.replies = Replies(self.transport, 4)
        ports = SimpleNamespace(transport=self.transport, clock=self.clock)
        self.changes = MembershipChanges(settings, self.replies, cast("Ports", ports))
        if has_learnt:
            self.changes.learn_members(self.raft.configuration)
        self.ticket = 0

    @property
    def node(self) -> "RawNode":
        """Consensus, as what the changes take it for."""
        return cast("RawNode", self.raft)

    def ask(self, **request: object) -> membership_pb2.ChangeResponse | None:
        """Ask for a change; return the answer, None while there is none."""
        self.ticket += 1
        asked = membership_pb2.ChangeRequest(**request)  # type: ignore[arg-type]  # of many types
        self.changes.begin(ChangeAsked(self.ticket, asked), self.node)
        return self.transport.changes.get(self.ticket)

    def join(
        self, member: int, name: str, **changes: object
    ) -> membership_pb2.ChangeResponse | None:
        """Ask for a member, which has an empty log unless a test says otherwise."""
        join = membership_pb2.Join(
            member_id=member, name=name, address="host:9", is_empty=True, term=4
        )
        join.MergeFrom(membership_pb2.Join(**changes))  # type: ignore[arg-type]  # of many types
        if changes.get("is_empty") is False:
            join.is_empty = False
        return self.ask(join=join)

    def decide(self) -> dict[int, membership_pb2.ChangeResponse]:
        """Answer what is decided; return all answers so far."""
        self.changes.answer_decided(self.node)
        return self.transport.changes


def done(standing: membership_pb2.Standing.ValueType) -> membership_pb2.ChangeResponse:
    """Return the answer that a change is committed."""
    return membership_pb2.ChangeResponse(done=membership_pb2.Done(standing=standing))


def not_leader(told: membership_pb2.NotLeader | None = None) -> membership_pb2.ChangeResponse:
    """Return the answer that somebody else has to be asked."""
    return membership_pb2.ChangeResponse(not_leader=told or membership_pb2.NotLeader())


class TestTheMembers:
    """Names and addresses of those that joined later stand in the configuration."""

    def test_those_that_joined_are_met_and_told_to_gateways(self) -> None:
        """But for the member itself."""
        world = World()
        four, five = Contact("node-4", "host:4"), Contact("node-5", "host:5")
        assert world.transport.contacts == {4: four, 5: five}
        own = Configuration(frozenset({1, 2}), labels=((1, "node-1=host:1"), JOINED[1]))
        world.changes.learn_members(own)
        assert world.transport.contacts == {4: four}
        world.replies.open(7)
        world.raft.term, world.raft.leader = 5, 4
        world.changes.announce(world.node)
        world.replies.send()
        [(_, frame)] = world.transport.frames
        located = [
            forward_pb2.Located(name=name, address=address)
            for name, address in (("node-1", "host:1"), ("node-4", "host:4"))
        ]
        assert frame.leadership == forward_pb2.Leadership(term=5, leader="node-4", members=located)

    def test_a_member_knows_the_first_ones_from_its_start(self) -> None:
        """And nobody else before it has read a configuration; a name ends at the first equals."""
        world = World(has_learnt=False)
        assert world.changes.leader(world.node) == "node-1"
        world.replies.open(7)
        world.changes.announce(world.node)
        world.replies.send()
        [(_, frame)] = world.transport.frames
        assert frame.leadership == forward_pb2.Leadership(term=4, leader="node-1")
        odd = Configuration(frozenset({1, 9}), labels=((9, "node-9=host:9?a=b"),))
        world.changes.learn_members(odd)
        assert world.transport.contacts == {9: Contact("node-9", "host:9?a=b")}

    def test_a_view_names_the_leader_the_voters_and_the_learners(self) -> None:
        """A member of no known name by its id."""
        world = World()
        world.raft.configuration = Configuration(frozenset({3, 1, 9}), frozenset({5, 8}), JOINED)
        member = cluster_pb2.Member()
        world.changes.show(member, world.node)
        assert member == cluster_pb2.Member(
            leader="node-1", voters=["9", "node-1", "node-3"], learners=["8", "node-5"]
        )
        world.raft.leader = 0
        member = cluster_pb2.Member()
        world.changes.show(member, world.node)
        assert member.leader == ""


class TestJoining:
    """A member asks again and again; what it is told depends on what it is."""

    def test_a_newcomer_becomes_a_learner_under_its_name_and_address(self) -> None:
        """It is told so when that is committed."""
        world = World()
        assert world.join(9, "node-9") is None
        assert world.raft.changes == [AddLearner(9, "node-9=host:9")]
        assert world.decide() == {}
        world.raft.commit_index = 31
        assert world.decide() == {1: done(LEARNER)}
        assert world.decide() == {1: done(LEARNER)}

    def test_a_learner_is_promoted_unless_it_asks_for_no_vote(self) -> None:
        """A voter is one already."""
        world = World()
        assert world.join(4, "node-4") == done(VOTER)
        assert world.join(5, "node-5", is_learner=True) == done(LEARNER)
        assert world.join(5, "node-5") is None
        assert world.raft.changes == [Promote(5)]
        world.raft.commit_index = 31
        assert world.decide()[3] == done(VOTER)

    def test_a_leader_of_an_earlier_term_says_nothing(self) -> None:
        """It knows less than the member does."""
        world = World()
        assert world.join(9, "node-9", term=5) == not_leader()
        assert world.raft.changes == []

    @pytest.mark.parametrize(
        ("committed", "commit_term", "answer"),
        [
            ((1, 2), 4, done(REMOVED)),
            ((1, 2), 3, not_leader()),  # nothing of the own term is committed yet
            ((1, 2, 9), 4, not_leader()),  # the removal may be taken back
        ],
    )
    def test_a_member_that_took_part_was_removed_if_that_is_committed(
        self, committed: tuple[int, ...], commit_term: int, answer: membership_pb2.ChangeResponse
    ) -> None:
        """Its log is not empty, and no configuration names it."""
        world = World()
        world.raft.commit_term = commit_term
        for learners in (frozenset[int](), frozenset({9} & set(committed))):
            voters = frozenset(committed) - learners
            world.raft.committed = Configuration(voters, learners)
            assert world.join(9, "node-9", is_empty=False) == answer

    def test_a_namesake_that_is_gone_makes_room(self) -> None:
        """Its volume is lost; one that is alive stays, also where it is the leader."""
        world = World()
        for name in ("node-1", "node-3"):
            answer = world.join(9, name)
            assert answer is not None
            assert reason_of(answer.error) is Reason.CHANGE_REFUSED
            assert f"member {name} takes part already, and is alive" in answer.error.message
        world.raft.followers[3] = Follower(30, 0, is_present=False, needs_snapshot=False)
        assert world.join(9, "node-3") is None
        assert world.raft.changes == [Remove(3)]
        world.raft.commit_index = 31
        assert world.decide()[3] == done(ABSENT)


class TestChangesByName:
    """An operator names the member; the answer comes with the commit."""

    @pytest.mark.parametrize("kind", ["promote", "remove", "transfer"])
    @pytest.mark.parametrize("name", ["node-9", "5"])
    def test_a_name_that_nobody_has_is_not_found(self, kind: str, name: str) -> None:
        """Also where it was a member's once."""
        world = World()
        answer = world.ask(**{kind: name})
        assert answer is not None
        assert reason_of(answer.error) is Reason.MEMBER_NOT_FOUND
        assert name in answer.error.message
        world.raft.configuration = Configuration(frozenset({1, 2}))
        gone = world.ask(**{kind: "node-3"})
        assert gone is not None
        assert reason_of(gone.error) is Reason.MEMBER_NOT_FOUND
        assert (world.raft.changes, world.raft.targets) == ([], [])

    def test_each_change_is_answered_with_the_standing_it_leads_to(self) -> None:
        """A voter need not be promoted."""
        world = World()
        assert world.ask(promote="node-2") == done(VOTER)
        assert world.ask(promote="node-5") is None
        assert world.ask(remove="node-2") is None
        assert world.raft.changes == [Promote(5), Remove(2)]
        world.raft.commit_index = 31
        assert world.decide() == {1: done(VOTER), 2: done(VOTER)}
        world.raft.commit_index = 32
        assert world.decide()[3] == done(REMOVED)

    def test_a_change_that_consensus_refuses_says_why(self) -> None:
        """Or who leads, where the lead was lost meanwhile."""
        world = World()
        world.raft.decision = ChangeRefused("another change is under way")
        answer = world.ask(remove="node-2")
        assert answer is not None
        assert reason_of(answer.error) is Reason.CHANGE_REFUSED
        assert "another change is under way" in answer.error.message
        world.raft.decision = NotLeader(2)
        world.raft.role = RaftRole.FOLLOWER
        world.raft.leader = 2
        world.changes._change(7, Remove(2), REMOVED, world.node)
        assert world.transport.changes[7] == not_leader(LEADER_OF_2)

    @pytest.mark.parametrize("what", ["term", "role", "entry"])
    def test_a_change_whose_outcome_is_unknown_is_asked_for_again(self, what: str) -> None:
        """The lead is over, or another entry stands at its index."""
        world = World()
        assert world.ask(remove="node-2") is None
        match what:
            case "term":
                world.raft.term = 5
            case "role":
                world.raft.role = RaftRole.FOLLOWER
            case _:
                world.raft.commit_index, world.raft.commit_term, world.raft.term = 31, 5, 5
        assert world.decide() == {1: not_leader(None if what != "role" else FOLLOWS_ITSELF)}

    def test_a_change_that_is_committed_counts_though_the_lead_is_over(self) -> None:
        """A leader that removes itself leads no more from then on."""
        world = World()
        assert world.ask(remove="node-1") is None
        world.raft.commit_index, world.raft.role = 31, RaftRole.FOLLOWER
        assert world.decide() == {1: done(REMOVED)}

    @pytest.mark.parametrize(
        ("leader", "told"),
        [
            (2, LEADER_OF_2),
            (4, membership_pb2.NotLeader(leader="node-4", address="host:4")),
            (0, membership_pb2.NotLeader()),
        ],
    )
    def test_who_does_not_lead_says_who_does(
        self, leader: int, told: membership_pb2.NotLeader
    ) -> None:
        """With the address of one that joined later."""
        world = World()
        world.raft.role, world.raft.leader = RaftRole.FOLLOWER, leader
        assert world.ask(remove="node-2") == not_leader(told)
        assert world.raft.changes == []

    def test_a_request_that_names_no_change_is_refused(self) -> None:
        """One of a later version."""
        answer = World().ask()
        assert answer is not None
        assert answer.error.message == "The field change names no change that is known here."


FOLLOWS_ITSELF = membership_pb2.NotLeader(leader="node-1")  # it has not heard of another yet


class TestTransfers:
    """The answer comes when the transfer is over."""

    @pytest.mark.parametrize(("name", "target"), [("node-3", 3), ("", 0)])
    def test_a_successor_is_named_or_chosen(self, name: str, target: int) -> None:
        """All that asked meanwhile are answered, once."""
        world = World()
        assert world.ask(transfer=name) is None
        assert world.ask(transfer=name) is None
        assert world.raft.targets == [target] * 2
        assert world.decide() == {}
        world.raft.transferring, world.raft.role = False, RaftRole.FOLLOWER
        assert world.decide() == {1: done(VOTER), 2: done(VOTER)}
        world.transport.changes.clear()
        assert world.decide() == {}

    def test_a_successor_that_does_not_take_the_lead_is_told(self) -> None:
        """In time, that is."""
        world = World()
        world.ask(transfer="node-3")
        world.raft.transferring = False
        refused = errors.change_refused("the successor did not take the lead in time")
        assert world.decide() == {1: membership_pb2.ChangeResponse(error=refused)}

    def test_what_cannot_be_done_is_said_at_once(self) -> None:
        """And to the leader itself there is nothing to do."""
        world = World()
        assert world.ask(transfer="node-1") == done(VOTER)
        assert world.raft.targets == []
        world.raft.refusal = TransferRefused("it needs a snapshot")
        answer = world.ask(transfer="node-3")
        assert answer is not None
        assert reason_of(answer.error) is Reason.CHANGE_REFUSED
        assert "it needs a snapshot" in answer.error.message


def test_a_member_that_is_needed_stays() -> None:
    """The leader says why; one that is not needed may go."""
    world = World()
    leave = membership_pb2.Leave(member_id=2, reached=[1, 3, 4])
    assert world.ask(leave=leave) == done(VOTER)
    answer = world.ask(leave=membership_pb2.Leave(member_id=3, reached=[1, 2, 4]))
    problem = "without this one no majority would be left that holds what is committed"
    assert answer == membership_pb2.ChangeResponse(error=errors.change_refused(problem))
    world.clock.ms += 2_000
    assert world.ask(leave=membership_pb2.Leave(member_id=3, reached=[1, 2, 4])) == done(VOTER)
