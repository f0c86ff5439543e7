"""The values that may be typed: each parser returns a value, or refuses it with a sentence.

Nothing is guessed: a number is ASCII digits, as `12`; neither `1_0` nor `1.0` is one, nor are the
digits of other scripts.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import typer
from inventory_client import Money
from wire.addresses import is_address, is_name
from wire.bounds import PRICE_MINOR_MAX, REQUEST_ID_BYTES_MAX
from wire.money import NANO_DIGITS, parse_minor

Value = TypeVar("Value")
WHOLE_MAX = 2**63 - 1  # of the API; an inventory allows less
WHOLE_DIGITS_MAX = 19
SHOWN_MAX = 60
_WHOLE = re.compile(r"-?[0-9]+")
_SIGNED = re.compile(r"[+-]?[0-9]+")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


def quoted(text: str) -> str:
    """Return a typed value for use in a sentence; a long value is cut."""
    return repr(text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…")


def parse_whole(text: str, least: int, most: int) -> int:
    """Read a whole number; raise ValueError with a sentence."""
    if not (_SIGNED if least < 0 else _WHOLE).fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a whole number such as 12")
    digits = text.lstrip("+-0")
    if len(digits) > WHOLE_DIGITS_MAX:
        is_small = text.startswith("-")
    elif least <= (number := int(text)) <= most:
        return number
    else:
        is_small = number < least
    bound = f"greater than or equal to {least}" if is_small else f"less than or equal to {most}"
    raise ValueError(f"{quoted(text)} has to be {bound}")


def parse_price(currency: str, text: str) -> Money:
    """Read a price such as 1,299.50; raise ValueError with a sentence."""
    money = Money.parse(currency, text)
    if money.minor > PRICE_MINOR_MAX:
        raise ValueError(f"{quoted(text)} is more than {Money(currency, PRICE_MINOR_MAX)}")
    return money


def parse_line(text: str) -> tuple[int, int]:
    """Read ID:QUANTITY; raise ValueError with a sentence."""
    item, _, quantity = text.partition(":")
    try:
        return parse_whole(item, 1, WHOLE_MAX), parse_whole(quantity, 1, WHOLE_MAX)
    except ValueError as error:
        raise ValueError(f"{quoted(text)} is not ID:QUANTITY, such as 3:2") from error


def parser(parse: Callable[[str], Value]) -> Callable[[object], object]:
    """Make a typer parser of a parser that raises ValueError; defaults are not parsed."""

    def typed(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return typed


def whole(least: int, most: int = WHOLE_MAX) -> Callable[[object], object]:
    """Return a parser of whole numbers within bounds."""
    return parser(lambda text: parse_whole(text, least, most))


def seconds(least: float, most: float) -> Callable[[object], object]:
    """Return a parser of seconds within bounds."""

    def parse(text: str) -> float:
        if not _SECONDS.fullmatch(text):
            raise ValueError(f"{quoted(text)} is not a number of seconds such as 2.5")
        if not least <= float(text) <= most:
            raise ValueError(f"{quoted(text)} is not {least:g} to {most:g} seconds")
        return float(text)

    return parser(parse)


def _words(text: str) -> str:
    if not text.strip():
        raise ValueError("it is blank")
    return text


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError(f"{quoted(text)} is not host:port")
    return text


def _member(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"{quoted(text)} is no member's name, such as node-3")
    return text


def _request_id(text: str) -> str:
    if not 1 <= len(text.encode()) <= REQUEST_ID_BYTES_MAX:
        raise ValueError(f"a request id has 1 to {REQUEST_ID_BYTES_MAX} bytes")
    return text


def _amount(text: str) -> str:
    """Check a price as far as that is possible without its currency."""
    if len(text) > SHOWN_MAX or parse_minor(text, NANO_DIGITS) > PRICE_MINOR_MAX * 10**NANO_DIGITS:
        raise ValueError(f"{quoted(text)} is more than any price")
    return text


def _currency(text: str) -> str:
    if not _CURRENCY.fullmatch(text):
        raise ValueError(f"{quoted(text)} is no ISO 4217 code such as USD")
    return text


words = parser(_words)
address = parser(_address)
member = parser(_member)
request_id = parser(_request_id)
currency = parser(_currency)
amount = parser(_amount)
