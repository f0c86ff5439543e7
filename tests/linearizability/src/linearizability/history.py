"""Reads a history: JSON lines in, operations out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

NEVER_NS = 2**63


class Contradiction(Exception):  # noqa: N818 - it names the fact
    """Two attempts of one request were answered differently: the request was applied twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedOperation:
    """One operation: its request, its time, and its answer.

    `changes`: (item, delta) of a mutation; empty for a read. `seen`: (item, level after the
    operation), from the answer. `ok`: None for an unknown outcome. `exactly`: for an operation that
    sets a count outright, (count, count that it expected before, or None).
    """

    client: int
    kind: str
    call_ns: int
    return_ns: int  # NEVER_NS for an unknown outcome
    ok: bool | None
    changes: tuple[tuple[int, int], ...]
    seen: tuple[tuple[int, int], ...]
    request_id: str | None
    exactly: tuple[int, int | None] | None = None
    reason: str | None = None

    @property
    def items(self) -> tuple[int, ...]:
        """Every item that the operation touches."""
        touched = [item for item, _ in self.changes] + [item for item, _ in self.seen]
        return tuple(dict.fromkeys(touched))


def parse(line: str) -> JudgedOperation:
    """Read an attempt; raise ValueError or KeyError for a line that holds none."""
    told: dict[str, Any] = json.loads(line)
    changes: tuple[tuple[int, int], ...]
    seen: tuple[tuple[int, int], ...] = ()
    exactly = None
    after = told.get("on_hand_after")
    match told["kind"]:
        case "get":
            changes = ()
        case "order":
            changes = ((told["item"], -told["quantity"]),)
        case "adjust":
            changes = ((told["item"], told["delta"]),)
        case "set":
            changes = ((told["item"], 0),)
            exactly = (told["quantity"], told.get("expected"))
        case "place_order":
            changes = tuple((one["item"], -one["quantity"]) for one in told["lines"])
            seen = tuple(
                (one["item"], one["on_hand_after"])
                for one in told["lines"]
                if one.get("on_hand_after") is not None
            )
        case other:
            raise ValueError(f"{other!r} is no kind of operation")
    if after is not None and "item" in told:
        seen = ((told["item"], after),)
    return JudgedOperation(
        client=told["client"],
        kind=told["kind"],
        call_ns=told["call_ns"],
        return_ns=NEVER_NS if told["ok"] is None else told["return_ns"],
        ok=told["ok"],
        changes=changes,
        seen=seen,
        request_id=told.get("request_id"),
        exactly=exactly,
        reason=told.get("reason"),
    )


def merge(attempts: Iterable[JudgedOperation]) -> list[JudgedOperation]:
    """Make one operation of all attempts with one request id.

    The operation lasts from the first call to the first answer. Unanswered reads are dropped.
    """
    merged: dict[object, JudgedOperation] = {}
    for number, attempt in enumerate(sorted(attempts, key=lambda one: one.call_ns)):
        if attempt.request_id is None:
            if attempt.ok is not None:
                merged[number] = attempt
            continue
        key = (attempt.client, attempt.request_id)
        before = merged.get(key)
        if before is None:
            merged[key] = attempt
        elif before.ok is None:
            merged[key] = replace(attempt, call_ns=before.call_ns)
        elif attempt.ok is not None:
            if (before.ok, before.seen) != (attempt.ok, attempt.seen):
                raise Contradiction(f"{before} was answered again as {attempt}")
            earlier = min(before.return_ns, attempt.return_ns)
            merged[key] = replace(before, return_ns=earlier)
    return list(merged.values())


def read(lines: Iterable[str]) -> list[JudgedOperation]:
    """Read a history."""
    return merge(parse(line) for line in lines if line.strip())
