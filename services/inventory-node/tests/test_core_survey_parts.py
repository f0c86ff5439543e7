"""What members tell each other of themselves, and who should lead, with all neighbours in hand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from inventory.raft.v1 import log_pb2
from inventory.v1 import cluster_pb2
from inventory_node.core.clock_skew import ClockSkew
from inventory_node.core.events import PeerMessages, Surveyed, arrival
from inventory_node.core.node import NodeSettings, Ports
from inventory_node.core.survey.leader_fitness import LeaderFitness
from inventory_node.core.survey.rounds import Serving, SurveyRounds
from inventory_node.ports import Survey, SurveyReply
from raft.messages import Configuration, TimeoutNow
from raft.ready import RaftRole
from raft.view import Follower
from sim.manual_cluster import HandClock, HandObserver

if TYPE_CHECKING:
    from inventory_node.core.read_index import ReadQueue
    from inventory_node.core.snapshot.transfer import Incoming, Outgoing
    from inventory_node.core.write.disk_space import DiskSpace
    from inventory_node.core.write.flusher import Flusher
    from inventory_node.core.write.proposals import Proposals
    from inventory_node.machine import Machine
    from raft import RawNode

AHEAD_MS = 2_000
RIGHT, WRONG = "a" * 64, "b" * 64


@dataclass(slots=True)
class HandRaft:
    """Consensus as far as a survey looks at it: member 1 leads three voters that hold all."""

    id: int = 1
    term: int = 4
    leader: int = 1
    role: RaftRole = RaftRole.LEADER
    last_index: int = 30
    transferring: bool = False
    configuration: Configuration = field(
        default_factory=lambda: Configuration(frozenset({1, 2, 3}))
    )
    followers: dict[int, Follower] = field(default_factory=dict)
    transfers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the other voters be there."""
        self.followers = {
            one: Follower(30, 0, is_present=True, needs_snapshot=False) for one in (2, 3)
        }

    def transfer(self, successor: int) -> None:
        """Keep who is to lead."""
        self.transfers.append(successor)


class HandNeighbours:
    """What a member's state is used for, and how the member is; nothing is wrong at first."""

    def __init__(self) -> None:
        """Begin well."""
        self.is_full = self.hangs = self.is_slow = self.installing = self.is_short = False
        self.forbidden = False
        self.checkpoint_index = 0
        self.applied_index = 30
        self.initialized = True
        self.own_commands: list[bytes] = []
        self.calls: list[str] = []

    def leadership_changed(self, own_term: int) -> None:
        """Note that commands are sent away."""
        self.calls.append(f"commands are sent away in term {own_term}")

    def abandon(self) -> None:
        """Note that questions are sent away."""
        self.calls.append("questions are sent away")

    def forbid(self) -> None:
        """Note that the state is given to nobody."""
        self.forbidden = True

    def quarantine(self, problem: str) -> None:
        """Note why the state is set apart."""
        self.calls.append(f"quarantine: {problem}")

    def offer_own(self, command: bytes) -> None:
        """Keep a command of the cluster."""
        self.own_commands.append(command)


