"""Compiles the check of a message from the message's descriptor, once for each type.

The schema gives a field its bounds by the option `(inventory.v1.bounds)`. A check returns None, or
a refusal that names the field by its path from the message, such as `lines.quantity`.

- Fields that are always present are checked by one expression for all of them: an order costs no
  more than with a check that is written by hand.
- A field that can be absent is checked if the field is present; a REQUIRED field must be present
  (AIP-203).
- An update is checked as far as its field mask goes (AIP-134). A field outside the mask may be
  absent, and may not be out of bounds.
"""

import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc import status_pb2
from google.type import money_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import inventory_pb2, options_pb2

from wire import money, text
from wire.addresses import is_address, is_name
from wire.errors import invalid_field, shown

PRICE_MINOR_MAX = 10**12
STALENESS_MS_MAX = 3_600_000
CURRENCY_CODE_CHARACTERS = 3

Problem: TypeAlias = status_pb2.Status | None
Fits: TypeAlias = Callable[[Any], bool]
Check: TypeAlias = Callable[[Any, str], Problem]  # of a message, and the path to the message
Kind: TypeAlias = Any  # a descriptor, of the installed protobuf implementation

_VALUE = re.compile(r"\bvalue\b")
_NOT_NEGATIVE = "must not be negative"


class Rule(NamedTuple):
    """A condition on the value of a field, and the problem of a value that does not meet it."""

    field: str
    condition: str  # an expression in which `value` stands for the value
    problem: str  # continues "the field"


def bounds_of(field: Kind) -> options_pb2.Bounds:
    """Return the bounds that the schema gives a field, by its descriptor."""
    bounds: options_pb2.Bounds = field.GetOptions().Extensions[options_pb2.bounds]
    return bounds


def has_behavior(
    field: FieldDescriptor, behavior: "field_behavior_pb2.FieldBehavior.ValueType"
) -> bool:
    """Tell whether the schema gives a field a behavior (AIP-203)."""
    return behavior in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def first(problems: Iterable[Problem]) -> Problem:
    """Return the first problem that is not None; None without a problem."""
    return next((problem for problem in problems if problem is not None), None)


# Rules of one value: a number, an enum, a text.


def _number(field: str, bounds: options_pb2.Bounds) -> Rule:
    least, most = bounds.min, bounds.max
    if bounds.is_signed:
        condition, problem = (
            f"{least} <= abs(value) <= {most}",
            f"must be {least} to {most} up or down",
        )
    elif bounds.HasField("max"):
        condition, problem = f"{least} <= value <= {most}", f"must be {least} to {most}"
    else:
        condition = f"value >= {least}"
        problem = {0: _NOT_NEGATIVE, 1: "must be positive"}.get(least, f"must be {least} or more")
    return Rule(field, condition, problem)


def _enum(field: FieldDescriptor, bounds: options_pb2.Bounds) -> Rule:
    values = field.enum_type.values if field.enum_type is not None else []
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    known = {one.number: one.name for one in values if one.number >= bounds.min}
    words = ", ".join(name.removeprefix(prefix).lower() for name in known.values())
    return Rule(field.name, f"value in {sorted(known)}", f"must be one of {words}")


def has_no_controls(value: str) -> bool:
    """Tell whether a text holds no control character (Unicode, Cc)."""
    return value.isprintable() or all(unicodedata.category(one) != "Cc" for one in value)


def is_seen(value: str) -> bool:
    """Tell whether a text is not empty in its folded form."""
    return bool(text.folded(value))


_CONTROLS = "must not hold control characters"
_FORMATS: dict[int, tuple[tuple[str, str], ...]] = {
    options_pb2.FORMAT_TEXT: (("has_no_controls(value)", _CONTROLS),),
    options_pb2.FORMAT_LINES: (("has_no_controls(value.replace('\\n', ' '))", _CONTROLS),),
    options_pb2.FORMAT_SEARCH: (
        ("has_no_controls(value)", _CONTROLS),
        ("(not value or is_seen(value))", "must hold something that can be seen"),
    ),
    options_pb2.FORMAT_LABEL: (("is_name(value)", "must be a DNS label, such as node-3"),),
    options_pb2.FORMAT_ADDRESS: (("is_address(value)", "must be host:port"),),
}
_CALLED = {one.__name__: one for one in (has_no_controls, is_seen, is_name, is_address)}


