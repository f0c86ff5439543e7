"""Make what follows from the schema in the Python client: its records, words and methods.

Three modules of `inventory_client` are made: `models` (what calls return), `operations` (the
methods of the asyncio client) and `blocking_operations` (the same methods, which wait). Comments of
the schema become docstrings and comments. Run with --check to fail where they are not what would be
made.
"""

import argparse
import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import schema
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from inventory.v1 import (
    assistant_pb2,
    auth_pb2,
    cluster_pb2,
    inventory_pb2,
    options_pb2,
)
from wire.checker import bounds_of, has_behavior, mask_of, resource_of
from wire.operations import MUTATIONS

FOLDER = schema.ROOT / "clients" / "sdk" / "src" / "inventory_client"
MODULES = (auth_pb2, inventory_pb2, cluster_pb2, assistant_pb2)
KW_ONLY_FROM = 6  # fields of a record
WIDTH = 88  # of a docstring
MADE = "Made by tools/generate_client.py from proto/inventory/v1; change the schema instead."
SCALARS = {
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
}
MONEY, TIMESTAMP = "google.type.Money", "google.protobuf.Timestamp"
UNSHOWN = {"revision", "next_page_token", "currency_code"}  # of a response that brings one thing
UNSET = {"request_id", "read_options", "page_token"}  # by the client itself
PREFIXES = re.compile(r"(?<!^)(?=[A-Z])")


def snake(name: str) -> str:
    """Return a name in snake case."""
    return PREFIXES.sub("_", name).lower()


class Comments:
    """What the schema says of each element, by its full name."""

    def __init__(self) -> None:
        """Read the comments of the public schema."""
        self._said: dict[str, str] = {}
        for file in schema.read(schema.files("inventory/v1")):
            by_path = schema.comments_of(file)
            self._said |= {self._name(file, path): said for path, said in by_path.items() if said}

    def _name(self, file: Any, path: tuple[int, ...]) -> str:  # noqa: ANN401 - a descriptor
        """Return the full name of the element that a path of descriptor.proto leads to."""
        names, here = [file.package], file
        for number, index in zip(path[::2], path[1::2], strict=False):
            container = here.DESCRIPTOR.fields_by_number[number]
            if not container.is_repeated or container.message_type is None:
                return ""  # an option
            here = getattr(here, container.name)[index]
            names.append(here.name)
        return ".".join(names)

    def of(self, name: str) -> str:
        """Return what is said of an element; empty for nothing."""
        return self._said.get(name, "").strip()


COMMENTS = Comments()


def sentences(text: str) -> str:
    """Return a comment as text: it begins with a capital letter and ends with a stop."""
    text = " ".join(text.split())
    if text and text[0].islower() and not re.match(r"[a-z]+_", text):
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in ".:!?" else f"{text}."


def imperative(text: str) -> str:
    """Return what a method does as a docstring says it: "Adds" becomes "Add" (PEP 257)."""
    verb, _, rest = text.partition(" ")
    if verb.endswith("es") and verb[:-2].endswith(("sh", "ch", "ss")):
        verb = verb[:-2]
    elif verb.endswith("s"):
        verb = verb[:-1]
    return f"{verb} {rest}"


def docstring(text: str, indent: str) -> str:
    """Return a docstring: its first sentence, and the rest after an empty line."""
    first, _, rest = text.partition(". ")
    first = first if first.endswith(".") else f"{first}."
    lines = textwrap.wrap(first, WIDTH)
    if rest:
        lines += ["", *textwrap.wrap(rest, WIDTH)]
    end = '"""' if len(lines) == 1 else f'\n{indent}"""'
    return f'{indent}"""' + f"\n{indent}".join(lines).replace(f"\n{indent}\n", "\n\n") + end


# Records and words: what calls return.


def model_of(message: Any) -> str:  # noqa: ANN401 - a Descriptor, of whichever implementation
    """Return the class that a message becomes."""
    name: str = message.GetOptions().Extensions[options_pb2.model].name
    return name or message.name


