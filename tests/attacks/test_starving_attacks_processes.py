"""Attacks by work: one customer orders as much as can be, and others order on."""

import pytest
from attacks.measured import KEPT_MIN, attacked
from chaos.up import Up
from inventory_cli.up.layout import Layout

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "count", [1, pytest.param(4, marks=pytest.mark.long), pytest.param(16, marks=pytest.mark.long)]
)
def test_streams_full_of_orders(system: Up, item: int, token: str, count: int) -> None:
    """The users take turns, whatever each has waiting."""
    outcome = attacked(system, item, "submit_flood", count=count, token=token)
    assert outcome.problems == []
    assert outcome.kept >= KEPT_MIN
    assert outcome.said["answered"] > 0


@pytest.mark.long
def test_unary_orders_by_hundreds_at_once(system: Up, item: int, token: str) -> None:
    """Calls of one user wait behind calls of that user."""
    outcome = attacked(system, item, "unary_flood", count=200, token=token)
    assert outcome.problems == []
    assert outcome.kept >= KEPT_MIN
    assert outcome.said["answered"] > 0


@pytest.mark.long
def test_a_gateway_that_floods_the_leader(system: Up, item: int, token: str) -> None:
    """The gateways take turns at the leader, as the users do at a gateway."""
    status = system.watcher.status()
    leader = next(one for one in status.members if one.name == status.leader)
    outcome = attacked(
        system,
        item,
        "gateway_flood",
        token=token,
        member=f"{leader.name}={leader.address}",
        pki=str(Layout(system.data).pki.path),
    )
    assert outcome.problems == []
    assert outcome.kept >= KEPT_MIN
    assert outcome.said["answered"] > 0
