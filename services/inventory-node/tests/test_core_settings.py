"""Settings that would only fail later are refused, and those that ship fit one another."""

from dataclasses import replace

import pytest
from inventory_node.core.settings import NodeSettings

GIVEN = NodeSettings(name="node-1", member_id=1, cluster_id="c", members={1: "node-1"})
TICK_MS = 25


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"members": {1: "node-2"}}, "'node-1' is not member 1 of the given members"),
        ({"heartbeat_ticks": 0}, "heartbeat_ticks must be positive"),
        ({"heartbeat_ticks": 12}, "below the election timeout"),
        ({"election_timeout_ticks_max": 12}, "needs a range to be drawn from"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, object], problem: str) -> None:
    """At the start, with what is wrong."""
    with pytest.raises(ValueError, match=problem):
        replace(GIVEN, **changes)  # type: ignore[arg-type]  # of many types


@pytest.mark.parametrize(
    "changes",
    [
        {"members": {2: "node-2"}},  # a member that joins is none of the first
        {"heartbeat_ticks": 1},
        {"heartbeat_ticks": 11},
        {"election_timeout_ticks_max": 13},
    ],
)
def test_the_last_value_that_makes_sense_is_taken(changes: dict[str, object]) -> None:
    """Each bound is exact."""
    assert replace(GIVEN, **changes) is not None  # type: ignore[arg-type]  # of many types