class Member:
    """One member's survey, with everything around it in hand."""

    def __init__(self, quarantined: str = "") -> None:
        """Begin as a leader that has not ticked yet."""
        self.raft, self.there, self.clock = HandRaft(), HandNeighbours(), HandClock()
        self.observer = HandObserver()
        self.skew = ClockSkew(self.clock, AHEAD_MS)
        there = self.there
        self.fitness = LeaderFitness(
            cast("DiskSpace", there),
            cast("Flusher", there),
            cast("Incoming", there),
            cast("Outgoing", there),
            self.skew,
        )
        settings = NodeSettings(name="a", member_id=1, cluster_id="c", members={1: "a"})
        settings = replace(
            settings,
            quarantined=quarantined,
            survey_ticks=4,
            checkpoint_ticks=20,
            checkpoint_gap_ticks=8,
        )
        serving = Serving(
            proposals=cast("Proposals", there),
            reading=cast("ReadQueue", there),
            incoming=cast("Incoming", there),
            outgoing=cast("Outgoing", there),
            clock_skew=self.skew,
            leader_fitness=self.fitness,
        )
        ports = SimpleNamespace(clock=self.clock, store=there, observer=self.observer)
        self.rounds = SurveyRounds(
            settings,
            cast("Ports", ports),
            cast("Machine", there),
            cast("Flusher", there),
            serving,
        )

    @property
    def node(self) -> "RawNode":
        """Consensus, as what a survey takes it for."""
        return cast("RawNode", self.raft)

    def tick(self, ticks: int = 1) -> list[Survey]:
        """Let ticks pass; return the surveys of all of them."""
        return [one for _ in range(ticks) for one in self.rounds.tick(self.node)]

    def reply(self, sender: int, **changes: object) -> None:
        """Let a member answer at once, which is well, unless a test says otherwise."""
        reply = SurveyReply(
            sender=sender,
            recipient=1,
            term=self.raft.term,
            sent_ms=self.clock.elapsed_ms(),
            clock_ms=self.clock.now_ms(),
            index=0,
            sha256="",
            is_compared=True,
            is_diverged=False,
        )
        heard = self.rounds.hear(replace(reply, **changes), self.node)  # type: ignore[arg-type]  # of many types
        assert list(heard) == []

    def survey(self, **changes: object) -> Sequence[SurveyReply]:
        """Let this member, which follows 2, be surveyed; return its answer."""
        self.raft.role, self.raft.leader = RaftRole.FOLLOWER, 2
        survey = Survey(
            sender=2,
            recipient=1,
            term=self.raft.term,
            sent_ms=77,
            skew_ms=None,
            index=0,
            hashes=(),
        )
        return self.rounds.hear(replace(survey, **changes), self.node)  # type: ignore[arg-type]  # of many types

    def begin(self, **replies: Mapping[str, object]) -> None:
        """Begin to lead, and hear 2 and 3."""
        self.tick()
        for sender in (2, 3):
            self.reply(sender, **replies.get(f"of_{sender}", {}))

    def shown(self) -> cluster_pb2.Member:
        """Return what a view shows of the survey."""
        member = cluster_pb2.Member()
        self.rounds.show(member)
        return member


def lagging(match_index: int = 30, *, is_present: bool = True, needs: bool = False) -> Follower:
    """Return what a leader knows of a follower."""
    return Follower(match_index, 0, is_present=is_present, needs_snapshot=needs)


