"""What a status becomes: by its code, its reason, and what is known of earlier attempts."""

import pytest
from google.rpc import code_pb2, status_pb2
from inventory_client import (
    InventoryError,
    NotAllowed,
    OutcomeForgotten,
    OutcomeUnknown,
    Refused,
    Unauthenticated,
    Unavailable,
)
from inventory_client.errors import LogInFailed, error_of, may_try_again
from wire import errors
from wire.errors import Reason

BROKEN = {code_pb2.UNKNOWN, code_pb2.INTERNAL}
SILENT = {code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.CANCELLED} | BROKEN
AGAIN = {code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED, code_pb2.CANCELLED}
KINDS = {code_pb2.UNAUTHENTICATED: Unauthenticated, code_pb2.PERMISSION_DENIED: NotAllowed}
CODES = [code for code in code_pb2.Code.values() if code]


def test_an_error_without_a_status_says_what_it_is_given() -> None:
    """Nothing came, and nothing is made up."""
    error = InventoryError("why")
    assert str(error) == "why"
    assert (error.reason, error.details, error.request_id, error.status) == ("", {}, None, None)


@pytest.mark.parametrize("code", CODES, ids=code_pb2.Code.Name)
def test_a_code_without_a_reason_tells_the_kind(code: int) -> None:
    """A proxy's refusal, or a connection that broke: an outcome is unknown only to a mutation."""
    status = status_pb2.Status(code=code, message="why")
    refused = KINDS.get(code, Refused)
    for request_id, unanswered in ((None, False), (None, True), ("mine", False)):
        error = error_of(status, request_id, unanswered=unanswered)
        silence = OutcomeUnknown if request_id else Unavailable
        assert type(error) is (silence if code in SILENT else refused)
        assert (str(error), error.reason, error.details) == ("why", "", {})
        assert (error.request_id, error.status) == (request_id, status)
    assert type(error_of(status, "mine")) is type(error_of(status, "mine", unanswered=False))
    assert may_try_again(status) == (code in AGAIN | BROKEN)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_tells_whether_to_try_again(reason: Reason) -> None:
    """A fault of the inventory itself is no broken connection."""
    status = errors.refusal(reason, "Why.", item_id=7)
    assert may_try_again(status) == (status.code in AGAIN)
    error = error_of(status, "mine")
    assert (error.reason, error.details, error.status) == (reason, {"item_id": "7"}, status)
    assert isinstance(error, OutcomeForgotten) == (reason is Reason.REQUEST_ID_EXPIRED)


def test_a_refusal_after_an_unanswered_attempt_says_both() -> None:
    """What is not known, what to do, and what the last attempt came to."""
    error = error_of(errors.token_invalid("has expired"), "mine", unanswered=True)
    assert type(error) is OutcomeUnknown
    assert str(error) == (
        "An attempt went unanswered, so the outcome is unknown; send it again with the same request"
        " id. The last attempt was refused: The token has expired; log in again."
    )


def test_a_log_in_that_failed_says_why() -> None:
    """As the status does, which is kept."""
    status = errors.invalid_credentials()
    failed = LogInFailed(status)
    assert (str(failed), failed.status) == (status.message, status)
