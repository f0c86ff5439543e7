"""Write the tables of docs/api.md: calls from the schema, reasons from `wire.errors`.

Run with --check to fail where they are not what would be written.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from typing import get_type_hints

import schema
from generate_client import METHODS
from google.rpc import code_pb2, status_pb2
from inventory_client import OutcomeForgotten
from inventory_client.errors import error_of, may_try_again, tells_nothing
from wire import errors
from wire.errors import Reason

DOCUMENT = schema.ROOT / "docs" / "api.md"
MARK = "<!-- {name}: written by tools/generate_api.py -->"
END = "<!-- end -->"
FOLDER = "inventory/v1"
SAYING = re.compile(r"^Say (that |why )?")
ARGUMENTS = {int: 1, str: "x", bool: True}


def calls() -> Iterator[str]:
    """Yield the lines of a table for each service."""
    for file in schema.read(schema.files(FOLDER)):
        for service in file.service:
            full_name = f"{file.package}.{service.name}"
            yield f"### `{full_name}`\n"
            yield "| call | who | request id | in Python | what |"
            yield "|---|---|---|---|---|"
            for method in METHODS[full_name]:
                has_id = "yes" if "request_id" in method.request.fields_by_name else "-"
                python = "-" if method.is_by_hand else f"`{method.name}`"
                said = " ".join(method.comment.split())
                yield f"| `{method.rpc.name}` | {method.who} | {has_id} | {python} | {said} |"
            yield ""


def refusals() -> dict[Reason, tuple[status_pb2.Status, str]]:
    """Return, for each reason, an example of its refusal and the refusal's documentation."""
    found: dict[Reason, tuple[status_pb2.Status, str]] = {}
    for name, function in inspect.getmembers(errors, inspect.isfunction):
        hints = get_type_hints(function)
        if name.startswith("_") or function is errors.refusal:
            continue
        if hints.pop("return") is status_pb2.Status:
            status = function(**{parameter: ARGUMENTS[kind] for parameter, kind in hints.items()})
            reason = errors.reason_of(status)
            said = (inspect.getdoc(function) or "").partition("\n")[0]
            if reason is None:
                continue
            # Of several refusals with a reason, the refusal named like the reason counts.
            if reason not in found or name == reason.value.lower():
                said = SAYING.sub("", said.partition(";")[0].rstrip("."))
                found[reason] = status, said
    return found


def again(status: status_pb2.Status) -> str:
    """Return whether a request that was refused for a reason may be sent again."""
    if isinstance(error_of(status, "mine"), OutcomeForgotten):
        return "no; the outcome stays unknown, so look whether it took effect"
    if tells_nothing(status):
        return "yes, the same request; the outcome is unknown until then"
    if may_try_again(status):
        retry_ms = errors.retry_ms_of(status) or 0
        return f"yes, the same request, after {retry_ms} ms or more; nothing was done"
    return "no; nothing was changed"


def reasons() -> Iterator[str]:
    """Yield the lines of the table of reasons."""
    said = refusals()
    yield "| reason | gRPC code | what is the case | details | again? |"
    yield "|---|---|---|---|---|"
    for reason in Reason:
        if reason not in said:
            sys.exit(f"no function of wire.errors makes {reason}")
        status, meaning = said[reason]
        code = code_pb2.Code.Name(code_pb2.Code.ValueType(status.code))
        details = ", ".join(f"`{name}`" for name in sorted(errors.details_of(status)))
        yield f"| `{reason}` | `{code}` | {meaning} | {details or '-'} | {again(status)} |"


def written(text: str) -> str:
    """Return the document with its tables made anew."""
    for name, table in (("calls", calls()), ("reasons", reasons())):
        mark = MARK.format(name=name)
        before, marked, rest = text.partition(mark)
        if not marked or END not in rest:
            sys.exit(f"{DOCUMENT} lacks {mark} or the {END} behind it")
        after = rest[rest.index(END) :]
        text = f"{before}{mark}\n\n" + "\n".join(table).strip() + f"\n\n{after}"
    return text


def main() -> None:
    """Write the document, or check that the committed document is the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    before = DOCUMENT.read_text()
    after = written(before)
    if not is_check:
        DOCUMENT.write_text(after)
    elif before != after:
        sys.exit("stale tables in docs/api.md, run `make proto`")


if __name__ == "__main__":
    main()
