"""Money, roles and standings: exact, and checked where they are given."""

import asyncio
import copy
import enum
import json
import pickle
import tomllib
from pathlib import Path
from typing import Any

import inventory_client
import pytest
from google.protobuf.descriptor import EnumDescriptor
from hypothesis import given
from hypothesis import strategies as st
from inventory.v1 import auth_pb2, cluster_pb2
from inventory_client import AsyncInventory, Member, MemberRole, Money, Role, Standing, User

ROOT = Path(__file__).resolve().parents[3]
USD, EUR = Money("USD", 250), Money("EUR", 250)
NOT_WHOLE: list[Any] = [1.5, 1.0, True, "1", None]
WORDS: list[tuple[type[enum.StrEnum], EnumDescriptor]] = [
    (Role, auth_pb2.Role.DESCRIPTOR),
    (MemberRole, cluster_pb2.MemberRole.DESCRIPTOR),
    (Standing, cluster_pb2.MemberStanding.DESCRIPTOR),
]


@given(st.integers(), st.integers(), st.integers())
def test_money_counts_exactly(one: int, other: int, count: int) -> None:
    """Of any size; a float would lose cents from 2^53 on."""
    assert Money("USD", one) + Money("USD", other) == Money("USD", one + other)
    assert Money("USD", one) - Money("USD", other) == Money("USD", one - other)
    assert Money("USD", one) * count == count * Money("USD", one) == Money("USD", one * count)
    assert -Money("USD", one) == Money("USD", -one)
    assert (Money("USD", one) < Money("USD", other)) == (one < other)
    assert (Money("USD", one) <= Money("USD", other)) == (one <= other)
    assert (Money("USD", one) > Money("USD", other)) == (one > other)
    assert (Money("USD", one) >= Money("USD", other)) == (one >= other)
    assert bool(Money("USD", one)) == bool(one)


@given(st.sampled_from([("USD", 2), ("JPY", 0), ("KWD", 3)]), st.integers(-(10**17), 10**17))
def test_money_is_written_and_read_with_the_decimals_of_its_currency(
    currency: tuple[str, int], minor: int
) -> None:
    """As text and on the wire; the texts are counted here in nanos."""
    code, digits = currency
    one, nanos = Money(code, minor), minor * 10 ** (9 - digits)
    wire = one.to_wire()
    assert (wire.currency_code, wire.units * 10**9 + wire.nanos) == (code, nanos)
    assert Money.from_wire(wire) == one
    one = abs(minor) * Money(code, 1)  # a text has no sign
    assert Money.parse(code, one.amount) == one
    assert str(one) == f"{code} {one.amount}"
    whole, _, fraction = one.amount.replace(",", "").partition(".")
    assert (len(fraction), int(whole + fraction)) == (digits, abs(minor))


def test_money_is_summed_and_sorted() -> None:
    """As a cart does it."""
    prices = [Money("USD", 250), Money("USD", 1), Money("USD", 99)]
    assert sum(prices, start=Money("USD", 0)) == Money("USD", 350)
    assert max(prices) == USD
    assert sorted(prices) == [prices[1], prices[2], prices[0]]


def test_equal_money_hashes_alike_and_two_currencies_never_meet() -> None:
    """Neither by equality, nor as keys."""
    assert hash(USD) == hash(Money("USD", 250))
    assert USD != EUR
    assert Money("USD", 0) != Money("EUR", 0)
    assert len({USD, EUR, Money("USD", 250)}) == 2


@pytest.mark.parametrize(
    "count", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"], ids=lambda name: name
)
def test_money_of_another_currency_is_refused(count: str) -> None:
    """And anything that is no money."""
    with pytest.raises(ValueError, match=r"USD 2\.50 and EUR 2\.50 are in different"):
        getattr(USD, count)(EUR)
    for other in (1, 1.5, True, "1", None):
        with pytest.raises(TypeError, match="is no Money"):
            getattr(USD, count)(other)


@pytest.mark.parametrize("number", NOT_WHOLE, ids=repr)
def test_money_is_whole_minor_units_and_times_a_whole_number(number: Any) -> None:  # noqa: ANN401 - anything
    """A float is refused where it comes up, not where it is sent."""
    with pytest.raises(TypeError, match=r"^minor: .* is not a whole number"):
        Money("USD", number)
    with pytest.raises(TypeError, match=r"^count: .* is not a whole number"):
        USD * number
    with pytest.raises(TypeError, match="is not a whole number"):
        number * USD