class TestWhoLeads:
    """The lead goes to a member that is better off, and only then."""

    @pytest.mark.parametrize(
        ("own", "others", "successor"),
        [
            ({}, ({}, {}), 0),
            ({"is_short": True}, ({}, {}), 2),
            ({"hangs": True}, ({"is_at_risk": True}, {}), 3),
            ({"hangs": True}, ({"is_at_risk": True}, {"is_at_risk": True}), 0),
            ({"is_slow": True}, ({}, {}), 0),  # it was slow, and is not
            ({"is_full": True}, ({"is_at_risk": True}, {"is_stuck": True}), 2),
            ({"is_full": True}, ({"is_stuck": True}, {"is_stuck": True}), 0),
            ({"installing": True}, ({"is_stuck": True}, {}), 3),
            ({"is_full": True}, ({"is_diverged": True}, {}), 3),
            ({"is_full": True}, ({"is_diverged": True}, {"is_diverged": True}), 0),
        ],
    )
    def test_it_goes_to_a_lesser_impairment(
        self,
        own: Mapping[str, bool],
        others: tuple[Mapping[str, bool], Mapping[str, bool]],
        successor: int,
    ) -> None:
        """So it does not go round; of equals the first."""
        member = Member()
        member.begin(of_2=others[0], of_3=others[1])
        for name, value in own.items():
            setattr(member.there, name, value)
        member.fitness.relieve(member.node)
        assert member.raft.transfers == [successor] * bool(successor)

    @pytest.mark.parametrize(
        ("ahead_ms", "is_stuck", "successor"),
        [(0, False, 2), (50_000, False, 3), (50_000, True, 0)],
    )
    def test_a_clock_ahead_is_worse_than_a_slow_database(
        self, ahead_ms: int, successor: int, *, is_stuck: bool
    ) -> None:
        """And better than no space at all. A leader that is ahead goes, but to none that is."""
        member = Member()
        member.raft.configuration = Configuration(frozenset(range(1, 6)))
        member.raft.followers = {peer: lagging() for peer in range(2, 6)}
        member.tick()
        right_ms = member.clock.now_ms() - 50_000
        member.reply(2, clock_ms=right_ms + ahead_ms, is_at_risk=True)
        for sender in (3, 4, 5):
            member.reply(sender, clock_ms=right_ms, is_at_risk=True, is_stuck=is_stuck)
        member.fitness.relieve(member.node)
        assert member.raft.transfers == [successor] * bool(successor)

    def test_among_equals_the_one_that_holds_most_is_chosen(self) -> None:
        """Impairments weigh more."""
        member = Member()
        member.begin()
        member.raft.followers = {2: lagging(28), 3: lagging(29)}
        assert member.fitness.successor(member.node) == 3
        member.reply(3, is_at_risk=True)
        assert member.fitness.successor(member.node) == 2
        member.reply(2, is_stuck=True)
        assert member.fitness.successor(member.node) == 3

    @pytest.mark.parametrize(
        "second",
        [lagging(is_present=False), lagging(needs=True), None],
        ids=["silent", "cut", "no"],
    )
    def test_whom_the_log_does_not_bring_up_is_nobodys_successor(
        self, second: Follower | None
    ) -> None:
        """Nor who has no vote, or is no follower."""
        member = Member()
        member.begin()
        member.raft.followers = {3: lagging(1), 9: lagging()}
        if second is not None:
            member.raft.followers[2] = second
        assert member.fitness.successor(member.node) == 3
        del member.raft.followers[3]
        assert member.fitness.successor(member.node) == 0

    def test_who_leaves_hands_over_to_whom_has_said_nothing_too(self) -> None:
        """Relief goes only to a member that has said in this term how it is."""
        member = Member()
        member.tick()
        member.there.is_full = True
        member.fitness.relieve(member.node)
        assert member.raft.transfers == []
        assert member.fitness.successor(member.node) == 2
        member.fitness.transfer(member.node)
        assert member.raft.transfers == [2]
        member.raft.followers.clear()
        member.fitness.transfer(member.node)
        assert member.raft.transfers == [2], "there is nobody"

    def test_a_leader_that_has_not_surveyed_yet_may_leave(self) -> None:
        """It knows of nobody how it is."""
        member = Member()
        assert member.fitness.successor(member.node) == 2

    def test_a_clock_is_ahead_by_the_leaders_own_too(self) -> None:
        """Where no more than one other is measured: two of three are a majority."""
        member = Member()
        member.tick()
        member.reply(2, clock_ms=member.clock.now_ms() + 50_000)
        assert member.fitness.successor(member.node) == 3
        [second, third] = member.tick(4)
        assert (second.skew_ms, third.skew_ms) == (50_000, None)

    def test_only_a_leader_of_the_term_hands_over_and_only_once_at_a_time(self) -> None:
        """A transfer under way goes on."""
        for change in ({"role": RaftRole.FOLLOWER}, {"term": 5}, {"transferring": True}):
            member = Member()
            member.begin()
            member.there.is_full = True
            for name, value in change.items():
                setattr(member.raft, name, value)
            member.fitness.relieve(member.node)
            assert member.raft.transfers == []

    def test_risk_is_remembered(self) -> None:
        """A member that was slow lately says so, though it does not hand over for it."""
        member = Member()
        assert not member.fitness.is_at_risk
        for name in ("is_slow", "hangs", "is_short"):
            setattr(member.there, name, True)
            assert member.fitness.is_at_risk
            setattr(member.there, name, False)


