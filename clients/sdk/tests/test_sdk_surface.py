"""What both clients offer: the same, by the same names."""

import collections.abc
import inspect
from concurrent.futures import Future
from typing import Any, get_args, get_origin

import pytest
from inventory_client import AsyncInventory, Inventory, waiting


def waited_for(returned: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return what a blocking method returns where the asynchronous one returns this."""
    if get_origin(returned) is collections.abc.AsyncIterator:
        return collections.abc.Iterator[get_args(returned)[0]]  # type: ignore[misc]  # a value, no type
    return returned


def surface(client: type) -> dict[str, inspect.Signature | None]:
    """Return the public members of a client, a property without a signature; and how it is made."""
    found: dict[str, inspect.Signature | None] = {}
    for name, member in inspect.getmembers(client):
        if name.startswith("_") and name != "__init__":
            continue
        found[name] = None
        if callable(member):
            signature = inspect.signature(member)
            returned = waited_for(signature.return_annotation)
            found[name] = signature.replace(return_annotation=returned)
    return found


def test_both_clients_have_the_same_methods_with_the_same_signatures() -> None:
    """Names, order, defaults and types of the parameters, and what is returned."""
    assert surface(Inventory) == surface(AsyncInventory)


def test_a_read_is_named_by_what_it_returns() -> None:
    """Nobody has to remember which of them begins with a verb."""
    names = surface(AsyncInventory).keys()
    assert [name for name in names if name.startswith(("get", "list", "fetch", "who"))] == []
    assert {"item", "items", "order", "orders", "current_user", "users"} <= names
    assert {"currency", "stats", "item_stats", "all_item_stats", "status"} <= names


def test_a_timeout_of_the_calls_own_is_no_slice_of_the_wait() -> None:
    """The blocking client waits in slices, whose ends it keeps to itself."""
    failed: Future[None] = Future()
    failed.set_exception(TimeoutError("the call's own"))
    with pytest.raises(TimeoutError, match="the call's own"):
        waiting._result_of(failed)