def word_of(kind: Any) -> str:  # noqa: ANN401 - an EnumDescriptor
    """Return the class that an enum becomes."""
    name: str = kind.GetOptions().Extensions[options_pb2.word].name
    return name or kind.name


def is_rows(message: Any) -> bool:  # noqa: ANN401 - a Descriptor
    """Tell whether a message is nothing but a list."""
    return len(message.fields) == 1 and message.fields[0].is_repeated


def module_of(kind: Any) -> str:  # noqa: ANN401 - a descriptor
    """Return the module of stubs that holds a message or an enum."""
    return str(kind.file.name.rpartition("/")[2].replace(".proto", "_pb2"))


def may_be_absent(field: Any) -> bool:  # noqa: ANN401 - a FieldDescriptor
    """Tell whether a record shows a field as None where it is absent."""
    if field.message_type is not None:
        return has_behavior(field, field_behavior_pb2.OPTIONAL)
    return bool(field.has_presence)


def one_type(field: Any) -> str:  # noqa: ANN401 - a FieldDescriptor
    """Return the type of one value of a field."""
    kind = field.message_type
    if kind is None:
        if field.enum_type is not None:
            return word_of(field.enum_type)
        return SCALARS.get(field.cpp_type, "int")
    if kind.full_name == MONEY:
        return "Money"
    if kind.full_name == TIMESTAMP:
        return "datetime"
    return f"tuple[{one_type(kind.fields[0])}, ...]" if is_rows(kind) else model_of(kind)


def type_of(field: Any) -> str:  # noqa: ANN401 - a FieldDescriptor
    """Return the type of a record's field."""
    one = one_type(field)
    if field.is_repeated:
        return f"tuple[{one}, ...]"
    return f"{one} | None" if may_be_absent(field) else one


def default_of(field: Any) -> str:  # noqa: ANN401 - a FieldDescriptor
    """Return what an absent field is, in a record whose fields are given by name (proto3)."""
    if field.is_repeated:
        return " = ()"
    if may_be_absent(field):
        return " = None"
    if field.message_type is not None:
        return ""
    if field.enum_type is not None:
        return f" = {word_of(field.enum_type)}.UNKNOWN"
    return {"str": ' = ""', "bool": " = False", "int": " = 0"}[one_type(field)]


def read_one(field: Any, value: str) -> str:  # noqa: ANN401 - a FieldDescriptor
    """Return the expression that reads one value from the wire."""
    kind = field.message_type
    if kind is None:
        return f"{word_of(field.enum_type)}.from_wire({value})" if field.enum_type else value
    if kind.full_name == TIMESTAMP:
        return f"{value}.ToDatetime(UTC)"
    return (
        f"tuple({value}.{kind.fields[0].name})"
        if is_rows(kind)
        else f"{one_type(field)}.from_wire({value})"
    )


def read_field(field: Any) -> str:  # noqa: ANN401 - a FieldDescriptor
    """Return the expression that reads a field from the wire."""
    value = f"wire.{field.name}"
    if field.is_repeated:
        one = read_one(field, "one")
        return f"tuple({value})" if one == "one" else f"tuple({one} for one in {value})"
    read = read_one(field, value)
    return f'{read} if wire.HasField("{field.name}") else None' if may_be_absent(field) else read


def said_of(kind: Any) -> str:  # noqa: ANN401 - a descriptor
    """Return what the schema says of a message or an enum that clients see."""
    said = sentences(COMMENTS.of(kind.full_name))
    return said or sys.exit(f"{kind.full_name} needs a comment: it becomes a docstring")


