"""The chain of the audit log: each record's hash covers the record and the hash before it.

The hash of a record is SHA-256 over the bytes of the hash before it and the record's fields as
JSON: the names sorted, no spaces, every character as it is, in UTF-8. Whoever changes, removes or
adds a record has to change every hash after it, and cannot change the hashes that others keep.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

Value = int | str
_HASH = re.compile(r"([0-9a-f]{64})?")
HASHES = ("previous_hash", "hash")
FIELDS = (
    "id", "time_ms", "revision", "kind", "outcome", "actor_id", "actor", "subject_id", "detail",
    "source", "request_id", "event_count",
)  # fmt: skip


def hash_of(previous_hash: str, fields: Mapping[str, Value]) -> str:
    """Return a record's hash in hexadecimal; `fields` are FIELDS and their values."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(bytes.fromhex(previous_hash) + text.encode()).hexdigest()


def problem_of(records: Iterable[Mapping[str, Value]]) -> str:
    """Return what is wrong with records in the order of their ids, or an empty text.

    Each holds FIELDS and HASHES. What is cut off at either end cannot be seen here: compare the
    first `previous_hash` and the last `hash` with those that were kept elsewhere.
    """
    last: Mapping[str, Value] | None = None
    for record in records:
        problem = _problem_behind(last, record)
        if problem:
            return problem
        last = record
    return ""


def _problem_behind(last: Mapping[str, Value] | None, record: Mapping[str, Value]) -> str:
    number = record.get("id")
    if set(record) != {*FIELDS, *HASHES} or not isinstance(number, int):
        return f"what follows record {last['id'] if last else 0} has not the fields of a record"
    if last is not None and number != int(last["id"]) + 1:
        return f"record {number} follows record {last['id']}"
    before = str(record["previous_hash"])
    if last is not None and before != last["hash"]:
        return f"record {number} does not continue record {last['id']}"
    if (number == 1) != (not before) or not _HASH.fullmatch(before):
        return f"the hash before record {number} is none"
    if hash_of(before, {name: record[name] for name in FIELDS}) != record["hash"]:
        return f"record {number} is not the record that was hashed"
    return ""
