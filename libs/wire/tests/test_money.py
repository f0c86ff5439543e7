"""Money is integers: whole minor units, there and back."""

import pytest
from google.type import money_pb2
from hypothesis import given
from hypothesis import strategies as st
from wire.money import (
    CURRENCIES,
    MoneyError,
    digits_of,
    fill,
    format_minor,
    from_minor,
    is_currency,
    parse_minor,
    to_minor,
)

minors = st.integers(-(10**18), 10**18)
digits = st.integers(0, 4)


@given(minor=minors, places=digits)
def test_money_comes_back_as_it_went(minor: int, places: int) -> None:
    """For every amount, of either sign, and every number of decimals."""
    money = from_minor(minor, "USD", places)
    assert to_minor(money, places) == minor
    assert type(to_minor(money, places)) is int
    assert money.currency_code == "USD"
    assert money_pb2.Money.FromString(money.SerializeToString()) == money
    assert money.units * money.nanos >= 0
    assert abs(money.nanos) < 10**9


@given(minor=minors, places=digits)
def test_text_comes_back_as_it_went(minor: int, places: int) -> None:
    """What is shown can be typed in again."""
    shown = format_minor(abs(minor), places)
    assert parse_minor(shown, places) == abs(minor)
    assert format_minor(-abs(minor), places) == (f"-{shown}" if minor else shown)


@given(first=minors, second=minors, places=digits)
def test_nothing_of_an_earlier_amount_stays(first: int, second: int, places: int) -> None:
    """A message that is filled again is as one that is made anew, byte for byte."""
    money = from_minor(first, "USD", places)
    fill(money, second, places)
    assert money.SerializeToString() == from_minor(second, "USD", places).SerializeToString()


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1,500", 150_000),  # the predecessor read 1
        ("1,299.50", 129_950),
        ("1299.5", 129_950),
        ("0.1", 10),
        ("0.30", 30),
        ("19.99", 1_999),
        ("007", 700),
        (" 5 ", 500),
        ("1,234,567.89", 123_456_789),
        ("10000000000", 10**12),
        ("1".rjust(100, "0"), 100),
    ],
)
def test_amounts_are_read_as_they_are_written(text: str, minor: int) -> None:
    """Commas group, a point divides, and no digit is lost or rounded."""
    assert parse_minor(text, 2) == minor


@pytest.mark.parametrize(
    "text",
    ["", ".", ".5", "1.", "-1", "+1", "1,50", "1,5000", ",500", "1,,500", "1500,000", "1.5.0",
     "1.005", "1.000", "1.500", "1e3", "1 500", "$1", "½", "\u0661", "1.\u0665", "nan",
     "0x10", "1_000", "1".rjust(101, "0")],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Rather than read as something else."""
    with pytest.raises(MoneyError):
        parse_minor(text, 2)


@pytest.mark.parametrize(
    ("units", "nanos", "places"),
    [
        (0, 1, 2),
        (0, 5_000_000, 2),  # half a cent
        (0, 10_000_000, 0),
        (1, -10_000_000, 2),
        (-1, 10_000_000, 2),
        (0, 10**9, 2),
        (0, -(10**9), 2),
    ],
)
def test_what_minor_units_cannot_hold_is_refused(units: int, nanos: int, places: int) -> None:
    """Nothing is rounded, and signs agree (google.type.Money)."""
    with pytest.raises(MoneyError):
        to_minor(money_pb2.Money(currency_code="USD", units=units, nanos=nanos), places)


@pytest.mark.parametrize(
    ("code", "places"),
    [
        ("USD", 2), ("JPY", 0), ("KWD", 3), ("INR", 2), ("CLF", 4), ("UYW", 4), ("UGX", 0),
        ("TND", 3), ("HRK", 2),
    ],
)  # fmt: skip
def test_a_currency_has_its_decimals(code: str, places: int) -> None:
    """ISO 4217; of a currency that was withdrawn those of almost all others."""
    assert digits_of(code) == places


@pytest.mark.parametrize(
    "code", ["ZZZ", "XAU", "XTS", "XXX", "XDR", "HRK", "usd", "", "US", "USDX"]
)
def test_an_inventory_is_kept_in_a_currency_with_a_minor_unit(code: str) -> None:
    """Not in gold, not in what there is not, not in what there is no more."""
    assert not is_currency(code)
    assert is_currency("CLF")


def test_the_currencies_are_listed_in_the_order_of_the_alphabet() -> None:
    """Each of them has a minor unit."""
    assert list(CURRENCIES) == sorted(CURRENCIES)
    assert {"USD", "EUR", "JPY", "CLF"} <= set(CURRENCIES)
    assert all(is_currency(code) for code in CURRENCIES)
