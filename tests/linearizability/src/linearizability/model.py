"""The effect of an operation on the levels of its items, and the levels that it must have seen."""

from collections.abc import Mapping

from linearizability.history import JudgedOperation

State = tuple[int, ...]  # levels, in the order of the partition's items


def step(operation: JudgedOperation, state: State, places: Mapping[int, int]) -> State | None:
    """Return the levels after an operation; None if it cannot have happened at `state`.

    `places`: the items' places in the state.
    """
    if operation.kind == "get":
        fits = operation.ok and all(state[places[item]] == level for item, level in operation.seen)
        return state if fits else None
    after = _applied(operation, state, places)
    if operation.ok is False:
        return state if after is None else None
    if after is None:
        return None
    if any(after[places[item]] != level for item, level in operation.seen):
        return None
    return after


def _applied(operation: JudgedOperation, state: State, places: Mapping[int, int]) -> State | None:
    """Return the levels after a mutation; None if the rules refuse the mutation."""
    levels = list(state)
    if operation.exactly is not None:
        [(item, _)] = operation.changes
        quantity, expected = operation.exactly
        if expected is not None and levels[places[item]] != expected:
            return None
        levels[places[item]] = quantity
        return tuple(levels)
    for item, delta in operation.changes:
        levels[places[item]] += delta
        if levels[places[item]] < 0:
            return None
    return tuple(levels)


def is_passive(operation: JudgedOperation) -> bool:
    """Return whether an operation changes no level, so that it may go first wherever it fits."""
    return operation.kind == "get" or operation.ok is False
