"""The checker accepts histories that are linearizable, and no others."""

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linearizability import JudgedOperation, check, check_file, checker
from linearizability.__main__ import main
from linearizability.history import NEVER_NS, merge
from linearizability.model import step


def order(  # noqa: PLR0913 - the facts of an operation
    call: int, end: int | None, quantity: int, after: int | None, *, ok: bool | None = True,
    item: int = 1, request_id: str | None = None, client: int = 1,
) -> JudgedOperation:  # fmt: skip
    """Return an order of one item."""
    return JudgedOperation(
        client=client,
        kind="order",
        call_ns=call,
        return_ns=NEVER_NS if end is None else end,
        ok=ok,
        changes=((item, -quantity),),
        seen=() if after is None else ((item, after),),
        request_id=request_id or f"{item}-{call}-{client}",
    )


def get(call: int, end: int, level: int, item: int = 1) -> JudgedOperation:
    """Return a read of one item."""
    return JudgedOperation(
        client=2,
        kind="get",
        call_ns=call,
        return_ns=end,
        ok=True,
        changes=(),
        seen=((item, level),),
        request_id=None,
    )


def test_one_after_the_other() -> None:
    """A history without overlaps is accepted if each result fits the results before."""
    history = [order(0, 1, 2, 8), get(2, 3, 8), order(4, 5, 8, 0), get(6, 7, 0)]
    assert check(history, {1: 10}).ok


def test_giving_up_is_no_pass_and_no_violation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict and the exit status say that the checker proved nothing."""
    monkeypatch.setattr(checker, "STEPS_MAX", 1)
    verdict = check([order(0, 1, 2, 8), order(2, 3, 1, 7)], {1: 10})
    assert (verdict.ok, verdict.gave_up) == (False, True)
    assert "nothing is proven" in verdict.explanation
    line = {"client": 1, "kind": "order", "item": 1, "quantity": 2, "return_ns": 1, "ok": True}
    lines = [
        json.dumps({**line, "call_ns": 0, "request_id": "a", "on_hand_after": 8}),
        json.dumps({**line, "call_ns": 2, "return_ns": 3, "request_id": "b", "on_hand_after": 6}),
    ]
    (tmp_path / "history").write_text("\n".join(lines))
    assert main([str(tmp_path / "history"), "1=10"]) == 2
    assert capsys.readouterr().out.startswith("NOT PROVEN")


def test_a_violation_is_told_although_another_item_was_too_hard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Items are judged apart: a proven violation counts whatever the other item."""
    monkeypatch.setattr(checker, "STEPS_MAX", 1)
    hard = [order(0, 1, 2, 8), order(2, 3, 1, 7)]
    stale = [get(0, 1, 9, item=2)]
    verdict = check([*hard, *stale], {1: 10, 2: 10})
    assert (verdict.ok, verdict.gave_up) == (False, False)
    assert "none of these can be next" in verdict.explanation


def test_a_stale_read_is_rejected() -> None:
    """A read that began after an order's answer must see the order."""
    assert not check([order(0, 1, 2, 8), get(2, 3, 10)], {1: 10}).ok
    assert check([order(0, 4, 2, 8), get(2, 3, 10)], {1: 10}).ok


def test_a_lost_order_is_rejected() -> None:
    """A later order does not see an acknowledged order."""
    assert not check([order(0, 1, 2, 8), order(2, 3, 1, 9)], {1: 10}).ok
    assert not check([order(0, 1, 2, None), get(2, 3, 10)], {1: 10}).ok


def test_a_doubled_order_is_rejected() -> None:
    """An order that was applied twice shows in the level."""
    assert not check([order(0, 1, 2, 8), get(2, 3, 6)], {1: 10}).ok


def test_an_oversold_item_is_rejected() -> None:
    """Two orders cannot both take the last unit."""
    assert not check([order(0, 5, 1, 0), order(0, 5, 1, 0, client=2)], {1: 1}).ok


def test_a_refusal_must_have_been_right() -> None:
    """An order is refused only if the stock is too small at the order's instant."""
    assert check([order(0, 1, 3, None, ok=False)], {1: 2}).ok
    assert not check([order(0, 1, 2, None, ok=False)], {1: 2}).ok
    both = [order(0, 9, 2, 0), order(0, 9, 2, None, ok=False, client=2)]
    assert check(both, {1: 2}).ok


