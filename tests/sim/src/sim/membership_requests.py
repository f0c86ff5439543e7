"""Carries what a member asks the others about itself: at its start, while it runs, when it stops.

`inventory_node.core.membership` decides what is asked and what an answer means, as in a process
that ships; `inventory_node.runtime` does by gRPC what is done here in virtual time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from inventory.raft.v1 import membership_pb2
from inventory_node.core.membership.drain import (
    AskLeader,
    AskReach,
    AskSelf,
    Decided,
    Departure,
    DepartureStep,
)
from inventory_node.core.membership.join import DataCheck, DataVerdict, StandingWatch
from inventory_node.wal import Identity, Recovered

from sim.surroundings import ProcessHandle

JOIN_US = 300_000  # between two tries
LEAVE_US = 80_000  # likewise
LEAVE_US_MAX = 600_000  # that a member has to leave
ANSWERS_US_MAX = 300_000  # that answers are waited for
PAUSED_US = 50_000  # until a process that is paused is looked at again

Responses = Sequence[membership_pb2.ChangeResponse]


def address_of(process: ProcessHandle) -> str:
    """Return the address of a member."""
    return f"{process.name}:1"


def identity_of(process: ProcessHandle) -> Identity:
    """Return who a process is as a member."""
    return Identity(process.settings.cluster_id, process.id, process.name)


def later(process: ProcessHandle, delay_us: int, action: Callable[[], None]) -> None:
    """Do something in this life of a process; wait while the process is paused."""

    def act() -> None:
        if process.life.paused:
            process.later(PAUSED_US, act)
        else:
            action()

    process.later(delay_us, act)


def ask_all(
    process: ProcessHandle,
    request: membership_pb2.ChangeRequest,
    take: Callable[[Responses], None],
) -> None:
    """Ask every other member; hand in the answers that came in time, at once if all have come."""
    world = process.world
    responses: list[membership_pb2.ChangeResponse] = []
    expected = world.count_others(process)
    is_over = False

    def end() -> None:
        nonlocal is_over
        if not is_over:
            is_over = True
            take(responses)

    def hear(response: membership_pb2.ChangeResponse) -> None:
        responses.append(response)
        if len(responses) >= expected:
            later(process, 0, end)

    world.ask_change(process, request, hear)
    later(process, ANSWERS_US_MAX if expected else 0, end)


class DataQuestions:
    """Asks what `DataCheck` wants to know, before the node of a process runs."""

    def __init__(
        self, process: ProcessHandle, recovered: Recovered, decide: Callable[[DataVerdict], None]
    ) -> None:
        """Call `decide` once, with what becomes of the data."""
        self._process = process
        self._decide = decide
        is_first = process.name in process.founders.values()
        self._check = DataCheck(
            recovered,
            identity_of(process),
            address_of(process),
            is_first=is_first,
            is_diverged=False,
        )

    def ask(self) -> None:
        """Ask once, and again for as long as the check is not decided."""
        ask_all(self._process, self._check.request, self._answer)

    def _answer(self, responses: Responses) -> None:
        process = self._process
        verdict = self._check.hear(responses, process.world.reached(process))
        match verdict:
            case DataVerdict.ASK:
                self.ask()
            case DataVerdict.ASK_LATER if not process.life.is_stopping:
                later(process, JOIN_US, self.ask)
            case _:
                self._decide(verdict)


class StandingQuestions:
    """Asks what `StandingWatch` wants to know, in one life of a process."""

    def __init__(self, process: ProcessHandle) -> None:
        """`start` begins."""
        self._process = process
        self._watch = StandingWatch(identity_of(process), address_of(process), auto=True)

    def start(self) -> None:
        """Ask after a while, and again at intervals, until the life of the process ends."""
        self._process.later(JOIN_US, self._ask)

    def _ask(self) -> None:
        process = self._process
        if process.life.node is None or self._watch.was_removed:
            return
        request = self._watch.observe(process.life.node.view())
        if request is not None:
            process.world.ask_change(process, request, self._hear)
        self.start()

    def _hear(self, response: membership_pb2.ChangeResponse) -> None:
        self._watch.hear(response)
        if self._watch.was_removed and self._process.life.node is not None:
            self._process.life.removed = True
            self._process.life.node.allow_campaigns(allowed=False)


class DepartureQuestions:
    """Asks what `Departure` wants to know, until a process may stop or has no time left for it."""

    def __init__(self, process: ProcessHandle, stop: Callable[[], None]) -> None:
        """Call `stop` once, when the process may stop or its time has ended."""
        self._process = process
        self._stop = stop
        self._departure = Departure(process.settings.cluster_id)
        self._until_us = process.world.timeline.now_us + LEAVE_US_MAX

    @property
    def _reached(self) -> frozenset[int]:
        return self._process.world.reached(self._process)

    def start(self) -> None:
        """Ask for the first step of a departure."""
        world, node = self._process.world, self._process.life.node
        if node is None:
            return
        if world.timeline.now_us >= self._until_us:
            world.evidence.coverage["stops without leave"] += 1
            self._stop()
        else:
            self._follow(self._departure.attempt(node.view(), self._reached))

    def _follow(self, step: DepartureStep) -> None:
        """Do what one step of the departure asks for, and hand in the answer."""
        process, departure = self._process, self._departure
        world = process.world
        match step:
            case Decided(may_leave=True):
                world.evidence.coverage["stops with leave"] += 1
                self._stop()
            case Decided():
                later(process, LEAVE_US, self.start)
            case AskReach(members):
                described = world.describe(members)
                self._follow(departure.hear_reach(described, self._reached))
            case AskSelf(request):
                world.ask_self(process, request, partial(self._hear_self, step))
            case AskLeader(request):
                ask_all(process, request, self._hear_leader)
            case _:
                assert_never(step)

    def _hear_self(self, asked: AskSelf, answer: membership_pb2.ChangeResponse) -> None:
        # The node answers within an event, which it has to end first.
        later(self._process, 0, lambda: self._follow(self._departure.hear_self(asked, answer)))

    def _hear_leader(self, responses: Responses) -> None:
        answers = (one for one in responses if not one.HasField("not_leader"))
        self._follow(self._departure.hear_leader(next(answers, None), self._reached))
