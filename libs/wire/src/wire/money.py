"""Money as integers: minor units of one currency, `google.type.Money` on the wire.

`digits` is how many decimals the currency has: 2 for cents, 0 for yen.
"""

from google.type import money_pb2
from iso4217 import Currency

NANO_DIGITS = 9
GROUP_DIGITS = 3
AMOUNT_CHARACTERS_MAX = 100
_POWERS = tuple(10**digits for digits in range(NANO_DIGITS + 1))

# By code, the currencies of ISO 4217 that have a minor unit; gold, for example, has none.
_DIGITS = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}
CURRENCIES = tuple(sorted(_DIGITS))
_DIGITS_OF_MOST = 2


class MoneyError(ValueError):
    """An amount that minor units cannot hold; `args[0]` says why."""


def is_currency(code: str) -> bool:
    """Tell whether an inventory can use a currency: in ISO 4217, and with a minor unit."""
    return code in _DIGITS


def digits_of(code: str) -> int:
    """Return how many decimals a currency has (ISO 4217).

    2 for a code that is not listed. An inventory outlives the withdrawal of its currency, and
    almost every withdrawn currency had 2 decimals.
    """
    return _DIGITS.get(code, _DIGITS_OF_MOST)


def to_minor(money: money_pb2.Money, digits: int) -> int:
    """Return an amount in minor units; raise MoneyError unless it is whole and well-formed.

    Well-formed: nanos are below one unit, and have the sign of the units (google.type.Money).
    """
    units, nanos = money.units, money.nanos
    if not -_POWERS[NANO_DIGITS] < nanos < _POWERS[NANO_DIGITS]:
        raise MoneyError("nanos are a whole unit or more")
    if units * nanos < 0:
        raise MoneyError("units and nanos differ in sign")
    nanos_per_minor = _POWERS[NANO_DIGITS - digits]
    if nanos % nanos_per_minor:
        raise MoneyError("nanos are not whole minor units")
    minor: int = units * _POWERS[digits] + nanos // nanos_per_minor
    return minor


def from_minor(minor: int, code: str, digits: int) -> money_pb2.Money:
    """Return an amount for the wire."""
    money = money_pb2.Money(currency_code=code)
    fill(money, minor, digits)
    return money


def fill(money: money_pb2.Money, minor: int, digits: int) -> None:
    """Set both units and nanos to an amount."""
    units, rest = divmod(abs(minor), _POWERS[digits])
    nanos = rest * _POWERS[NANO_DIGITS - digits]
    money.units, money.nanos = (units, nanos) if minor >= 0 else (-units, -nanos)


def parse_minor(text: str, digits: int) -> int:
    """Return "1,299.50" or "1299.5" as minor units; raise MoneyError on any other text.

    Commas stand between groups of three digits, or nowhere. Zeros behind the currency's decimals
    are refused, too: 1.500 may be meant as 1,500.
    """
    if len(text) > AMOUNT_CHARACTERS_MAX:
        raise MoneyError("this is longer than any amount")
    whole, point, decimals = text.strip().partition(".")
    groups = whole.split(",")
    grouped = len(groups) == 1 or (
        1 <= len(groups[0]) <= GROUP_DIGITS
        and all(len(group) == GROUP_DIGITS for group in groups[1:])
    )
    number = "".join(groups)
    if not (number.isascii() and number.isdigit() and grouped):
        raise MoneyError(f"{text!r} is not an amount such as 1,299.50")
    if point and not (decimals.isascii() and decimals.isdigit()):
        raise MoneyError(f"{text!r} is not an amount such as 1,299.50")
    if len(decimals) > digits:
        raise MoneyError(f"{text!r} has more decimals than its currency, which has {digits}")
    return int(number + decimals.ljust(digits, "0"))


def format_minor(minor: int, digits: int) -> str:
    """Return minor units as "1,299.50"."""
    units, rest = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{units:,}.{rest:0{digits}d}" if digits else f"{sign}{units:,}"