def test_an_unknown_outcome_may_have_happened_or_not() -> None:
    """The operation happens once at any instant after its call, or never."""
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
    """The request was applied twice."""
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
    """Each item alone is linearizable; both together contradict the order of two reads."""
    pair = JudgedOperation(
        client=1,
        kind="place_order",
        call_ns=0,
        return_ns=10,
        ok=True,
        changes=((1, -1), (2, -1)),
        seen=(),
        request_id="p",
    )
    history = [pair, get(1, 2, 9, item=1), get(3, 4, 10, item=2)]
    assert not check(history, {1: 10, 2: 10}).ok
    apart = [order(0, 10, 1, 9), order(0, 10, 1, 9, item=2, client=3), *history[1:]]
    assert check(apart, {1: 10, 2: 10}).ok


def linearizable_by_brute_force(history: list[JudgedOperation], initial: dict[int, int]) -> bool:
    """Try every order of every choice of unknown outcomes."""
    certain = [one for one in history if one.ok is not None]
    unknown = [one for one in history if one.ok is None]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            for ordered in itertools.permutations([*certain, *chosen]):
                if _explains(ordered, initial):
                    return True
    return False


def _explains(ordered: tuple[JudgedOperation, ...], initial: dict[int, int]) -> bool:
    for place, later in enumerate(ordered):
        if any(later.return_ns < earlier.call_ns for earlier in ordered[:place]):
            return False
    places = {item: place for place, item in enumerate(sorted(initial))}
    state: tuple[int, ...] | None = tuple(initial[item] for item in sorted(initial))
    for operation in ordered:
        state = step(operation, state, places) if state is not None else None
    return state is not None


def any_operation(draw: random.Random, number: int) -> JudgedOperation:
    """Return a random operation on one or two of two items."""
    call = draw.randint(0, 12)
    end = call + draw.randint(1, 6)
    item = draw.choice([1, 1, 1, 2])
    kind = draw.choice(["get", "get", "order", "order", "adjust", "set", "place_order"])
    if kind == "get":
        return get(call, end, draw.randint(0, 4), item)
    changes: tuple[tuple[int, int], ...] = ((item, -draw.randint(1, 2)),)
    exactly = None
    if kind == "adjust":
        changes = ((item, draw.choice([-1, 1, 2])),)
    elif kind == "set":
        changes = ((item, 0),)
        exactly = (draw.randint(0, 3), draw.choice([None, 1, 2]))
    elif kind == "place_order":
        changes = ((1, -1), (2, -draw.randint(1, 2)))
    ok = draw.choice([True, True, False, None, None])
    seen = tuple((one, draw.randint(0, 3)) for one, _ in changes if ok)
    if exactly is not None and ok:
        seen = ((item, exactly[0]),)
    return JudgedOperation(
        client=number,
        kind=kind,
        call_ns=call,
        return_ns=NEVER_NS if ok is None else end,
        ok=ok,
        changes=changes,
        seen=seen,
        request_id=str(number),
        exactly=exactly,
    )


def test_an_unknown_count_may_need_an_unknown_order_before_it() -> None:
    """The set expects 1, and only the unanswered order makes the level 1."""
    order_first = order(1, None, 2, None, ok=None)
    then_set = JudgedOperation(
        client=2,
        kind="set",
        call_ns=4,
        return_ns=NEVER_NS,
        ok=None,
        changes=((1, 0),),
        seen=(),
        request_id="s",
        exactly=(2, 1),
    )
    assert check([get(7, 13, 2), then_set, order_first], {1: 3}).ok
    assert not check([get(7, 13, 2), then_set], {1: 3}).ok


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
@pytest.mark.slow
def test_small_histories_are_judged_as_brute_force_judges_them(seed: int) -> None:
    """Kinds, times and results are random; some of the results are right."""
    draw = random.Random(seed)
    history = [any_operation(draw, number) for number in range(draw.randint(1, 6))]
    expected = linearizable_by_brute_force(history, {1: 3, 2: 2})
    assert check(history, {1: 3, 2: 2}).ok == expected


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


LEVEL = 400


def long_history(seed: int, operations: int = 30_000, unknowns: int = 100) -> list[JudgedOperation]:
    """Eight clients at work on one item, with stock that runs out and is filled up.

    Every operation happens at an instant between its call and its end. About `unknowns` of them
    have no answer; half of these never happened, the others at any time after their call.
    """
    draw = random.Random(seed)
    free_at = [0] * 8
    planned = []
    for number in range(operations):
        client = min(range(8), key=free_at.__getitem__)
        call = free_at[client] + draw.randint(1, 20)
        end = call + draw.randint(1, 100)
        free_at[client] = end
        is_unknown = draw.random() < unknowns / operations
        instant = call + draw.randint(0, end - call)
        if is_unknown:
            instant = draw.choice([NEVER_NS, instant, call + draw.randint(0, 20_000)])
        planned.append((instant, number, call, end, client, is_unknown))
    level, history = LEVEL, []
    for instant, number, call, end, client, is_unknown in sorted(planned):
        turn = draw.random()
        quantity = draw.randint(1, 3)
        delta = -quantity if turn < 0.7 or is_unknown else 2 * LEVEL if not level else 0
        kind = "get" if not delta else "order" if delta < 0 else "adjust"
        ok: bool | None = None if is_unknown else level + delta >= 0
        if level + delta >= 0 and instant < NEVER_NS:
            level += delta
        seen = ((1, level),) if ok else ()
        changes = ((1, delta),) if delta else ()
        ends = NEVER_NS if is_unknown else end
        history.append(
            JudgedOperation(
                client=client,
                kind=kind,
                call_ns=call,
                return_ns=ends,
                ok=ok,
                changes=changes,
                seen=seen,
                request_id=str(number),
            )
        )
    return history


