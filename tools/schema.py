"""The schema of proto/, read with its comments and its options."""

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from inventory.v1 import auth_pb2, options_pb2

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "proto"
OPTIONS = (auth_pb2, options_pb2)  # imported, so that the options of a descriptor are known
_WELL_KNOWN = ("grpc_tools.protoc", 1, "_proto")  # google/protobuf: FieldMask, Timestamp
_COMMON = ("google.type.money_pb2", 3, "")  # googleapis-common-protos: Money


def _beside(module: str, levels: int, name: str) -> Path:
    """Return the folder `name`, `levels` above the file of an installed module."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        sys.exit(f"{module} is not installed: run `make install`")
    return Path(spec.origin).parents[levels - 1] / name


def includes() -> list[str]:
    """Return protoc's options for where imports are found."""
    return [f"-I{folder}" for folder in (SCHEMA, _beside(*_WELL_KNOWN), _beside(*_COMMON))]


def files(folder: str = "") -> list[str]:
    """Return the schema's files below a folder, as imports name them."""
    return sorted(str(path.relative_to(SCHEMA)) for path in (SCHEMA / folder).rglob("*.proto"))


def read(names: list[str]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Return files of the schema with their comments, in the order of their imports."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "schema"
        output = ("--include_source_info", "--include_imports", f"--descriptor_set_out={target}")
        if protoc.main(["protoc", *includes(), *output, *names]):
            sys.exit("the schema cannot be read")
        found = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file
    return [file for file in found if file.name in names]


def comments_of(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Return what is said before or behind each element, by its path (descriptor.proto)."""
    return {
        tuple(place.path): (place.leading_comments or place.trailing_comments).strip("\n")
        for place in file.source_code_info.location
    }
