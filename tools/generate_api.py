"""Write the tables of docs/api.md: calls from the schema, reasons from `wire.errors`.

Run with --check to fail where they are not what would be written.
"""

import argparse
import inspect
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

from generate_proto import COMMON, ROOT, SCHEMA, WELL_KNOWN, beside
from google.protobuf import descriptor_pb2
from google.rpc import code_pb2, status_pb2
from grpc_tools import protoc
from inventory.v1 import auth_pb2
from inventory_client import OutcomeForgotten
from inventory_client.errors import error_of, may_try_again, tells_nothing
from wire import errors
from wire.errors import Reason

DOCUMENT = ROOT / "docs" / "api.md"
MARK = "<!-- {name}: written by tools/generate_api.py -->"
END = "<!-- end -->"
FOLDER = "inventory/v1"
ADMINS = "admins"
ANYBODY = "everybody who is logged in"
# The roles of calls for which the option `access` does not tell them.
WHO = {
    "Login": "nobody yet",
    "SetPassword": "admins, and each user for itself",
    "GetStatus": ANYBODY,
    "Checkpoint": ADMINS,
    "Probe": "admins, and the machine user `health`",
    "AddMember": ADMINS,
    "PromoteMember": ADMINS,
    "RemoveMember": ADMINS,
    "TransferLeadership": ADMINS,
    "Submit": "as for each mutation",
    "GetPrediction": ANYBODY,
}
ROLES_FIRST = re.compile(r"^(Customers|Producers|Admins)[^.:]*[.:] (?=\w)")  # they have a column
SAYING = re.compile(r"^Say (that |why )?")
SERVICE_FIELD, METHOD_FIELD = 6, 2  # of FileDescriptorProto and ServiceDescriptorProto
ARGUMENTS = {int: 1, str: "x", bool: True}


def schema() -> descriptor_pb2.FileDescriptorSet:
    """Return the public schema with its comments."""
    includes = [f"-I{folder}" for folder in (SCHEMA, beside(*WELL_KNOWN), beside(*COMMON))]
    files = sorted(str(path.relative_to(SCHEMA)) for path in (SCHEMA / FOLDER).glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "schema"
        output = ("--include_source_info", f"--descriptor_set_out={target}")
        if protoc.main(["protoc", *includes, *output, *files]):
            sys.exit("the schema cannot be read")
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def who(call: str, options: descriptor_pb2.MethodOptions) -> str:
    """Return the roles that may make a call."""
    if call in WHO:
        return WHO[call]
    # The schema was read without the extension's name, so its bytes are parsed once more.
    known = descriptor_pb2.MethodOptions.FromString(options.SerializeToString())
    roles = known.Extensions[auth_pb2.access].roles
    if not roles:
        sys.exit(f"whom is {call} for? give it the option `access`, or say so in WHO")
    names = [name for name, number in auth_pb2.Role.items() if number in roles]
    if len(names) == len(auth_pb2.Role.items()) - 1:
        return ANYBODY
    return ", ".join(f"{name.removeprefix('ROLE_').lower()}s" for name in names)


def calls() -> Iterator[str]:
    """Yield the lines of a table for each service."""
    for file in schema().file:
        comments = {
            tuple(place.path): " ".join(place.leading_comments.split())
            for place in file.source_code_info.location
        }
        requests = {message.name: message for message in file.message_type}
        for number, service in enumerate(file.service):
            yield f"### `{file.package}.{service.name}`\n"
            yield "| call | who | request id | what |"
            yield "|---|---|---|---|"
            for index, method in enumerate(service.method):
                fields = requests[method.input_type.rpartition(".")[2]].field
                has_id = any(field.name == "request_id" for field in fields)
                said = ROLES_FIRST.sub("", comments[SERVICE_FIELD, number, METHOD_FIELD, index])
                mark = "yes" if has_id else "-"
                yield f"| `{method.name}` | {who(method.name, method.options)} | {mark} | {said} |"
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