def with_a_stale_read(history: list[JudgedOperation]) -> None:
    """Let a read in the middle see the level of a while before."""
    reads = [place for place, one in enumerate(history) if one.kind == "get"]
    middle = len(reads) // 2
    history[reads[middle]] = replace(history[reads[middle]], seen=history[reads[middle - 20]].seen)


def with_a_lost_order(history: list[JudgedOperation]) -> None:
    """Add an acknowledged order whose effect no level shows."""
    orders = [one for one in history if one.kind == "order" and one.ok]
    lost = orders[len(orders) // 2]
    history.append(replace(lost, changes=((1, -5),), seen=(), request_id="lost"))


def with_a_doubled_order(history: list[JudgedOperation]) -> None:
    """Let the levels go down by an order more than once."""
    places = [place for place, one in enumerate(history) if one.kind == "order" and one.ok]
    place = places[len(places) // 2]
    for later in range(place, len(history)):
        [(item, level)] = history[later].seen or ((1, None),)
        if level is not None:
            history[later] = replace(history[later], seen=((item, level - 500),))


def with_two_exchanged(history: list[JudgedOperation]) -> None:
    """Let the later of two orders have happened first."""
    places = [place for place, one in enumerate(history) if one.kind == "order" and one.ok]
    first = places[len(places) // 2]
    second = next(
        place for place in places if history[place].call_ns > history[first].return_ns + 200
    )
    one, other = history[first], history[second]
    history[first] = replace(one, changes=other.changes, seen=other.seen)
    history[second] = replace(other, changes=one.changes, seen=one.seen)


def crowded_history(seed: int, clients: int = 24, operations: int = 2_000) -> list[JudgedOperation]:
    """Return a history of many clients at one item, whose level goes up and down."""
    draw = random.Random(seed)
    free_at = [0] * clients
    planned = []
    for number in range(operations):
        client = min(range(clients), key=free_at.__getitem__)
        call = free_at[client] + draw.randint(1, 50)
        instant = call + draw.randint(1, 1_000)
        free_at[client] = end = instant + draw.randint(1, 500)
        planned.append((instant, number, call, end, client))
    level, history = 10_000, []
    for _, number, call, end, client in sorted(planned):
        delta = draw.choice([0, -1, -1, -1, -2, -3, 3, 5])
        level += delta
        kind = "adjust" if delta else "get"
        changes = ((1, delta),) if delta else ()
        seen = ((1, level),)
        history.append(
            JudgedOperation(
                client=client,
                kind=kind,
                call_ns=call,
                return_ns=end,
                ok=True,
                changes=changes,
                seen=seen,
                request_id=str(number),
            )
        )
    return history


@pytest.mark.parametrize("seed", range(4))
def test_a_crowd_at_one_item_is_accepted(seed: int) -> None:
    """The checker takes operations that did and saw the same as one choice."""
    verdict = check(crowded_history(seed), {1: 10_000})
    assert verdict.ok, verdict.explanation


FAULTS = [with_a_stale_read, with_a_lost_order, with_a_doubled_order, with_two_exchanged]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_with_many_unknown_outcomes_is_accepted(seed: int) -> None:
    """Thirty thousand operations of eight clients, a hundred without an answer."""
    verdict = check(long_history(seed), {1: LEVEL})
    assert verdict.ok, verdict.explanation


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_long_history_is_found(fault: Callable[[list[JudgedOperation]], None]) -> None:
    """The checker finds the fault whatever the number of unknown outcomes."""
    history = long_history(7, operations=6_000, unknowns=60)
    fault(history)
    verdict = check(history, {1: LEVEL})
    assert not verdict.ok
    assert "can be ordered" in verdict.explanation


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"kind": "steal", "call_ns": 1, "ok": true}'])
def test_a_line_that_is_no_operation_is_an_error(line: str, tmp_path: Path) -> None:
    """The checker does not judge a history that it cannot read."""
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n")
    with pytest.raises((ValueError, KeyError)):
        check_file(path, {1: 1})