def _text(field: str, bounds: options_pb2.Bounds) -> Iterator[Rule]:
    """Yield the rules of a text: its length first, since other rules look at each character."""
    for measure, least, most, unit in (
        ("len(value.encode())", bounds.min_bytes, bounds.max_bytes, "bytes"),
        ("len(value)", bounds.min_characters, bounds.max_characters, "characters"),
    ):
        if most:
            problem = f"must have {f'{least} to' if least else 'up to'} {most} {unit}"
            yield Rule(field, f"{least} <= {measure} <= {most}", problem)
    for condition, problem in _FORMATS.get(bounds.format, ()):
        yield Rule(field, condition, problem)


def _bytes(field: str, bounds: options_pb2.Bounds) -> Rule:
    least, most = bounds.min_bytes, bounds.max_bytes
    wanted = f"{most}" if least == most else f"{f'{least} to' if least else 'up to'} {most}"
    return Rule(field, f"{least} <= len(value) <= {most}", f"must have {wanted} bytes")


def _rules(field: FieldDescriptor) -> list[Rule]:
    """Return the rules of a field that holds one number, enum, text, or bytes."""
    bounds = bounds_of(field)
    if not bounds.ListFields():
        return []
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            rules = [_bytes(field.name, bounds)]
        case FieldDescriptor.CPPTYPE_STRING:
            rules = list(_text(field.name, bounds))
        case FieldDescriptor.CPPTYPE_ENUM:
            rules = [_enum(field, bounds)]
        case _:
            rules = [_number(field.name, bounds)]
    if has_behavior(field, field_behavior_pb2.OPTIONAL):
        return [rule._replace(condition=f"(not value or {rule.condition})") for rule in rules]
    return rules


def _compiled(rules: Iterable[Rule]) -> Fits:
    """Return a function that tells whether a message meets every rule, in one expression.

    The expression is made of the schema's own names and numbers, as `dataclasses` makes a method of
    the names of fields. A function for each rule takes more than twice as long.
    """
    conditions = (f"({_VALUE.sub(f'message.{rule.field}', rule.condition)})" for rule in rules)
    source = f"lambda message: {' and '.join(conditions)}"
    fits: Fits = eval(source, dict(_CALLED))  # noqa: S307 - of the schema, nothing from outside
    return fits


# Rules of messages that bounds cannot express.


def _name(path: str, name: str) -> Problem:
    """Refuse a name that people could not see, tell from another name, or type again."""
    refused = text.refused_character(name)
    if refused:
        rule = (
            f"must not hold the character U+{ord(refused):04X} there; leave out what shows "
            "nothing: controls, format characters, fillers, separators of lines, marks on nothing"
        )
        return invalid_field(path, rule)
    if text.is_blank(name):
        return invalid_field(path, "must not be blank")
    if name != name.strip():
        return invalid_field(path, "must not begin or end with a space")
    return None


def _price(price: money_pb2.Money, path: str) -> Problem:
    if price.units < 0 or price.nanos < 0:
        return invalid_field(path, _NOT_NEGATIVE)
    if price.units > PRICE_MINOR_MAX or price.nanos >= 10**9:
        return invalid_field(path, f"must be at most {PRICE_MINOR_MAX} minor units")
    return _amount(price, path)


def _amount(amount: money_pb2.Money, path: str) -> Problem:
    if len(amount.currency_code) > CURRENCY_CODE_CHARACTERS:
        return invalid_field(f"{path}.currency_code", "must be an ISO 4217 code such as USD")
    return None


def _currency(currency: log_pb2.Currency, path: str) -> Problem:
    if not money.is_currency(currency.code):
        problem = "must be the ISO 4217 code of a currency with minor units, such as USD"
        return invalid_field(path, problem)
    digits = money.digits_of(currency.code)
    if currency.minor_digits != digits:
        # Clients have the code alone, and derive the digits of amounts from the code.
        problem = f"of {currency.code} must be {digits}, not {currency.minor_digits}"
        return invalid_field(f"{path}.minor_digits", problem)
    return None


def of_read_options(options: inventory_pb2.ReadOptions, path: str) -> Problem:
    """Return the problem of a read's options, or None."""
    is_bounded = options.consistency == inventory_pb2.CONSISTENCY_BOUNDED_STALENESS
    if options.consistency not in inventory_pb2.Consistency.values():
        return invalid_field(f"{path}.consistency", "is no value that is known here")
    if is_bounded != options.HasField("max_staleness"):
        rule = "is needed with CONSISTENCY_BOUNDED_STALENESS, and has no meaning without it"
        return invalid_field(f"{path}.max_staleness", rule)
    age = options.max_staleness
    age_ms = age.seconds * 1_000 + age.nanos // 1_000_000
    is_valid = age.seconds >= 0 and 0 <= age.nanos < 10**9
    if is_bounded and not (is_valid and 0 < age_ms <= STALENESS_MS_MAX):
        return invalid_field(f"{path}.max_staleness", "must be 1 ms to 1 hour")
    return None