class TestRounds:
    """A leader surveys at once, and then once a second."""

    def test_each_round_asks_every_follower(self) -> None:
        """With the time of the question, and the term."""
        member = Member()
        asked = member.tick()
        assert asked == [
            Survey(
                sender=1,
                recipient=peer,
                term=4,
                sent_ms=member.clock.elapsed_ms(),
                skew_ms=None,
                index=0,
                hashes=(),
            )
            for peer in (2, 3)
        ]
        assert member.tick(3) == []
        assert [one.recipient for one in member.tick()] == [2, 3]
        assert member.tick(3) == []
        assert len(member.tick()) == 2

    def test_another_term_begins_anew(self) -> None:
        """Nothing of the term before counts; nor do replies while another leads."""
        member = Member()
        member.begin(of_2={"clock_ms": 1, "index": 7, "sha256": RIGHT})
        member.tick(2)
        member.raft.role = RaftRole.FOLLOWER
        assert member.tick(9) == []
        member.reply(3)
        member.raft.role, member.raft.term = RaftRole.LEADER, 5
        member.reply(3)
        asked = member.tick()
        assert [(one.skew_ms, one.index) for one in asked] == [(None, 0)] * 2
        assert member.tick(3) == []
        assert len(member.tick()) == 2
        member.reply(2, term=4)
        member.there.is_full = True
        member.fitness.relieve(member.node)
        assert member.raft.transfers == [], "nobody has said how it is"
        member.there.is_full = False
        member.rounds.hashed(7, WRONG)
        member.reply(3, index=7, sha256=RIGHT)
        member.tick(4)
        assert not member.rounds.diverged, "one against one"

    def test_the_first_term_is_surveyed_at_once_too(self) -> None:
        """Whether the member followed in it before or not."""
        for followed in (False, True):
            member = Member()
            member.raft.term = 1
            if followed:
                member.raft.role = RaftRole.FOLLOWER
                member.tick()
                member.raft.role = RaftRole.LEADER
            assert len(member.tick()) == 2

    def test_what_is_not_measured_any_more_is_not_shown(self) -> None:
        """Nor what another leader has measured."""
        member = Member()
        member.begin()
        assert member.shown().HasField("clock_skew_ms")
        member.clock.ms += 10_001
        member.tick(4)
        assert not member.shown().HasField("clock_skew_ms")
        member = Member()
        member.survey(skew_ms=2_001)
        member.raft.role = RaftRole.LEADER
        member.tick()
        assert not member.shown().HasField("clock_skew_ms")
        assert not member.skew.is_ahead

    def test_each_is_told_its_skew_and_the_hashes_at_its_index(self) -> None:
        """Of all members that hashed there, in their order."""
        member = Member()
        member.rounds.hashed(7, RIGHT)
        ahead_ms = member.clock.now_ms() + 300
        member.begin(
            of_2={"clock_ms": ahead_ms, "index": 7, "sha256": WRONG},
            of_3={"index": 8, "sha256": RIGHT},
        )
        second, third = member.tick(4)
        assert (second.skew_ms, second.index) == (300, 7)
        assert second.hashes == ((1, RIGHT), (2, WRONG))
        assert (third.skew_ms, third.index, third.hashes) == (0, 8, ((3, RIGHT),))

    def test_a_leader_in_trouble_hands_over_at_the_next_round(self) -> None:
        """At once in the first tick of each."""
        member = Member()
        member.begin()
        member.tick(1)
        member.there.is_full = True
        member.tick(3)
        assert member.raft.transfers == []
        member.tick(1)
        assert member.raft.transfers == [2]

    def test_a_leader_whose_clock_is_ahead_warns_once_and_hands_over(self) -> None:
        """It says by how much."""
        member = Member()
        member.begin()
        assert member.shown().clock_skew_ms == 0
        for sender in (2, 3, 2, 3):
            member.reply(sender, clock_ms=member.clock.now_ms() - 2_001)
        assert member.observer.warnings == [("clock_ahead", "by 2001 ms: hands over")]
        assert member.shown().clock_skew_ms == 2_001
        member.tick(4)
        assert member.raft.transfers == [2]