def test_what_is_no_currency_code_and_what_is_no_text_is_refused() -> None:
    """A code is three capitals; an amount is parsed from text alone."""
    for code in ("usd", "US", "$", "USDT", "ÜSD"):
        with pytest.raises(ValueError, match="ISO 4217"):
            Money(code, 1)
    nothing: Any = None
    with pytest.raises(TypeError, match="currency"):
        Money(nothing, 1)
    for amount in (12.5, 12, None):
        wrong: Any = amount
        with pytest.raises(TypeError, match="is not a text"):
            Money.parse("USD", wrong)


def test_money_is_copied_and_pickled() -> None:
    """It is a value."""
    assert pickle.loads(pickle.dumps(USD)) == copy.deepcopy(USD) == USD  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("words", "schema"), WORDS, ids=lambda one: one.name if isinstance(one, EnumDescriptor) else ""
)
def test_every_number_of_the_schema_has_a_word(
    words: type[enum.StrEnum], schema: EnumDescriptor
) -> None:
    """The unspecified one, and those of a later server, are unknown."""
    read: Any = words.from_wire  # type: ignore[attr-defined]  # each of them has it
    found = {read(value.number) for value in schema.values}
    assert found == set(words)
    assert read(0) == read(10**6) == ""
    assert not read(0)


def test_words_are_text() -> None:
    """They compare, print and are written as JSON as their text."""
    assert [one for one in Role if one == "customer"] == [Role.CUSTOMER]
    assert f"{Role.ADMIN}" == "admin"
    assert json.dumps({"role": MemberRole.LEADER}) == '{"role": "leader"}'
    user = User.from_wire(auth_pb2.User(id=1, name="Ann", role=auth_pb2.ROLE_PRODUCER))
    assert user.role is Role.PRODUCER
    assert [one for one in Role if auth_pb2.Role.Name(one.to_wire()) == "ROLE_ADMIN"] == ["admin"]
    assert Role.UNKNOWN.to_wire() == auth_pb2.ROLE_UNSPECIFIED
    lost = Member.from_wire(cluster_pb2.Member(name="node-1"))
    assert (lost.role, lost.standing) == (MemberRole.UNKNOWN, Standing.UNKNOWN)


def test_a_role_that_there_is_not_is_refused_before_it_is_sent() -> None:
    """With the wrong word in the sentence."""
    wrong: Any = "boss"
    creating = AsyncInventory("127.0.0.1:1").create_user("Ann", "password1", wrong)
    with pytest.raises(ValueError, match="'boss' is not a valid Role"):
        creating.send(None)


def test_the_version_is_that_of_the_distribution() -> None:
    """One number for the whole tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert inventory_client.__version__ == project["version"]


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:５", "a b:1"])  # noqa: RUF001 - a full-width digit
def test_an_address_is_checked_before_anything_is_sent(address: str) -> None:
    """A missing port is no other port."""
    with pytest.raises(ValueError, match="is not host:port"):
        AsyncInventory(address)


@pytest.mark.parametrize("timeout", ["5", True, None])
def test_a_timeout_is_a_number(timeout: Any) -> None:  # noqa: ANN401 - what nobody should give
    """A text is no number of seconds."""
    with pytest.raises(TypeError, match="is no number of seconds"):
        AsyncInventory(timeout=timeout)


def test_a_price_is_money() -> None:
    """The sentence says how to make one."""
    number: Any = 1.5

    async def work() -> None:
        inventory = AsyncInventory()
        with pytest.raises(TypeError, match=r"price: 1\.5 is no Money"):
            await inventory.add_item("x", "", number, 1)
        with pytest.raises(TypeError, match="price_min"):
            await anext(inventory.items(price_min=number))

    asyncio.run(work())


def test_an_amount_of_thousands_of_digits_is_refused() -> None:
    """In a sentence of ours."""
    with pytest.raises(ValueError, match="longer than any amount"):
        Money.parse("USD", "9" * 5_000)