def record(name: str, messages: list[Any]) -> Iterator[str]:
    """Yield the lines of a record, which every one of `messages` becomes."""
    fields = list(messages[0].fields)
    for message in messages[1:]:
        if [(one.name, type_of(one)) for one in message.fields] != [
            (one.name, type_of(one)) for one in fields
        ]:
            sys.exit(f"{message.full_name} has other fields than the rest of what becomes {name}")
    is_wide = len(fields) >= KW_ONLY_FROM
    said = (
        sentences(COMMENTS.of(messages[0].full_name))
        or f"What the schema calls {messages[0].name}."
    )
    yield f"@dataclass(frozen=True, slots=True{', kw_only=True' if is_wide else ''})"
    yield f"class {name}:"
    yield docstring(said, "    ")
    yield ""
    for field in fields:
        lines = textwrap.wrap(sentences(COMMENTS.of(field.full_name)), WIDTH)
        yield from (f"    # {line}" for line in lines)
        default = default_of(field) if is_wide else ""
        yield f"    {field.name}: {type_of(field)}{default}"
    kinds = " | ".join(f"{module_of(message)}.{message.name}" for message in messages)
    values = (f"{one.name}={read_field(one)}" if is_wide else read_field(one) for one in fields)
    yield ""
    yield "    @classmethod"
    yield f"    def from_wire(cls, wire: {kinds}) -> Self:"
    yield f'        """Read {" or ".join(message.name for message in messages)}."""'
    yield f"        return cls({', '.join(values)})"
    yield ""


def word(kind: Any) -> Iterator[str]:  # noqa: ANN401 - an EnumDescriptor
    """Yield the lines of an enum of text."""
    name, values = word_of(kind), list(kind.values)
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    said = said_of(kind)
    wire = f"{module_of(kind)}.{kind.name}"
    unknown = f"{wire}.{values[0].name}"
    yield f"class {name}(Word):"
    yield docstring(f"{said} `UNKNOWN`: not said, or of a later version.", "    ")
    yield ""
    yield '    UNKNOWN = ""'
    for value in values[1:]:
        lines = textwrap.wrap(sentences(COMMENTS.of(f"{kind.full_name}.{value.name}")), WIDTH)
        yield from (f"    # {line}" for line in lines)
        yield f'    {value.name.removeprefix(prefix)} = "{value.name.removeprefix(prefix).lower()}"'
    yield ""
    yield "    @classmethod"
    yield f"    def from_wire(cls, wire: {wire}.ValueType) -> Self:"
    yield f'        """Read {kind.name}."""'
    yield f'        return cls._read({wire}.DESCRIPTOR, "{prefix}", wire)'
    yield ""
    yield f"    def to_wire(self) -> {wire}.ValueType:"
    yield '        """Return the number of the word."""'
    yield f'        return {wire}.Value(f"{prefix}{{self.name}}") if self else {unknown}'
    yield ""


def returned() -> Iterator[Any]:
    """Yield the messages that methods return records of."""
    for method in (one for found in METHODS.values() for one in found if not one.is_by_hand):
        found = method.brings
        yield method.response if found is None else found.message_type
    yield auth_pb2.LoginResponse.DESCRIPTOR.fields_by_name["user"].message_type


def kinds() -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Return what becomes a record, by its class, inner ones first; and the enums."""
    records: dict[str, list[Any]] = {}
    words: dict[str, Any] = {}

    def visit(message: Any) -> None:  # noqa: ANN401 - a Descriptor
        if message is None or message.full_name in {MONEY, TIMESTAMP}:
            return
        check_record(message)
        for field in message.fields:
            visit(field.message_type)
            if field.enum_type is not None:
                words[word_of(field.enum_type)] = field.enum_type
        found = records.setdefault(model_of(message), [])
        if not is_rows(message) and message not in found:
            found.append(message)

    for message in returned():
        visit(message)
    return {name: found for name, found in records.items() if found}, words


# Methods: what clients call.


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method, and the statements that put it into the request."""

    name: str
    kind: str
    default: str  # empty: it has to be given
    fill: tuple[str, ...]
    is_by_name: bool = False

    @property
    def passed(self) -> str:
        """How a call hands it on."""
        return f"{self.name}={self.name}" if self.is_by_name else self.name

    @property
    def declared(self) -> str:
        """How the signature has it."""
        return f"{self.name}: {self.kind}" + (f" = {self.default}" if self.default else "")