class TestAnswers:
    """A follower answers its leader, and takes its word on its own clock and state."""

    def test_a_member_says_how_it_is(self) -> None:
        """Of this term, to its leader."""
        member = Member()
        member.clock.wrong_ms = 5
        for changes in ({"term": 3}, {"term": 5}, {"sender": 3}):
            assert member.survey(**changes) == ()
        [reply] = member.survey()
        assert reply == SurveyReply(
            sender=1,
            recipient=2,
            term=4,
            sent_ms=77,
            clock_ms=member.clock.now_ms(),
            index=0,
            sha256="",
            is_compared=False,
            is_diverged=False,
            is_stuck=False,
            is_at_risk=False,
        )
        member.rounds.hashed(7, RIGHT)
        member.there.is_full = member.there.hangs = True
        [reply] = member.survey(index=7, hashes=((2, RIGHT), (3, RIGHT)))
        assert (reply.index, reply.sha256) == (7, RIGHT)
        assert (reply.is_stuck, reply.is_at_risk) == (True, True)
        assert (reply.is_compared, reply.is_diverged) == (True, False)

    def test_it_takes_its_skew(self) -> None:
        """A leader's word of a clock that was set may be of before, so it counts later."""
        member = Member()
        assert not member.shown().HasField("clock_skew_ms")
        member.survey(skew_ms=5)
        assert member.shown().clock_skew_ms == 5
        assert member.skew.is_trusted
        member.survey(skew_ms=2_001)
        assert (member.skew.is_trusted, member.skew.is_ahead) == (False, True)
        member.survey()
        assert not member.shown().HasField("clock_skew_ms")
        member.clock.wrong_ms = 50_000
        member.survey(skew_ms=0)
        assert not member.skew.is_trusted

    def test_a_member_that_differs_leaves_service(self) -> None:
        """It sends everybody away, gives its state to nobody, and says so."""
        member = Member()
        member.rounds.hashed(7, WRONG)
        [reply] = member.survey(index=7, hashes=((2, RIGHT), (3, RIGHT)))
        assert reply.is_diverged
        problem = member.shown().diverged
        assert "index 7" in problem
        assert member.rounds.diverged
        assert member.there.forbidden
        assert member.there.calls == [
            "commands are sent away in term 0",
            "questions are sent away",
            f"quarantine: {problem}",
        ]
        assert member.observer.warnings == [("diverged", problem)]
        member.there.applied_index = 40
        member.rounds.replaced()
        assert not member.rounds.diverged
        assert member.there.forbidden is False
        member.rounds.hashed(39, WRONG)
        assert not member.shown().HasField("state_hash")
        member.rounds.hashed(40, RIGHT)
        assert member.shown().state_hash == cluster_pb2.StateHash(index=40, sha256=RIGHT)

    def test_a_state_that_is_being_replaced_is_not_judged(self) -> None:
        """Its hash is of the old one; on a leader neither."""
        member = Member()
        member.there.installing = True
        member.rounds.hashed(7, WRONG)
        member.survey(index=7, hashes=((2, RIGHT), (3, RIGHT)))
        assert not member.rounds.diverged
        member.raft.role = RaftRole.LEADER
        member.begin(of_2={"index": 7, "sha256": RIGHT}, of_3={"index": 7, "sha256": RIGHT})
        member.tick(4)
        assert not member.rounds.diverged
        member.there.installing = False
        member.raft.transfers.clear()
        member.tick(4)
        assert member.rounds.diverged
        assert member.there.forbidden
        member.tick(1)
        assert member.raft.transfers == [2]

    def test_a_start_out_of_service_stays_so(self) -> None:
        """And hands over at every tick that it leads, also at none that is better off."""
        member = Member("of before")
        assert member.shown().diverged == "of before"
        assert member.there.forbidden
        member.tick()
        assert member.raft.transfers == []
        member.tick(2)
        assert member.raft.transfers == [2, 2]


def test_a_peers_message_is_an_event_by_its_kind() -> None:
    """Surveys are none of consensus."""
    member = Member()
    survey = member.tick()[0]
    [reply] = member.survey()
    assert [arrival(one) for one in (survey, reply)] == [Surveyed(survey), Surveyed(reply)]
    message = TimeoutNow(2, 1, 4)
    assert arrival(message) == PeerMessages((message,))


