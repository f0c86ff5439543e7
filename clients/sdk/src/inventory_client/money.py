"""Money: exact, in one currency, and never a float."""

import re
from dataclasses import dataclass
from typing import NoReturn, Self

from google.type import money_pb2
from wire import money

_CODE = re.compile("[A-Z]{3}")


def _refuse_currency(one: "Money", other: "Money") -> NoReturn:
    raise ValueError(f"{one} and {other} are in different currencies; convert one of them first")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units: `Money("USD", 1250)` is 12.50 dollars.

    - Amounts of one currency are added, subtracted and compared; an amount is multiplied by a whole
      number. The result is exact, whatever its size.
    - Another currency is a ValueError. A float or a bool is a TypeError, here as in arithmetic.
    - Equal amounts of one currency hash alike. Amounts of two currencies are never equal, not even
      two zeros.

    `sum` must know the currency: `sum(prices, start=Money("USD", 0))`.
    """

    currency: str  # an ISO 4217 code; empty: the inventory gave no amount
    minor: int

    def __post_init__(self) -> None:
        """Raise TypeError on a value of a wrong type, ValueError on an invalid currency code."""
        _whole(self.minor, "minor")
        if not isinstance(self.currency, str):
            raise TypeError(f"currency: {self.currency!r} is not a text such as 'USD'")
        if self.currency and not _CODE.fullmatch(self.currency):
            raise ValueError(f"currency: {self.currency!r} is not an ISO 4217 code such as USD")

    @classmethod
    def parse(cls, currency: str, text: str) -> Self:
        """Read "1,250.00"; raise ValueError on any other text, TypeError on any other type."""
        if not isinstance(text, str):
            raise TypeError(f"amount: {text!r} is not a text such as '1,250.00'")
        return cls(currency, money.parse_minor(text, money.digits_of(currency)))

    @classmethod
    def from_wire(cls, wire: money_pb2.Money) -> Self:
        """Read a `google.type.Money`."""
        code = wire.currency_code
        return cls(code, money.to_minor(wire, money.digits_of(code)))

    def to_wire(self) -> money_pb2.Money:
        """Return a `google.type.Money`."""
        return money.from_minor(self.minor, self.currency, money.digits_of(self.currency))

    def __str__(self) -> str:
        """Return "USD 1,250.00"."""
        return f"{self.currency} {self.amount}"

    @property
    def amount(self) -> str:
        """The amount without its currency, such as "1,250.00"."""
        return money.format_minor(self.minor, money.digits_of(self.currency))

    def __add__(self, other: "Money") -> Self:
        """Return the sum."""
        return type(self)(self.currency, self.minor + self._same(other))

    def __sub__(self, other: "Money") -> Self:
        """Return the difference, which may be below zero."""
        return type(self)(self.currency, self.minor - self._same(other))

    def __mul__(self, count: int) -> Self:
        """Return the amount times `count`."""
        return type(self)(self.currency, self.minor * _whole(count, "count"))

    __rmul__ = __mul__

    def __neg__(self) -> Self:
        """Return the amount with the other sign."""
        return type(self)(self.currency, -self.minor)

    def __bool__(self) -> bool:
        """Tell whether the amount is not zero."""
        return self.minor != 0

    def __lt__(self, other: "Money") -> bool:
        """Tell whether this amount is less than the other."""
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        """Tell whether this amount is less than the other, or equal."""
        return self.minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        """Tell whether this amount is more than the other."""
        return self.minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        """Tell whether this amount is more than the other, or equal."""
        return self.minor >= self._same(other)

    def _same(self, other: "Money") -> int:
        """Return the other amount's minor units, if both amounts are in one currency."""
        if not isinstance(other, Money):
            raise TypeError(f"{self} and {other!r}: the other is no Money")
        if other.currency != self.currency:
            _refuse_currency(self, other)
        return other.minor


def _whole(number: int, name: str) -> int:
    """Return a whole number; raise TypeError on any other value, such as 1.0 and True."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name}: {number!r} is not a whole number")
    return number
