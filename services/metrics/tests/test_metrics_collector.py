"""The metrics that the metrics service computes from the gateway's answers."""

from pathlib import Path
from typing import Any

import pytest
from business_metrics.collector import ROLES, ClusterCollector, registry
from business_metrics.reading import Reader, Reading, ReadResult
from inventory.v1 import cluster_pb2, inventory_pb2
from inventory_client import InventoryStats, Status, Unauthenticated, Unavailable
from prometheus_client import CollectorRegistry, generate_latest
from service.process import secret_in

NOTHING: ReadResult[Any] = ReadResult(None, 2.0)
LEADER = cluster_pb2.MEMBER_ROLE_LEADER
FOLLOWER = cluster_pb2.MEMBER_ROLE_FOLLOWER
VOTER = cluster_pb2.MEMBER_STANDING_VOTER


def member(
    name: str, role: cluster_pb2.MemberRole.ValueType, **fields: object
) -> cluster_pb2.Member:
    """Return a member that answers."""
    view: dict[str, Any] = {"term": 3, "standing": VOTER} | fields
    return cluster_pb2.Member(name=name, reachable=True, role=role, **view)


def silent(name: str) -> cluster_pb2.Member:
    """Return a member that does not answer."""
    return cluster_pb2.Member(name=name, reachable=False)


def reading_of(
    *members: cluster_pb2.Member, leader: str = "node-0", stats: ReadResult[Any] = NOTHING
) -> CollectorRegistry:
    """Return the registry of a service that reads this status and these stats."""
    wire = cluster_pb2.GetStatusResponse(members=members, leader=leader)
    status = ReadResult(Status.from_wire(wire), 0.01)
    return registry(lambda: Reading(status, stats))


def hashed(name: str, index: int, sha256: str) -> cluster_pb2.Member:
    """Return a member with a state hash."""
    state_hash = cluster_pb2.StateHash(index=index, sha256=sha256)
    return member(name, FOLLOWER, state_hash=state_hash)


def test_lag_is_what_the_leader_committed_and_a_member_has_not_applied() -> None:
    """A member that answered after the leader may have applied more: its lag is 0."""
    made = reading_of(
        member("node-0", LEADER, commit_index=100, applied_index=90),
        member("node-1", FOLLOWER, commit_index=70, applied_index=60, durable_index=45),
        member("node-2", FOLLOWER, commit_index=120, applied_index=120, durable_index=120),
        silent("node-3"),
    )
    lags = {
        name: made.get_sample_value("inventory_member_lag_entries", {"member": name})
        for name in ("node-0", "node-1", "node-2", "node-3")
    }
    assert lags == {"node-0": 10, "node-1": 40, "node-2": 0, "node-3": None}
    unflushed = {"member": "node-1"}
    assert made.get_sample_value("inventory_member_unflushed_entries", unflushed) == 15


def test_nobody_lags_without_a_leader() -> None:
    """Without a leader there is no commit index, and a lag of 0 would say that all is well."""
    made = reading_of(member("node-0", FOLLOWER, applied_index=9), leader="")
    assert made.get_sample_value("inventory_member_lag_entries", {"member": "node-0"}) is None
    assert made.get_sample_value("inventory_cluster_has_leader") == 0


def test_every_role_is_counted_also_at_zero() -> None:
    """A role without members has a series with 0: nobody can watch a series that goes away."""
    made = reading_of(member("node-0", LEADER), member("node-1", FOLLOWER), silent("node-2"))
    counts = {
        role: made.get_sample_value("inventory_cluster_members", {"role": role}) for role in ROLES
    }
    assert counts == {
        "leader": 1, "follower": 1, "pre_candidate": 0, "candidate": 0, "unreachable": 1,
    }  # fmt: skip
    assert made.get_sample_value("inventory_cluster_term") == 3
    reachable = {
        name: made.get_sample_value("inventory_member_reachable", {"member": name})
        for name in ("node-0", "node-2")
    }
    assert reachable == {"node-0": 1, "node-2": 0}


def test_a_learner_has_no_vote_and_a_silent_member_may_have_one() -> None:
    """The margin of the quorum counts voters alone."""
    made = reading_of(
        member("node-0", LEADER),
        member("node-1", FOLLOWER),
        silent("node-2"),
        member("node-3", FOLLOWER, standing=cluster_pb2.MEMBER_STANDING_LEARNER),
        member("node-4", FOLLOWER, standing=cluster_pb2.MEMBER_STANDING_REMOVED),
    )
    assert made.get_sample_value("inventory_cluster_voters") == 3
    assert made.get_sample_value("inventory_cluster_voters_reachable") == 2


