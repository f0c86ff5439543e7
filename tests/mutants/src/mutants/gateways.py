"""Gateways with bugs: requests lost, moved too late, or sent to a member that does not lead."""

from typing import Any

import pytest
from gateway.leader_view import LeaderView
from gateway.router import Router
from inventory.raft.v1 import forward_pb2

from mutants.catching import Mutant, UnitTests

TESTS = "services/gateway/tests/test_router.py"


def waits_for_a_candidate(patch: pytest.MonkeyPatch) -> None:
    """Leave a leader for a later term that a candidate alone knows of."""
    rule = LeaderView.update

    def update(self: LeaderView, member: str, view: forward_pb2.Leadership) -> bool:
        if view.leader or view.term <= self.term:
            return rule(self, member, view)
        self.term, self.leader = view.term, ""
        return True

    patch.setattr(LeaderView, "update", update)


def hears_a_retry_of_a_left_leader(patch: pytest.MonkeyPatch) -> None:
    """Send a request again that another member has by then."""
    rule = Router.response_received

    def received(self: Router, member: str, response: forward_pb2.ForwardResponse) -> None:
        for reply in response.replies:
            request = self.pending.get(reply.id)
            if request is not None:
                request.member = member
        rule(self, member, response)

    patch.setattr(Router, "response_received", received)


def takes_an_unknown_fate_for_an_answer(patch: pytest.MonkeyPatch) -> None:
    """Leave the caller without an answer where a retry would have one."""
    rule = Router._retry

    def retry(self: Router, request: Any, why: int) -> None:  # noqa: ANN401 - passed on
        if why != forward_pb2.RETRY_UNKNOWN:
            rule(self, request, why)  # type: ignore[arg-type]  # a number of that enumeration

    patch.setattr(Router, "_retry", retry)


def asks_who_does_not_lead_again(patch: pytest.MonkeyPatch) -> None:
    """Send the same request to the same member, for ever."""
    rule = Router._retry

    def retry(self: Router, request: Any, _: int) -> None:  # noqa: ANN401 - passed on
        rule(self, request, forward_pb2.RETRY_UNKNOWN)

    patch.setattr(Router, "_retry", retry)


MUTANTS = (
    Mutant(waits_for_a_candidate, UnitTests(TESTS, "a_candidate_that_nobody_hears")),
    Mutant(hears_a_retry_of_a_left_leader, UnitTests(TESTS, "retry_of_a_left_leader")),
    Mutant(takes_an_unknown_fate_for_an_answer, UnitTests(TESTS, "unknown_fate_is_sent_again")),
    Mutant(asks_who_does_not_lead_again, UnitTests(TESTS, "does_not_lead_is_not_asked_again")),
)
