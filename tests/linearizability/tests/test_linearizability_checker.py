"""The checker accepts what could have been, and nothing else."""

import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linearizability import Operation, check, check_file
from linearizability.history import NEVER_NS, merge
from linearizability.model import step


def order(  # noqa: PLR0913 - the facts of an operation
    call: int, end: int | None, quantity: int, after: int | None, *, ok: bool | None = True,
    item: int = 1, request_id: str | None = None, client: int = 1,
) -> Operation:  # fmt: skip
    """Return an order of one item."""
    return Operation(
        client=client,
        kind="order",
        call_ns=call,
        return_ns=NEVER_NS if end is None else end,
        ok=ok,
        changes=((item, -quantity),),
        seen=() if after is None else ((item, after),),
        request_id=request_id or f"{item}-{call}-{client}",
    )


def get(call: int, end: int, level: int, item: int = 1) -> Operation:
    """Return a read of one item."""
    return Operation(
        2, "get", call, end, ok=True, changes=(), seen=((item, level),), request_id=None
    )


def test_one_after_the_other() -> None:
    """What happened in sequence is accepted."""
    history = [order(0, 1, 2, 8), get(2, 3, 8), order(4, 5, 8, 0), get(6, 7, 0)]
    assert check(history, {1: 10}).ok


def test_a_stale_read_is_rejected() -> None:
    """A read that began after an order was answered must see it."""
    assert not check([order(0, 1, 2, 8), get(2, 3, 10)], {1: 10}).ok
    assert check([order(0, 4, 2, 8), get(2, 3, 10)], {1: 10}).ok


def test_a_lost_order_is_rejected() -> None:
    """An acknowledged order that a later order does not see."""
    assert not check([order(0, 1, 2, 8), order(2, 3, 1, 9)], {1: 10}).ok
    assert not check([order(0, 1, 2, None), get(2, 3, 10)], {1: 10}).ok


def test_a_doubled_order_is_rejected() -> None:
    """An order that was applied twice shows in the level."""
    assert not check([order(0, 1, 2, 8), get(2, 3, 6)], {1: 10}).ok


def test_an_oversold_item_is_rejected() -> None:
    """Two orders cannot both take the last one."""
    assert not check([order(0, 5, 1, 0), order(0, 5, 1, 0, client=2)], {1: 1}).ok


def test_a_refusal_must_have_been_right() -> None:
    """An order is refused only when there is too little at its instant."""
    assert check([order(0, 1, 3, None, ok=False)], {1: 2}).ok
    assert not check([order(0, 1, 2, None, ok=False)], {1: 2}).ok
    both = [order(0, 9, 2, 0), order(0, 9, 2, None, ok=False, client=2)]
    assert check(both, {1: 2}).ok


def test_an_unknown_outcome_may_have_happened_or_not() -> None:
    """At any later instant, but not before its call, and once."""
    unknown = order(0, None, 2, None, ok=None)
    assert check([unknown, get(5, 6, 8)], {1: 10}).ok
    assert check([unknown, get(5, 6, 10)], {1: 10}).ok
    assert check([unknown, get(5, 6, 10), get(7, 8, 8)], {1: 10}).ok
    assert not check([unknown, get(5, 6, 8), get(7, 8, 10)], {1: 10}).ok
    assert not check([unknown, get(5, 6, 6)], {1: 10}).ok
    late = order(7, None, 2, None, ok=None)
    assert not check([late, get(5, 6, 8)], {1: 10}).ok


def test_attempts_with_one_request_id_are_one_operation() -> None:
    """From the first call to the first answer."""
    attempts = [
        order(0, None, 2, None, ok=None, request_id="a"),
        order(10, 11, 2, 8, request_id="a"),
    ]
    [merged] = merge(attempts)
    assert (merged.call_ns, merged.return_ns, merged.ok) == (0, 11, True)
    assert check(merge([*attempts, get(5, 6, 8)]), {1: 10}).ok