def test_what_no_member_says_is_absent() -> None:
    """A term of 0 would count as a rise later, and no hashes are not equal hashes."""
    made = reading_of(silent("node-0"), silent("node-1"), silent("node-2"), leader="")
    assert made.get_sample_value("inventory_cluster_term") is None
    assert made.get_sample_value("inventory_cluster_state_hashes_differ") is None
    assert made.get_sample_value("inventory_cluster_has_leader") == 0
    assert made.get_sample_value("inventory_cluster_voters") == 3
    assert made.get_sample_value("inventory_cluster_voters_reachable") == 0
    unreachable = {"role": "unreachable"}
    assert made.get_sample_value("inventory_cluster_members", unreachable) == 3


@pytest.mark.parametrize(
    ("found", "differ"),
    [
        ([hashed("node-0", 8, "aa"), hashed("node-1", 8, "bb"), silent("node-2")], 1),
        ([hashed("node-0", 8, "aa"), hashed("node-1", 8, "aa"), silent("node-2")], 0),
        ([hashed("node-0", 8, "aa"), hashed("node-1", 9, "bb")], 0),  # of different moments
        ([member("node-0", LEADER), member("node-1", FOLLOWER)], 0),
    ],
    ids=["differ", "equal", "other-index", "none"],
)
def test_hashes_are_compared_at_one_index(found: list[cluster_pb2.Member], differ: int) -> None:
    """Members agree if their hashes at one index are equal."""
    made = reading_of(*found)
    assert made.get_sample_value("inventory_cluster_state_hashes_differ") == differ


def test_totals_are_those_of_the_cluster() -> None:
    """In minor units, exactly."""
    wire = inventory_pb2.GetInventoryStatsResponse(
        item_count=5, total_quantity=10**12, low_stock_count=2, out_of_stock_count=1,
        order_count=7, units_sold=30, revision=44,
    )  # fmt: skip
    wire.stock_value.currency_code = wire.revenue.currency_code = "USD"
    wire.stock_value.units, wire.stock_value.nanos = 12, 340_000_000
    wire.revenue.units, wire.revenue.nanos = 90_071_992_547_409, 910_000_000
    made = reading_of(stats=ReadResult(InventoryStats.from_wire(wire), 0.01))
    usd = {"currency": "USD"}
    assert made.get_sample_value("inventory_revision") == 44
    assert made.get_sample_value("inventory_items") == 5
    assert made.get_sample_value("inventory_stock_units") == 10**12
    assert made.get_sample_value("inventory_stock_value_minor_units", usd) == 1_234
    assert made.get_sample_value("inventory_low_stock_items") == 2
    assert made.get_sample_value("inventory_out_of_stock_items") == 1
    assert made.get_sample_value("inventory_orders_total") == 7
    assert made.get_sample_value("inventory_units_sold_total") == 30
    assert made.get_sample_value("inventory_revenue_minor_units_total", usd) == 2**53 - 1


def test_what_was_not_answered_is_absent() -> None:
    """An old total would make a counter go back."""
    text = generate_latest(registry(lambda: Reading(NOTHING, NOTHING))).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert sorted(lines) == [
        'inventory_metrics_read_seconds{read="stats"} 2.0',
        'inventory_metrics_read_seconds{read="status"} 2.0',
        'inventory_metrics_read_success{read="stats"} 0.0',
        'inventory_metrics_read_success{read="status"} 0.0',
    ]


def test_registering_asks_nothing() -> None:
    """The process starts without a gateway."""

    def read() -> Reading:
        raise AssertionError("asked")

    registry(read)
    with pytest.raises(AssertionError, match="asked"):
        list(ClusterCollector(read).collect())


class Gateway:
    """A stand-in for the client: counts the calls and gives the answers that a test sets."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self.calls: list[str] = []
        self.failure: Exception | None = None

    def _call(self, name: str) -> str:
        self.calls.append(name)
        if self.failure is not None:
            raise self.failure
        return name

    def status(self) -> str:
        """Answer."""
        return self._call("status")

    def stats(self) -> str:
        """Answer."""
        return self._call("stats")


def test_a_gateway_that_does_not_answer_is_not_asked_twice() -> None:
    """A scrape stays short."""
    gateway = Gateway()
    gateway.failure = Unavailable("nobody there")
    reading = Reader(gateway).read()  # type: ignore[arg-type]  # by its methods
    assert (reading.status.value, reading.stats.value) == (None, None)
    assert gateway.calls == ["status", "stats"]


def test_a_key_that_is_gone_is_no_reading() -> None:
    """The process goes on, and the page reports the failed reading."""
    gateway = Gateway()
    gateway.failure = Unauthenticated("The key file metrics.key cannot be read: gone")
    assert Reader(gateway).read().stats.value is None  # type: ignore[arg-type]  # by its methods


def test_a_key_file_is_refused_when_it_holds_none(tmp_path: Path) -> None:
    """The process refuses to start, and names the path of the key file."""
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(match="empty is empty"):
        secret_in(tmp_path / "empty")
    with pytest.raises(match="cannot be read"):
        secret_in(tmp_path / "gone")