def scalar_parameter(field: Any, at: str, name: str, *, is_by_name: bool) -> Parameter:  # noqa: ANN401 - a FieldDescriptor
    """Return the parameter of a field that holds one value; `at` is the message that has it."""
    kind, target = one_type(field), f"{at}.{field.name}"
    if kind == "Money":
        fill = f'{target}.CopyFrom(amount("{name}", {name}))'
    elif field.enum_type is not None:
        fill = f"{target} = {kind}({name}).to_wire()"
    else:
        fill = f"{target} = {name}"
    is_optional = has_behavior(field, field_behavior_pb2.OPTIONAL)
    if is_by_name or (field.has_presence and not has_behavior(field, field_behavior_pb2.REQUIRED)):
        if kind == "str" and not field.has_presence and is_optional:
            return Parameter(name, kind, '""', (fill,), is_by_name)
        lines = (f"if {name} is not None:", f"    {fill}")
        return Parameter(name, f"{kind} | None", "None", lines, is_by_name)
    if kind == "bool" and is_optional:
        return Parameter(name, kind, "False", (fill,), is_by_name=True)
    default = ('""' if kind == "str" else "0") if is_optional else ""
    return Parameter(name, kind, default, (fill,))


def check_request(request: Any) -> None:  # noqa: ANN401 - a Descriptor
    """Refuse what a method's parameters cannot be made of, where the schema is read."""
    for oneof in request.oneofs:
        if not is_synthetic(oneof):
            sys.exit(f"{request.full_name}: no parameters can be made of the oneof {oneof.name}")
    for field in request.fields:
        why = why_no_parameter(field, field.message_type)
        if why:
            sys.exit(f"{field.full_name}: {why}")


def why_no_parameter(field: Any, kind: Any) -> str:  # noqa: ANN401 - descriptors
    """Return why a field of a request cannot be a parameter; empty where it can."""
    named = kind.full_name if kind is not None else ""
    if keyword.iskeyword(field.name) or field.name in {"amount", "chosen", "self"}:
        return f"`{field.name}` cannot be a parameter; name it otherwise"
    if field.type == FieldDescriptor.TYPE_BYTES or (field.is_repeated and kind is None):
        return "holds bytes, or a list of single values; let each value be a message"
    if kind is not None and kind.GetOptions().map_entry:
        return "is a map"
    if named.startswith("google.protobuf.") and named != "google.protobuf.FieldMask":
        return f"holds a {named}"
    if is_filter(field) and has_behavior(field, field_behavior_pb2.REQUIRED):
        return "must be given, and its fields would be parameters that need not"
    return ""