def test_one_request_with_two_outcomes_is_rejected(tmp_path: Path) -> None:
    """It was applied twice."""
    line = {"client": 1, "kind": "order", "item": 1, "quantity": 1, "request_id": "a", "ok": True}
    path = tmp_path / "history.jsonl"
    path.write_text(
        json.dumps(line | {"call_ns": 0, "return_ns": 1, "on_hand_after": 9})
        + "\n"
        + json.dumps(line | {"call_ns": 2, "return_ns": 3, "on_hand_after": 8})
        + "\n"
    )
    assert not check_file(path, {1: 10}).ok


def test_items_of_one_operation_are_judged_together() -> None:
    """Each item alone would do; together they contradict the order of the two reads."""
    pair = Operation(
        1, "place_order", 0, 10, ok=True, changes=((1, -1), (2, -1)), seen=(), request_id="p"
    )
    history = [pair, get(1, 2, 9, item=1), get(3, 4, 10, item=2)]
    assert not check(history, {1: 10, 2: 10}).ok
    apart = [order(0, 10, 1, 9), order(0, 10, 1, 9, item=2, client=3), *history[1:]]
    assert check(apart, {1: 10, 2: 10}).ok


def linearizable_by_brute_force(history: list[Operation], initial: int) -> bool:
    """Try every order of every choice of unknown outcomes."""
    certain = [one for one in history if one.ok is not None]
    unknown = [one for one in history if one.ok is None]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            for ordered in itertools.permutations([*certain, *chosen]):
                if _explains(ordered, initial):
                    return True
    return False


def _explains(ordered: tuple[Operation, ...], initial: int) -> bool:
    for place, later in enumerate(ordered):
        if any(later.return_ns < earlier.call_ns for earlier in ordered[:place]):
            return False
    state: tuple[int, ...] | None = (initial,)
    for operation in ordered:
        state = step(operation, state, {1: 0}) if state is not None else None
    return state is not None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_small_histories_are_judged_as_brute_force_judges_them(seed: int) -> None:
    """Random times, random results, some of them true."""
    draw = random.Random(seed)
    history = []
    for number in range(draw.randint(1, 5)):
        call = draw.randint(0, 12)
        end = call + draw.randint(1, 6)
        if draw.random() < 0.4:
            history.append(get(call, end, draw.randint(0, 4)))
        else:
            ok = draw.choice([True, True, False, None])
            after = draw.randint(0, 3) if ok else None
            history.append(
                order(call, None if ok is None else end, draw.randint(1, 2), after, ok=ok,
                      client=number, request_id=str(number))
            )  # fmt: skip
    assert check(history, {1: 4}).ok == linearizable_by_brute_force(history, 4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_real_executions_are_accepted_and_a_changed_level_is_not(seed: int) -> None:
    """Instants in sequence, widened to overlapping intervals; some outcomes are forgotten."""
    draw = random.Random(seed)
    level, history = 500, []
    for number in range(200):
        instant = number * 10
        call, end = instant - draw.randint(1, 60), instant + draw.randint(1, 60)
        quantity = draw.randint(1, 9)
        if draw.random() < 0.3:
            history.append(get(call, end, level))
        elif quantity > level:
            history.append(order(call, end, quantity, None, ok=False, client=number))
        else:
            level -= quantity
            known = draw.random() > 0.05
            history.append(
                order(call, end if known else None, quantity, level if known else None,
                      ok=True if known else None, client=number, request_id=str(number))
            )  # fmt: skip
    assert check(history, {1: 500}).ok
    assert not check([*history, get(10**6, 10**6 + 1, level + 501)], {1: 500}).ok


def test_a_long_history_is_judged_in_little_time() -> None:
    """Eight clients, some thousands of operations: the window is small, so the work is too."""
    draw = random.Random(7)
    level, history = 10**6, []
    for number in range(4_000):
        instant = number * 10
        level -= 1
        history.append(
            order(instant - draw.randint(1, 40), instant + draw.randint(1, 40), 1, level,
                  client=number % 8, request_id=str(number))
        )  # fmt: skip
    assert check(history, {1: 10**6}).ok


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"kind": "steal", "call_ns": 1, "ok": true}'])
def test_a_line_that_is_no_operation_is_an_error(line: str, tmp_path: Path) -> None:
    """A history that cannot be read is not judged."""
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n")
    with pytest.raises((ValueError, KeyError)):
        check_file(path, {1: 1})
