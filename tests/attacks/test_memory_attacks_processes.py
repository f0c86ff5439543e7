"""Attacks on memory: what a caller sends or does not read costs a bounded number of bytes."""

import pytest
from attacks.measured import (
    ASSISTANT_MIB_MAX,
    GATEWAY_MIB_MAX,
    KEPT_MIN,
    NODE_MIB_MAX,
    Outcome,
    attacked,
    fill_pages,
)
from chaos.up import Up

pytestmark = pytest.mark.slow


def fails(outcome: Outcome) -> None:
    """Assert that an attack had no effect on honest clients, nor on the memory of any process."""
    assert outcome.problems == []
    assert outcome.kept >= KEPT_MIN
    for name, peak in outcome.peak_mib.items():
        limit = {"gateway": GATEWAY_MIB_MAX, "assistant": ASSISTANT_MIB_MAX}.get(name, NODE_MIB_MAX)
        assert peak < limit, name


def test_bodies_that_do_not_end(system: Up, item: int) -> None:
    """A body that is longer than any legal one is refused by its length, before it is there."""
    outcome = attacked(system, item, "unfinished_bodies", count=30)
    fails(outcome)
    assert outcome.said["sent_mib"] < 16


@pytest.mark.long
def test_bodies_of_a_legal_length_that_do_not_end(system: Up, item: int) -> None:
    """A body that has not come whole in time ends its call."""
    outcome = attacked(system, item, "unfinished_bodies", seconds=8, count=100, size=200 << 10)
    fails(outcome)
    assert outcome.said["ended_by_the_server"] == 200


@pytest.mark.long
def test_messages_that_grow_when_they_are_decompressed(system: Up, item: int) -> None:
    """No server decompresses."""
    fails(attacked(system, item, "compressed_zeros", count=4))


@pytest.mark.long
def test_questions_of_15_mib_without_a_token(system: Up, item: int) -> None:
    """A question without a token is neither read nor forwarded."""
    outcome = attacked(system, item, "questions_without_a_token", count=40)
    fails(outcome)
    assert "answered" not in outcome.said


@pytest.mark.long
def test_a_customer_who_reads_no_refusal(system: Up, item: int, token: str) -> None:
    """A refusal does not repeat what it refuses."""
    fails(attacked(system, item, "deaf_to_refusals", count=100, token=token))


@pytest.mark.long
def test_a_customer_who_reads_no_list(system: Up, item: int, token: str) -> None:
    """Few pages of one user are unread at a time."""
    fill_pages(system)
    fails(attacked(system, item, "deaf_to_lists", count=200, token=token))