class TestCheckpoints:
    """A leader puts one into the log when its turn comes, and nothing speaks against it."""

    def proposed(self, member: Member, ticks: int) -> Collection[str]:
        """Let ticks pass; return the request ids of the checkpoints proposed meanwhile."""
        member.there.own_commands.clear()
        member.tick(ticks)
        commands = map(log_pb2.Command.FromString, member.there.own_commands)
        found = []
        for command in commands:
            assert command.administration.WhichOneof("operation") == "checkpoint"
            found.append(command.administration.request_id)
        return found

    def test_the_first_comes_with_the_first_round_and_then_by_the_period(self) -> None:
        """Under a name of its own."""
        member = Member()
        member.begin()
        member.rounds.hashed(7, RIGHT)
        for sender in (2, 3):
            member.reply(sender, index=7, sha256=RIGHT)
        assert self.proposed(member, 4) == ["checkpoint-4-30"]
        member.raft.last_index = 31
        assert self.proposed(member, 19) == []
        assert self.proposed(member, 1) == ["checkpoint-4-31"]

    @pytest.mark.parametrize(
        ("compared", "present", "ticks"),
        [((True, True), True, 20), ((True, False), True, 8), ((True, False), False, 20)],
    )
    def test_a_member_that_is_not_compared_yet_need_not_wait_so_long(
        self, compared: tuple[bool, bool], *, present: bool, ticks: int
    ) -> None:
        """If it is there."""
        member = Member()
        member.begin()
        member.raft.followers[3] = lagging(is_present=present)
        member.rounds.hashed(7, RIGHT)
        for sender, is_compared in zip((2, 3), compared, strict=True):
            index, sha256 = (7, RIGHT) if sender == 2 else (0, "")
            member.reply(sender, index=index, sha256=sha256, is_compared=is_compared)
        assert len(self.proposed(member, 4)) == 1
        assert self.proposed(member, ticks - 1) == []
        assert len(self.proposed(member, 1)) == 1

    def test_a_leader_that_is_not_compared_itself_does_not_wait_either(self) -> None:
        """It has started lately."""
        member = Member()
        member.begin()
        assert len(self.proposed(member, 4)) == 1
        assert self.proposed(member, 7) == []
        assert len(self.proposed(member, 1)) == 1

    @pytest.mark.parametrize(
        ("name", "value"), [("initialized", False), ("is_full", True)], ids=["no state", "no space"]
    )
    def test_none_is_proposed_in_vain(self, name: str, *, value: bool) -> None:
        """It comes with the next round after that."""
        member = Member()
        member.begin()
        setattr(member.there, name, value)
        assert self.proposed(member, 4) == []
        setattr(member.there, name, not value)
        assert self.proposed(member, 3) == []
        assert len(self.proposed(member, 1)) == 1

    def test_none_is_proposed_before_the_last_is_hashed(self) -> None:
        """They would gather where hashes take long."""
        member = Member()
        member.begin()
        member.there.checkpoint_index = 9
        assert self.proposed(member, 12) == []
        member.rounds.hashed(8, RIGHT)
        assert self.proposed(member, 4) == []
        member.rounds.hashed(9, RIGHT)
        assert len(self.proposed(member, 4)) == 1

    def test_a_leader_out_of_service_proposes_none(self) -> None:
        """It only hands over."""
        member = Member("of before")
        member.begin()
        assert self.proposed(member, 40) == []

    def test_a_hash_that_takes_long_makes_the_next_come_later(self) -> None:
        """Ten times as long after it as it took."""
        member = Member()
        member.begin()
        member.rounds.hashed(7, RIGHT)
        for sender in (2, 3):
            member.reply(sender, index=7, sha256=RIGHT)
        assert len(self.proposed(member, 4)) == 1
        member.there.checkpoint_index = 31
        assert self.proposed(member, 1 + 3) == []
        member.rounds.hashed(31, RIGHT)
        member.there.applied_index = 32
        assert self.proposed(member, 24) == []
        assert len(self.proposed(member, 4)) == 1
