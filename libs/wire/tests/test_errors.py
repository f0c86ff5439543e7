"""Refusals are told in one way, and read back from it."""

import inspect

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from wire import errors
from wire.errors import CODES, Reason, details_of, reason_of, refusal, retry_ms_of

EXAMPLES: dict[str, object] = {
    "name": "node-9", "member": "node-9",
    "item_id": 3, "order_id": 4, "user_id": 5, "session_id": 6,
    "requested": 9, "available": 2, "expected": "USD", "actual": "EUR",
    "quantity": 7, "most": 6, "digits": 2, "request_id": "a", "username": "Ann",
    "field": "name", "problem": "is bad", "role": "customer", "needed": "admin",
    "made": 1_000, "now": 91_000,
    "error_id": "0badcafe", "reachable": True, "is_stale_ok": False, "may_be_stale": True,
    "retry_ms": 7_000,
}  # fmt: skip


def told() -> list[status_pb2.Status]:
    """Return one refusal of each kind."""
    makers = [
        maker
        for name, maker in inspect.getmembers(errors, inspect.isfunction)
        if inspect.signature(maker).return_annotation is status_pb2.Status
        and maker is not refusal
        and not name.startswith("_")
    ]
    return [
        maker(**{name: EXAMPLES[name] for name in inspect.signature(maker).parameters})
        for maker in makers
    ]


def test_every_reason_has_a_code_and_a_sentence() -> None:
    """The list is whole: no reason without a maker, no maker without a reason."""
    assert set(CODES) == set(Reason)
    assert {reason_of(status) for status in told()} == set(Reason)


@pytest.mark.parametrize("status", told(), ids=lambda status: str(reason_of(status)))
def test_a_refusal_is_read_back(status: status_pb2.Status) -> None:
    """Reason, code and details survive the wire; the sentence says something and ends."""
    again = status_pb2.Status.FromString(status.SerializeToString())
    reason = reason_of(again)
    assert reason is not None
    assert again.code == CODES[reason]
    assert again.message.endswith(".")
    assert len(again.message.split()) > 3


def test_insufficient_stock_says_requested_and_available() -> None:
    """A program can tell how much there would be."""
    status = errors.insufficient_stock(3, 9, 2)
    assert details_of(status) == {"item_id": "3", "requested": "9", "available": "2"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (90_000, "25 hours"),
        (86_400 * 3 - 1, "2 days"),
        (301, "5 minutes"),
        (119, "119 seconds"),
        (2**48 // 1_000, "3257812 days"),
    ],
)
def test_a_request_id_of_a_wrong_clock_is_told_so(seconds: int, said: str) -> None:
    """How far the clock is off, in both directions, and as numbers for programs."""
    behind = errors.request_id_expired("mine", 0, seconds)
    assert f"a time {said} behind the inventory's" in behind.message
    assert (
        f"the clock that made it is {said} behind the inventory's: set it right" in behind.message
    )
    assert "the outcome is unknown" in behind.message
    ahead = errors.request_id_in_future("mine", seconds, 0)
    assert f"a time {said} ahead of the inventory's" in ahead.message
    assert "nothing was done. The clock that made it is ahead of the inventory's" in ahead.message
    assert details_of(ahead)["id_time"] == details_of(behind)["inventory_time"] == str(seconds)


def test_what_is_exhausted_says_when_to_try_again() -> None:
    """And nothing else does: there, another try is the caller's own affair."""
    for status in told():
        assert (retry_ms_of(status) is not None) == (status.code == code_pb2.RESOURCE_EXHAUSTED)
    assert retry_ms_of(errors.disk_full("node-0")) == errors.DISK_FULL_RETRY_MS


def test_refusals_are_the_same_bytes_in_every_process() -> None:
    """They are replicated state; by default a map's order on the wire differs by process."""
    status = errors.insufficient_stock(3, 9, 2)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert status.details[0].value == info.SerializeToString(deterministic=True)


def test_a_status_of_other_origin_has_no_reason() -> None:
    """Another domain's reasons, and a later version's, are not mistaken for ours."""
    assert reason_of(status_pb2.Status(code=14)) is None
    other = status_pb2.Status(code=5)
    other.details.add().Pack(error_details_pb2.ErrorInfo(reason="GONE", domain="elsewhere"))
    assert reason_of(other) is None
    later = status_pb2.Status(code=5)
    later.details.add().Pack(error_details_pb2.ErrorInfo(reason="LATER", domain="inventory"))
    assert reason_of(later) is None
    assert details_of(later) == {}
