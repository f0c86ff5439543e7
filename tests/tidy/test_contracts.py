"""What two places must say alike: raw twins and messages, documents and what they document."""

import re
import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from inventory.raft.v1 import log_pb2, raw_pb2
from inventory.v1 import inventory_pb2

ROOT = Path(__file__).resolve().parents[2]
LENGTH_DELIMITED = {FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_BYTES}
TWINS = [
    (inventory_pb2.SubmitRequest, raw_pb2.RawSubmitRequest),
    (inventory_pb2.Submission, raw_pb2.RawSubmission),
    (inventory_pb2.SubmitResponse, raw_pb2.RawSubmitResponse),
    (inventory_pb2.SubmitResult, raw_pb2.RawSubmitResult),
    (inventory_pb2.Mutation, raw_pb2.RawMutation),
    (inventory_pb2.Outcome, raw_pb2.RawOutcome),
    (log_pb2.Command, raw_pb2.RawCommand),
    (log_pb2.Batch, raw_pb2.RawBatch),
]


def shape(descriptor: Descriptor) -> dict[int, tuple[str, bool, int]]:
    """Field numbers with name, repetition and wire type; a message counts as bytes."""
    return {
        field.number: (
            field.name,
            field.is_repeated,
            FieldDescriptor.TYPE_BYTES if field.type in LENGTH_DELIMITED else field.type,
        )
        for field in descriptor.fields
    }


@pytest.mark.parametrize(("message", "raw"), TWINS, ids=lambda twin: twin.DESCRIPTOR.name)
def test_a_raw_twin_has_the_shape_of_its_message(message: type, raw: type) -> None:
    """Bytes pass from one to the other unchanged (ADR 2)."""
    assert shape(raw.DESCRIPTOR) == shape(message.DESCRIPTOR)  # type: ignore[attr-defined]  # every generated message has one


def test_outcomes_answer_mutations_by_number() -> None:
    """The answer to the operation with number n is the result with number n."""
    operations = inventory_pb2.Mutation.DESCRIPTOR.fields
    results = inventory_pb2.Outcome.DESCRIPTOR.fields_by_number
    assert {f.number: f.name for f in operations} == {
        number: field.name for number, field in results.items() if field.name != "error"
    }


@pytest.mark.parametrize("path", sorted((ROOT / "proto").rglob("*.proto")), ids=lambda p: p.stem)
def test_every_rpc_says_what_it_does(path: Path) -> None:
    """The proto files are the reference of the API."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.strip().startswith("rpc "):
            assert lines[number - 1].strip().startswith("//"), f"{path}:{number + 1} {line.strip()}"


@pytest.mark.parametrize("path", sorted((ROOT / "proto").rglob("*.proto")), ids=lambda p: p.stem)
def test_every_schema_file_names_its_package_in_every_language(path: Path) -> None:
    """Generators take it from there; protoc-gen-go refuses a file without it (AIP-191)."""
    text = path.read_text()
    parts = str(path.parent.relative_to(ROOT / "proto")).split("/")
    capitals = [part.capitalize() for part in parts]
    options = dict(re.findall(r"^option (\w+) = (.*);$", text, re.MULTILINE))
    assert options == {
        "csharp_namespace": f'"{".".join(capitals)}"',
        "go_package": f'"{"/".join(parts)};{"".join(parts[-2:])}"',
        "java_multiple_files": "true",
        "java_outer_classname": f'"{path.stem.capitalize()}Proto"',
        "java_package": f'"{".".join(parts)}"',
        "php_namespace": '"' + r"\\".join(capitals) + '"',
        "ruby_package": f'"{"::".join(capitals)}"',
    }


def test_make_help_is_the_whole_menu() -> None:
    """A target that a person may call has a line in `make help`."""
    makefile = (ROOT / "Makefile").read_text()
    declared = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert declared
    menu = subprocess.run(
        ["make", "--no-print-directory", "help"],  # noqa: S607  # whatever make the user has
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert {line.split()[0] for line in menu.splitlines()} == set(declared[1].split())


def test_no_document_or_source_names_a_registry_or_a_home() -> None:
    """What is landed works on any machine and with any package index."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607  # whatever git the user has
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    registry = re.compile(
        r"https?://[\w.-]*(?:pypi|pythonhosted|npmjs|goproxy|proxy.golang|mirror)"
    )
    home = re.compile(r"(?<![\w.])/(?:root|home/\w+)/")
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if not path.is_file() or path == Path(__file__):
            continue
        text = path.read_text(errors="replace")
        assert not registry.search(text), f"{name} names a package registry"
        assert not home.search(text), f"{name} names somebody's home directory"