_OWN_RULES: dict[str, Check] = {
    money_pb2.Money.DESCRIPTOR.full_name: _amount,
    log_pb2.Currency.DESCRIPTOR.full_name: _currency,
    inventory_pb2.ReadOptions.DESCRIPTOR.full_name: of_read_options,
}


# Checks of fields.


def _of_values(rules: list[Rule]) -> Check:
    """Return a check of fields that are always present, by one expression for all fields."""
    fits = _compiled(rules)
    each = [(rule, _compiled([rule])) for rule in rules]  # whoever is refused costs no compilation

    def check(message: Message, path: str) -> Problem:
        if fits(message):
            return None
        rule = next(one for one, is_met in each if not is_met(message))
        return invalid_field(path + rule.field, rule.problem)

    return check


def _where_present(field: str, check: Check) -> Check:
    return lambda message, path: check(message, path) if message.HasField(field) else None


def _of_a_name(field: str) -> Check:
    return lambda message, path: _name(f"{path}{field}", getattr(message, field))


def _of_a_message(field: FieldDescriptor, kind: Kind) -> Check | None:
    """Return a check of a field that holds a message; None for a field without any rule."""
    own = _price if bounds_of(field).format == options_pb2.FORMAT_PRICE else None
    check = own or _OWN_RULES.get(kind.full_name) or _below(checker(kind))
    name, is_required = field.name, has_behavior(field, field_behavior_pb2.REQUIRED)
    if check is None and not is_required:
        return None

    def of_the_field(message: Message, path: str) -> Problem:
        if not message.HasField(name):
            absent = "must be given; what costs nothing has the price 0"
            return invalid_field(path + name, absent) if is_required else None
        return check(getattr(message, name), path + name) if check is not None else None

    return of_the_field


def _below(check: Check | None) -> Check | None:
    return None if check is None else lambda message, path: check(message, f"{path}.")


def _of_the_values_of(field: FieldDescriptor) -> Check | None:
    kind, unused = field.message_type, bounds_of(field).unused
    if kind is None:
        return None
    if not unused:
        return checker(kind)
    return of_fields(one for one in kind.fields if one.name != unused)


def _of_many(field: FieldDescriptor) -> Check | None:
    """Return a check of a repeated field: the number of values, and each value."""
    bounds, name = bounds_of(field), field.name
    inner = _of_the_values_of(field)
    if inner is None and not bounds.ListFields():
        return None
    least, most, unique_by = bounds.min_items, bounds.max_items, bounds.unique_by
    keys = operator.attrgetter(unique_by) if unique_by else None

    def check(message: Message, path: str) -> Problem:
        values = getattr(message, name)
        if most and not least <= len(values) <= most:
            return invalid_field(path + name, f"must be {least} to {most}")
        if keys is not None and len(set(map(keys, values))) < len(values):
            return invalid_field(path + name, f"must name each {unique_by} once")
        if inner is None:
            return None
        below = f"{path}{name}."
        for value in values:
            problem = inner(value, below)
            if problem is not None:
                return problem
        return None

    return check


def _special(field: FieldDescriptor) -> Check | None:
    """Return a check of a field beyond one value that is always present."""
    if field.is_repeated:
        return _of_many(field)
    if field.message_type is not None:
        return _of_a_message(field, field.message_type)
    if field.has_presence:
        rules = _rules(field)
        return _where_present(field.name, _of_values(rules)) if rules else None
    return _of_a_name(field.name) if bounds_of(field).format == options_pb2.FORMAT_NAME else None


def _always_there(field: FieldDescriptor) -> bool:
    return not (field.is_repeated or field.has_presence)


def _all_of(checks: Iterable[Check | None]) -> Check | None:
    """Return one check that runs all checks; None without a check."""
    found = tuple(check for check in checks if check is not None)
    if len(found) <= 1:
        return found[0] if found else None

    def check(message: Message, path: str) -> Problem:
        for one in found:
            problem = one(message, path)
            if problem is not None:
                return problem
        return None

    return check


_PAIRS = (
    ("min_items", "max_items"),
    ("min_characters", "max_characters"),
    ("min_bytes", "max_bytes"),
)


