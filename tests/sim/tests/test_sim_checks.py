"""The checks see what they are for."""

import pytest
from inventory_node.machine import Kept
from raft.messages import Entry, EntryKind
from raft.ready import Role
from sim.checks import Checks, SafetyViolation, State, check_history, check_order
from sim.clients import Operation, Read

START = {1: 10}


def order(order_id: int, quantity: int = 1, *, refused: str = "") -> Operation:
    """Return an order that was answered."""
    return Operation(
        client=1,
        request_id=f"r{order_id}",
        item_id=1,
        quantity=quantity,
        is_order=True,
        mutation=b"",
        call_us=1,
        floor=0,
        revision=order_id,
        return_us=2,
        order_id=order_id,
        refused=refused,
    )


def test_a_history_that_fits_passes() -> None:
    """Refusals change nothing."""
    history = [order(1), order(2, 3), order(0, 50, refused="not enough")]
    check_history(history, START, State({1: 6}, ((1, 1, 1), (2, 1, 3))))


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (State({1: 9}, ((1, 1, 1),)), "lost"),
        (State({1: 6}, ((1, 1, 1), (2, 1, 2), (2, 1, 2))), "twice"),
        (State({1: 6}, ((1, 1, 1), (2, 1, 2), (3, 1, 1))), "not acknowledged"),
        (State({1: 8}, ((1, 1, 1), (2, 1, 2))), "stock"),
    ],
    ids=["lost", "doubled", "invented", "oversold"],
)
def test_a_state_that_does_not_fit_is_found(state: State, problem: str) -> None:
    """An acknowledged order that is gone, one that is there twice, one of nobody, wrong stock."""
    with pytest.raises(SafetyViolation, match=problem):
        check_history([order(1), order(2, 2)], START, state)


def test_reads_of_their_revision_pass() -> None:
    """Before, between and after two orders."""
    reads = [Read(1, 0, 0, 10), Read(1, 1, 1, 9), Read(1, 1, 7, 7)]
    check_order([order(1), order(2, 2)], reads, START)


@pytest.mark.parametrize(
    "read",
    [Read(1, 2, 1, 9), Read(1, 0, 2, 9)],
    ids=["stale", "of no revision"],
)
def test_a_read_that_does_not_fit_is_found(read: Read) -> None:
    """One that shows less than was known before it, one that shows what never was."""
    with pytest.raises(SafetyViolation, match="a read of item 1"):
        check_order([order(1), order(2, 2)], [read], START)


def test_a_mutation_before_what_was_known_is_found() -> None:
    """Real time orders what does not overlap."""
    late = order(2)
    late.floor = 5
    with pytest.raises(SafetyViolation, match="was known when it was asked for"):
        check_order([late], [], START)


def test_an_unknown_outcome_is_found() -> None:
    """The end is judged only when every client knows."""
    open_order = order(1)
    open_order.return_us = None
    with pytest.raises(SafetyViolation, match="not known"):
        check_history([open_order], START, State(START, ()))


def test_two_leaders_of_a_term_are_found() -> None:
    """Election safety (Raft Figure 3)."""
    checks = Checks()
    checks.member(1, Role.LEADER, 4, 0)
    checks.member(1, Role.LEADER, 4, 5)
    checks.member(2, Role.LEADER, 5, 0)
    with pytest.raises(SafetyViolation, match="both lead term 4"):
        checks.member(2, Role.LEADER, 4, 0)


def test_a_leader_without_what_was_applied_is_found() -> None:
    """Leader completeness (Raft §5.4)."""
    checks = Checks()
    checks.started(1, 0)
    checks.entry(1, Entry(1, 1, EntryKind.NOOP, b""), [])
    with pytest.raises(SafetyViolation, match="log up to 0"):
        checks.member(2, Role.LEADER, 2, 0)


def test_members_that_apply_different_things_are_found() -> None:
    """State machine safety (Raft Figure 3), of entries and of outcomes."""
    checks = Checks()
    for member in (1, 2, 3):
        checks.started(member, 0)
    checks.entry(1, Entry(1, 1, EntryKind.COMMAND, b"a"), [Kept(b"x")])
    with pytest.raises(SafetyViolation, match="another entry"):
        checks.entry(2, Entry(1, 1, EntryKind.COMMAND, b"b"), [Kept(b"x")])
    with pytest.raises(SafetyViolation, match="another entry"):
        checks.entry(3, Entry(1, 1, EntryKind.COMMAND, b"a"), [Kept(b"y")])


def test_an_entry_that_is_applied_twice_is_found() -> None:
    """Within one life of a process."""
    checks = Checks()
    checks.started(1, 0)
    checks.entry(1, Entry(1, 1, EntryKind.NOOP, b""), [])
    with pytest.raises(SafetyViolation, match="applies 1 after 1"):
        checks.entry(1, Entry(1, 1, EntryKind.NOOP, b""), [])
