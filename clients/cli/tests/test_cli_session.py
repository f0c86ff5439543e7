"""The explanation of a call that brought no result."""

import pytest
from inventory_cli.session import explain
from inventory_client import InventoryError, Unavailable
from inventory_client.errors import error_of
from wire import errors

ADDRESS = "127.0.0.1:50051"
STALE = "--max-staleness 0"


@pytest.mark.parametrize("reachable", [False, True])
def test_a_read_without_a_majority_names_the_option_that_needs_none(*, reachable: bool) -> None:
    """A read changes nothing, so the explanation has no request id."""
    status = errors.not_read(reachable=reachable, is_stale_ok=False, may_be_stale=True)
    text = explain(error_of(status, None), ADDRESS)
    assert f"inventory {STALE} COMMAND" in text
    assert "request id" not in text
    assert "--request-id" not in text


@pytest.mark.parametrize(
    "error",
    [
        error_of(errors.not_read(reachable=False, is_stale_ok=True, may_be_stale=False), None),
        error_of(errors.not_initialized(), None),
        error_of(errors.no_quorum(), "a"),
        Unavailable("nobody is there"),
    ],
)
def test_nothing_else_names_it(error: InventoryError) -> None:
    """`--max-staleness` would not help against the other errors."""
    assert STALE not in explain(error, ADDRESS)