def is_synthetic(oneof: Any) -> bool:  # noqa: ANN401 - a OneofDescriptor
    """Tell whether a oneof stands for an `optional` field."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}"


def check_record(message: Any) -> None:  # noqa: ANN401 - a Descriptor
    """Refuse what a record cannot show rightly, where the schema is read."""
    for oneof in message.oneofs:
        if not is_synthetic(oneof):
            sys.exit(f"{message.full_name}: a record cannot show the oneof {oneof.name}")
    for field in message.fields:
        kind = field.message_type
        named = kind.full_name if kind is not None else ""
        if field.type == FieldDescriptor.TYPE_BYTES or (
            named.startswith("google.") and named not in {MONEY, TIMESTAMP}
        ):
            sys.exit(f"{field.full_name}: a record cannot show {named or 'bytes'}")
        if kind is not None and kind.GetOptions().map_entry:
            sys.exit(f"{field.full_name}: a record cannot show a map")


def parameters_of(request: Any) -> Iterator[Parameter]:  # noqa: ANN401 - a Descriptor
    """Yield the parameters that fill a request."""
    mask = mask_of(request)
    if mask is not None:
        yield from update_parameters(request, mask)
        return
    fields = [field for field in request.fields if field.name not in UNSET]
    is_filtered = any(is_filter(field) for field in fields)
    for field in fields:
        if is_filter(field):
            for one in field.message_type.fields:
                at = f"request.{field.name}"
                yield of_a_filter(scalar_parameter(one, at, one.name, is_by_name=True))
        elif field.is_repeated:
            yield rows_parameter(field)
        elif field.name == "page_size":
            fill = ("request.page_size = page_size",)
            yield Parameter("page_size", "int", "PAGE_SIZE", fill, is_by_name=True)
        else:
            found = scalar_parameter(field, "request", field.name, is_by_name=False)
            yield replace(found, is_by_name=is_filtered or found.is_by_name)


def of_a_filter(parameter: Parameter) -> Parameter:
    """Let the text of a filter be empty, which is to be absent."""
    if parameter.kind != "str | None":
        return parameter
    fill = (f"{parameter.fill[1].strip()}",)
    return Parameter(parameter.name, "str", '""', fill, is_by_name=True)


def is_filter(field: Any) -> bool:  # noqa: ANN401 - a FieldDescriptor
    """Tell whether a field of a request is a message whose fields are parameters."""
    kind = field.message_type
    return kind is not None and not field.is_repeated and kind.full_name.startswith("inventory.")


def rows_parameter(field: Any) -> Parameter:  # noqa: ANN401 - a FieldDescriptor
    """Return the parameter of a repeated message: tuples of its fields."""
    inner = field.message_type.fields
    names = ", ".join(one.name for one in inner)
    given = ", ".join(f"{one.name}={one.name}" for one in inner)
    kind = f"Iterable[tuple[{', '.join(one_type(one) for one in inner)}]]"
    lines = (f"for {names} in {field.name}:", f"    request.{field.name}.add({given})")
    return Parameter(field.name, kind, "", lines)


def update_parameters(request: Any, mask: Any) -> Iterator[Parameter]:  # noqa: ANN401 - descriptors
    """Yield the parameters of an update: which, and whatever is to change (AIP-134)."""
    resource = resource_of(request)
    kind: Any = resource.message_type
    fields, paths = kind.fields_by_name, bounds_of(mask).paths
    at = f"request.{resource.name}"
    yield Parameter(f"{resource.name}_id", "int", "", (f"{at}.id = {resource.name}_id",))
    masked = f"request.{mask.name}.SetInParent()"  # without any, the update is refused
    for place, path in enumerate(paths):
        found = scalar_parameter(fields[path], at, path, is_by_name=True)
        named = f'    request.{mask.name}.paths.append("{path}")'
        first = (masked,) if not place else ()
        yield Parameter(path, found.kind, "None", (*first, *found.fill, named), is_by_name=True)


class Method:
    """One method of the schema, as both clients have it."""

    def __init__(self, service: Any, method: Any) -> None:  # noqa: ANN401 - descriptors
        """Read the method's options."""
        options = method.GetOptions().Extensions[options_pb2.client]
        access = method.GetOptions().Extensions[auth_pb2.access]
        self.is_by_hand: bool = options.is_by_hand
        self.name: str = options.name or snake(method.name)
        self.service = service
        self.rpc = method
        self.request, self.response = method.input_type, method.output_type
        if not self.is_by_hand:
            check_request(self.request)
            self.check_result()
        self.who = access.who or roles_in_words(access.roles)

    def check_result(self) -> None:
        """Refuse a field that is returned alone and may be absent: nobody could tell."""
        found = self.brings
        if found is not None and not found.is_repeated and may_be_absent(found):
            sys.exit(f"{found.full_name}: what is returned alone cannot be absent")

    @property
    def mutation(self) -> str:
        """The kind of mutation that the method sends; empty for any other method."""
        found = (one for one in MUTATIONS.values() if one.request.DESCRIPTOR is self.request)
        return next((one.kind for one in found), "")

    @property
    def is_paged(self) -> bool:
        """Whether the method yields rows, page after page (AIP-158)."""
        return "next_page_token" in self.response.fields_by_name

    @property
    def brings(self) -> Any:  # noqa: ANN401 - a FieldDescriptor
        """The field of the response that is returned alone; None where it is returned whole."""
        if self.response.GetOptions().Extensions[options_pb2.model].name:
            return None
        shown = [one for one in self.response.fields if one.name not in UNSHOWN]
        if len(shown) == 1:
            return shown[0]
        return self.response.fields[0] if not shown else None

    @property
    def result(self) -> str:
        """The type of what the method returns or yields."""
        return model_of(self.response) if self.brings is None else one_type(self.brings)

    @property
    def parameters(self) -> list[Parameter]:
        """What a caller gives: what has to be given first."""
        found = list(parameters_of(self.request))
        if "request_id" in self.request.fields_by_name:
            last = any(one.is_by_name and one.kind != "bool" for one in found)
            found.append(Parameter("request_id", "str | None", "None", (), last))
        return sorted(found, key=lambda one: (one.is_by_name, bool(one.default)))

    @property
    def signature(self) -> str:
        """The parameters as the definition has them."""
        given = [one.declared for one in self.parameters if not one.is_by_name]
        by_name = [one.declared for one in self.parameters if one.is_by_name]
        return ", ".join(["self", *given, *(["*", *by_name] if by_name else [])])

    @property
    def comment(self) -> str:
        """What the schema says of the method."""
        return COMMENTS.of(self.rpc.full_name)

    @property
    def doc(self) -> str:
        """What the method does, and for whom it is."""
        said = imperative(sentences(self.comment))
        if self.is_paged:
            said = re.sub("^Return ", "Yield ", said) + " Rows come `page_size` at a time."
        return docstring(f"{said} For {self.who}.", "        ")

    def read(self, value: str) -> str:
        """Return the expression that reads the result from a response."""
        if self.brings is None:
            return f"{self.result}.from_wire({value})"
        return read_one(self.brings, f"{value}.{self.brings.name}")

    def asynchronous(self) -> Iterator[str]:
        """Yield the lines of the method of the asyncio client."""
        kind = f"AsyncIterator[{self.result}]" if self.is_paged else self.result
        yield f"    async def {self.name}({self.signature}) -> {kind}:"
        yield self.doc
        mutation = next(
            (one for one in MUTATIONS.values() if one.request.DESCRIPTOR is self.request), None
        )
        if mutation is not None:
            yield "        mutation = inventory_pb2.Mutation()"
            yield f"        request = mutation.{mutation.kind}"
        else:
            yield f"        request = {module_of(self.request)}.{self.request.name}()"
        names = self.request.fields_by_name
        if "request_id" in names:
            yield "        request.request_id = chosen(request_id)"
        for parameter in parameters_of(self.request):
            yield from (f"        {line}" for line in parameter.fill)
        if "read_options" in names:
            yield "        request.read_options.CopyFrom(self._terms.reads)"
        yield from self._call()

    def _call(self) -> Iterator[str]:
        path = f'"/{self.service.full_name}/{self.rpc.name}"'
        response = f"{module_of(self.response)}.{self.response.name}"
        if self.mutation:
            yield f'        outcome = await self._mutate("{self.mutation}", mutation)'
            yield f"        return {self.read(f'outcome.{self.mutation}')}"
        elif self.is_paged:
            yield f"        async for page in self._pages({path}, request, {response}):"
            yield f"            for one in page.{self.brings.name}:"
            yield f"                yield {read_one(self.brings, 'one')}"
        else:
            yield f"        response = await self._call({path}, request, {response})"
            yield f"        return {self.read('response')}"

    def blocking(self) -> Iterator[str]:
        """Yield the lines of the method of the blocking client."""
        kind = f"Iterator[{self.result}]" if self.is_paged else self.result
        given = (
            f"{one.name}={one.name}" if one.is_by_name else one.name for one in self.parameters
        )
        wait = "_iterate" if self.is_paged else "_wait"
        yield f"    def {self.name}({self.signature}) -> {kind}:"
        yield self.doc
        yield f"        return self.{wait}(self._inventory.{self.name}({', '.join(given)}))"


