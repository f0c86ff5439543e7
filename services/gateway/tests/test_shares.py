"""What one user may have under way, whatever others have."""

from contextlib import ExitStack

import pytest
from gateway import shares
from gateway.errors import RequestRefused
from gateway.shares import SUBMISSIONS_MAX, Shares
from wire.errors import Reason, reason_of, retry_ms_of

ANN, BEN = 1, 2


@pytest.mark.parametrize(("kind", "most"), [("call", "CALLS_MAX"), ("stream", "STREAMS_MAX")])
def test_a_user_is_refused_past_the_bound_and_no_other_is(
    kind: str, most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reason of its own, and when to try again."""
    monkeypatch.setattr(shares, most, 3)
    users = Shares()
    begin = getattr(users, kind)
    with ExitStack() as under_way:
        for _ in range(3):
            under_way.enter_context(begin(ANN))
        with pytest.raises(RequestRefused) as refused:
            under_way.enter_context(begin(ANN))
        assert reason_of(refused.value.status) is Reason.RATE_LIMITED
        assert retry_ms_of(refused.value.status)
        assert users.refused_count == 1
        under_way.enter_context(begin(BEN))
        assert len(users) == 2
    assert not len(users)
    with begin(ANN):
        assert len(users) == 1


def test_a_users_streams_share_their_room() -> None:
    """What one stream holds is missing to the others of the user."""
    users = Shares()
    with users.stream(ANN) as first, users.stream(ANN) as second, users.stream(BEN) as other:
        assert first is second
        first.change_submissions(SUBMISSIONS_MAX - 1)
        assert second.has_room.is_set()
        second.change_submissions(1)
        assert not first.has_room.is_set()
        assert other.has_room.is_set()
        second.change_submissions(-1)
        assert first.has_room.is_set()
