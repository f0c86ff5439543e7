"""A chain of records: whole, or where it is not."""

import hashlib

import pytest
from wire.audit import Value, hash_of, problem_of

Record = dict[str, Value]


def chain(count: int) -> list[Record]:
    """Return records that are whole."""
    records: list[Record] = []
    for number in range(1, count + 1):
        fields: Record = {
            "id": number, "time_ms": 7, "revision": number, "kind": "login", "outcome": "OK",
            "actor_id": 1, "actor": "Ö \u2028", "subject_id": 0, "detail": "", "source": "::1",
            "request_id": "", "event_count": 1,
        }  # fmt: skip
        before = records[-1]["hash"] if records else ""
        own = hash_of(str(before), fields)
        records.append({**fields, "previous_hash": before, "hash": own})
    return records


def test_a_whole_chain_has_no_problem_wherever_it_begins() -> None:
    """The oldest records go, and those behind them stay whole."""
    assert problem_of(chain(4)) == ""
    assert problem_of(chain(4)[2:]) == ""
    assert problem_of([]) == ""


def test_the_hash_is_of_bytes_that_anybody_can_make() -> None:
    """The hash before, then JSON with sorted names and no spaces."""
    text = b'{"count":1,"id":2}'
    assert hash_of("00ff", {"id": 2, "count": 1}) == hashlib.sha256(b"\x00\xff" + text).hexdigest()


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (1, "actor", "Eve"),
        (1, "time_ms", 8),
        (1, "hash", "00" * 32),
        (1, "previous_hash", "00" * 32),
        (1, "previous_hash", "xx"),
        (1, "previous_hash", ""),
        (0, "previous_hash", "00" * 32),
        (1, "id", 7),
        (1, "id", "2"),
        (1, "more", 1),
    ],
)
def test_a_record_that_was_changed_is_found(number: int, field: str, value: Value) -> None:
    """Whatever was changed in it."""
    records = chain(3)
    records[number][field] = value
    assert problem_of(records)


def test_a_record_that_was_removed_or_added_is_found() -> None:
    """Unless it stood at an end."""
    records = chain(4)
    assert problem_of([records[0], *records[2:]])
    assert problem_of([records[0], records[0], *records[1:]])
    assert problem_of([records[1], records[0]])