def roles_in_words(roles: Any) -> str:  # noqa: ANN401 - a repeated field
    """Return whom a method is for."""
    names = [
        f"{name.removeprefix('ROLE_').lower()}s"
        for name, one in auth_pb2.Role.items()
        if one in roles
    ]
    if len(names) == len(auth_pb2.Role.items()) - 1:
        return "everybody who is logged in"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


METHODS = {
    service.full_name: [Method(service, method) for method in service.methods]
    for stubs in MODULES
    for service in stubs.DESCRIPTOR.services_by_name.values()
}


def module(head: str, body: Iterator[str]) -> str:
    """Return a formatted module: unused imports are left out, the rest are sorted."""
    text = f"{head}\n" + "\n".join(body) + "\n"
    ruff = Path(sys.executable).parent / "ruff"
    name = str(FOLDER / "made.py")  # whose settings count
    select = "--select=F401,I001,TC"
    for command in (
        ["check", "--fix-only", "--quiet", select, "--stdin-filename", name, "-"],
        ["format", "--quiet", "--stdin-filename", name, "-"],
    ):
        done = subprocess.run(  # noqa: S603 - the formatter beside this interpreter
            [ruff, *command],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=schema.ROOT,
        )
        text = done.stdout
    return text


def models() -> str:
    """Return the module of records and words."""
    records, words = kinds()
    head = f'''"""What calls return: frozen records, with whole numbers for money and quantities.

{MADE}
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2

from inventory_client.money import Money
from inventory_client.words import Word

'''
    shown = ", ".join(f'"{name}"' for name in sorted([*words, *records]))
    lines = [f"__all__ = [{shown}]", ""]
    lines += [line for kind in words.values() for line in (*word(kind), "")]
    lines += [line for name, found in records.items() for line in (*record(name, found), "")]
    return module(head, iter(lines))


