"""Make proto/inventory/raft/v1/raw.proto: the raw twins of the messages that are only routed.

A message has a raw twin where one of its fields has the option `is_raw`, or a oneof `are_raw`, or
where a field holds a message that has a twin.
"""

import schema
from google.protobuf import descriptor_pb2
from inventory.v1 import options_pb2

NAME = "inventory/raft/v1/raw.proto"
Field = descriptor_pb2.FieldDescriptorProto
HEAD = """\
// Made by tools/generate_raw.py from the options `is_raw` and `are_raw`; change those instead.

syntax = "proto3";

package inventory.raft.v1;

{imports}
option csharp_namespace = "Inventory.Raft.V1";
option go_package = "inventory/raft/v1;raftv1";
option java_multiple_files = true;
option java_outer_classname = "RawProto";
option java_package = "inventory.raft.v1";
option php_namespace = "Inventory\\\\Raft\\\\V1";
option ruby_package = "Inventory::Raft::V1";

// The same bytes on the wire as the messages they are named after, with one level left unparsed: a
// message and a `bytes` field are both length-delimited. They carry what a client sent, and what
// the log keeps, unchanged past those who only route it.
"""


class Twins:
    """The messages that have a raw twin, by their full names."""

    def __init__(self, files: list[descriptor_pb2.FileDescriptorProto]) -> None:
        """Find them in the whole schema."""
        self.messages = {
            f".{file.package}.{message.name}": message
            for file in files
            for message in file.message_type
        }
        self.with_twin: set[str] = set()
        while True:  # until no message holds another that has one
            found = {name for name, message in self.messages.items() if self._needs(message)}
            if found == self.with_twin:
                return
            self.with_twin = found

    def is_raw(self, message: descriptor_pb2.DescriptorProto, field: Field) -> bool:
        """Tell whether a field is left unparsed."""
        if field.options.Extensions[options_pb2.is_raw]:
            return True
        group = message.oneof_decl[field.oneof_index] if field.HasField("oneof_index") else None
        return group is not None and bool(group.options.Extensions[options_pb2.are_raw])

    def _needs(self, message: descriptor_pb2.DescriptorProto) -> bool:
        return any(
            self.is_raw(message, field) or field.type_name in self.with_twin
            for field in message.field
        )

    def type_of(self, message: descriptor_pb2.DescriptorProto, field: Field) -> str:
        """Return what the twin of a field holds."""
        if self.is_raw(message, field):
            return "bytes"
        if field.type_name in self.with_twin:
            return f"Raw{field.type_name.rpartition('.')[2]}"
        if field.type_name:
            return field.type_name.removeprefix(".")
        return Field.Type.Name(field.type).removeprefix("TYPE_").lower()

    def lines_of(self, message: descriptor_pb2.DescriptorProto) -> list[str]:
        """Return the definition of a message's twin."""
        lines, open_group = ["", f"message Raw{message.name} {{"], ""
        for field in message.field:
            group = (
                message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
            )
            if group != open_group:
                lines += ["  }"] * bool(open_group) + [f"  oneof {group} {{"] * bool(group)
                open_group = group
            repeated = "repeated " if field.label == Field.LABEL_REPEATED else ""
            kind = self.type_of(message, field)
            indent = "    " if group else "  "
            lines.append(f"{indent}{repeated}{kind} {field.name} = {field.number};")
        return [*lines, *(["  }"] * bool(open_group)), "}"]


def text() -> str:
    """Return the file as it is to be."""
    files = schema.read([name for name in schema.files() if name != NAME])
    twins = Twins(files)
    kept = {
        field.type_name
        for name in twins.with_twin
        for field in twins.messages[name].field
        if field.type_name.startswith(".google.") and not twins.is_raw(twins.messages[name], field)
    }
    imported = {
        other: file.name
        for file in schema.read(sorted({one for file in files for one in file.dependency}))
        for other in (f".{file.package}.{message.name}" for message in file.message_type)
    }
    imports = "".join(f'import "{imported[kind]}";\n' for kind in sorted(kept))
    definitions = (
        twins.lines_of(twins.messages[name]) for name in twins.messages if name in twins.with_twin
    )
    return (
        HEAD.format(imports=imports)
        + "\n".join(line for lines in definitions for line in lines)
        + "\n"
    )
