"""Numbers, amounts and quoted names. Every number is an integer; amounts are in minor units."""

import re
from dataclasses import dataclass

from wire.money import MoneyError, parse_minor

from assistant.errors import LiteralError

_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
NAMES = {
    "dollars": "USD", "dollar": "USD", "bucks": "USD", "usd": "USD", "euros": "EUR",
    "euro": "EUR", "eur": "EUR", "pounds": "GBP", "gbp": "GBP", "yen": "JPY", "jpy": "JPY",
    "rupees": "INR", "inr": "INR",
}  # fmt: skip
AMOUNT = re.compile(
    r"(?P<symbol>[$€£¥₹])?\s?(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)(?P<thousands>k\b)?"
    r"(?:\s?(?P<name>" + "|".join(NAMES) + r")\b)?"
)
_QUOTED = re.compile(r'"([^"]+)"')


THOUSAND_DIGITS = 3  # "1.5k" has three decimals more than "1.5"
FINEST_DIGITS = 9  # of google.type.Money
NUMBER_MAX = 10**12  # of whole units and of minor units: above every price and quantity


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as it was written."""

    text: str  # the number, without its currency
    currency: str  # empty where the question names none
    thousands: bool = False

    def size(self) -> int:
        """Return a number by which amounts compare, whatever their currencies."""
        try:
            return parse_minor(self.text, FINEST_DIGITS + THOUSAND_DIGITS * self.thousands)
        except MoneyError as error:
            raise LiteralError(str(error)) from None

    def minor(self, currency: str, digits: int) -> int:
        """Return minor units of the inventory's currency; raise LiteralError."""
        if self.currency not in ("", currency):
            raise LiteralError(f"prices here are in {currency}, not in {self.currency}")
        try:
            minor = parse_minor(self.text, digits + THOUSAND_DIGITS if self.thousands else digits)
        except MoneyError as error:
            raise LiteralError(str(error)) from None
        return bounded(minor)


def amounts(text: str) -> list[Amount]:
    """Return the amounts in a normalised text, in their order."""
    found = []
    for match in AMOUNT.finditer(text):
        currency = _SYMBOLS.get(match["symbol"]) or NAMES.get(match["name"]) or ""
        found.append(Amount(match["number"], currency, bool(match["thousands"])))
    return found


def whole(text: str) -> int:
    """Return a whole number such as "1,500"; raise LiteralError."""
    digits = text.replace(",", "")
    if not (digits.isascii() and digits.isdigit()):
        raise LiteralError(f"{text!r} is not a whole number")
    return bounded(int(digits))


def bounded(number: int) -> int:
    """Return a number that the inventory can hold; raise LiteralError."""
    if number > NUMBER_MAX:
        raise LiteralError(f"{number:,} is more than the inventory can hold")
    return number


def quoted(text: str) -> str | None:
    """Return the first quoted name."""
    match = _QUOTED.search(text)
    return match[1] if match else None