def _sayable(field: FieldDescriptor) -> set[str]:
    """Return the bounds that a field of this kind can have."""
    if field.is_repeated:
        of_messages = {"unique_by", "unused"} if field.message_type is not None else set()
        return {"min_items", "max_items", *of_messages}
    if field.message_type is not None:
        return {"format"}
    if field.type == FieldDescriptor.TYPE_STRING:
        return {"min_characters", "max_characters", "min_bytes", "max_bytes", "format"}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"min_bytes", "max_bytes"}
    return {"min"} if field.enum_type is not None else {"min", "max", "is_signed"}


def _refuse_unsayable(field: FieldDescriptor) -> None:
    """Raise TypeError on bounds that no check would look at."""
    bounds = bounds_of(field)
    given = {one.name for one, _ in bounds.ListFields()}
    unsayable = given - _sayable(field)
    if unsayable:
        raise TypeError(f"{field.full_name}: no field of its kind has the bounds {unsayable}")
    for least, most in _PAIRS:
        if least in given and most not in given:
            raise TypeError(f"{field.full_name}: {least} needs {most}")
    if bounds.format == options_pb2.FORMAT_NAME and field.has_presence:
        raise TypeError(f"{field.full_name}: a name that may be absent has no check")


def of_fields(fields: Iterable[Kind]) -> Check | None:
    """Return the check of some fields of a message."""
    fields = list(fields)
    for field in fields:
        _refuse_unsayable(field)
    always = [rule for field in fields if _always_there(field) for rule in _rules(field)]
    values = _of_values(always) if always else None
    return _all_of([values, *map(_special, fields)])


@cache
def field_checker(descriptor: Kind, field: str) -> Check | None:
    """Return the check of one field of a message type, alone."""
    return of_fields([descriptor.fields_by_name[field]])


@cache
def checker(descriptor: Kind) -> Check | None:
    """Return the check of a message type; None for a type whose messages may hold anything."""
    mask = mask_of(descriptor)
    return of_fields(descriptor.fields) if mask is None else _of_an_update(descriptor, mask)


# Updates by a field mask.


@cache
def mask_of(descriptor: Kind) -> FieldDescriptor | None:
    """Return the field mask of a request, which lists the changed fields; None without a mask."""
    return next((field for field in descriptor.fields if bounds_of(field).paths), None)


@cache
def resource_of(descriptor: Kind) -> FieldDescriptor:
    """Return the resource field of a request with a field mask."""
    mask = mask_of(descriptor)
    fields: list[FieldDescriptor] = descriptor.fields
    return next(one for one in fields if one.message_type and one != mask)


@cache
def _paths(mask: Kind) -> tuple[str, ...]:
    return tuple(bounds_of(mask).paths)


def updated_fields(request: Message) -> tuple[str, ...]:
    """Return which fields an update changes, in the order in which the schema lists the fields.

    A request without a mask changes the fields that its resource sets (AIP-134). Raises TypeError
    on a request that is no update.
    """
    mask = mask_of(request.DESCRIPTOR)
    if mask is None:
        raise TypeError(f"{request.DESCRIPTOR.full_name} has no field mask")
    if request.HasField(mask.name):
        named = getattr(request, mask.name).paths
    else:
        resource = getattr(request, resource_of(request.DESCRIPTOR).name)
        named = [field.name for field, _ in resource.ListFields()]
    return tuple(path for path in _paths(mask) if path in named)


def _of_an_update(descriptor: Kind, mask: FieldDescriptor) -> Check:
    resource, allowed = resource_of(descriptor), _paths(mask)
    rest = of_fields(field for field in descriptor.fields if field not in (mask, resource))
    kind = resource.message_type
    fields = {field.name: of_fields([field]) for field in kind.fields} if kind is not None else {}

    def check(request: Message, path: str) -> Problem:
        unknown = [one for one in getattr(request, mask.name).paths if one not in allowed]
        if unknown:
            rule = f"names {shown(unknown[0])!r}; it may name {allowed}"
            return invalid_field(path + mask.name, rule)
        changed = updated_fields(request)
        if not changed:
            return invalid_field(
                path + mask.name, f"and the {resource.name} name nothing to change"
            )
        given = getattr(request, resource.name)
        there = {field.name for field, _ in given.ListFields()}
        left_out = set(allowed) - there - set(changed)
        checks = (one for name, one in fields.items() if one is not None and name not in left_out)
        found = first(one(given, f"{path}{resource.name}.") for one in checks)
        return rest(request, path) or found if rest is not None else found

    return check