def operations(*, is_blocking: bool) -> str:
    """Return the module of methods, in one of the two flavours."""
    records, words = kinds()
    names = ", ".join([*records, *words])
    source = "collections.abc import AsyncIterator, Iterable, Iterator"
    base = "BlockingCalls" if is_blocking else "Connection"
    home = "waiting" if is_blocking else "connection"
    tools = "PAGE_SIZE" if is_blocking else "PAGE_SIZE, amount, chosen"
    what = "blocking client, each of which waits for its twin" if is_blocking else "asyncio client"
    head = f'''"""The methods of the {what}.

{MADE}
"""

from {source}

from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2

from inventory_client.{home} import {base}
from inventory_client.connection import {tools}
from inventory_client.models import {names}
from inventory_client.money import Money

'''
    lines: list[str] = []
    flavour = "Blocking" if is_blocking else "Async"
    for full_name, found in METHODS.items():
        name = full_name.rpartition(".")[2].removesuffix("Service")
        lines += ["", "", f"class {flavour}{name}Calls({base}):"]
        lines.append(docstring(sentences(COMMENTS.of(full_name)), "    "))
        for method in (one for one in found if not one.is_by_hand):
            lines += ["", *(method.blocking() if is_blocking else method.asynchronous())]
    return module(head, iter(lines))


def main() -> None:
    """Write, or check that what is committed is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    is_check = parser.parse_args().check
    made = {
        "models.py": models(),
        "operations.py": operations(is_blocking=False),
        "blocking_operations.py": operations(is_blocking=True),
    }
    for name, text in made.items():
        path = FOLDER / name
        if not is_check:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            sys.exit(f"stale {path.relative_to(schema.ROOT)}, run `make proto`")


if __name__ == "__main__":
    main()
