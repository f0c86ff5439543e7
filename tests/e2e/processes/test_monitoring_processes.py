"""A real Prometheus on real processes, through the death of a leader and of the metrics service."""

import json
import shutil
from collections.abc import Iterator

import pytest
from chaos.prometheus import Prometheus, eventually, panels, rules_written
from chaos.up import Up, kill
from inventory_client import Inventory

SECONDS_MAX = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(
        not shutil.which("prometheus"),
        reason="prometheus is not installed: apt-get install prometheus",
    ),
]


def _labels(name: str) -> dict[str, str]:
    """Return what a member's target has as from the operator, and another's does not."""
    return {"pod": name} if name.startswith("node-") else {}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Prometheus]]:
    """Run the system, and a Prometheus that scrapes each of the system's processes."""
    folder = tmp_path_factory.mktemp("monitoring")
    with Up(folder / "data") as up:
        ports = json.loads((up.data / "run" / "ports.json").read_text())
        targets = {
            name.removesuffix("/metrics"): f"127.0.0.1:{port}"
            for name, port in ports.items()
            if name.endswith("/metrics")
        }
        scrapes = [
            {
                "job_name": name,
                "static_configs": [{"targets": [address], "labels": _labels(name)}],
            }
            for name, address in targets.items()
        ]
        prometheus = Prometheus(folder / "prometheus", scrapes)
        try:
            eventually("targets are up", lambda: prometheus.is_scraping(7))
            yield up, prometheus
        finally:
            prometheus.stop()


@pytest.fixture(scope="module")
def lived(watched: tuple[Up, Prometheus]) -> tuple[Prometheus, int]:
    """Trade, kill the leader, trade, kill the metrics service; return how many orders there are."""
    up, prometheus = watched
    up.watcher.checkpoint()
    with Inventory(up.address, timeout=SECONDS_MAX) as client:
        client.login("Gayathri", "password1")
        client.ask("list all items")
        orders = [client.order_item(3, 1) for _ in range(20)]
        leader = up.leader()
        kill(leader.pid)
        orders += [client.order_item(3, 1) for _ in range(20)]
        up.wait_until_whole(besides={leader.pid})
        pid = int((up.data / "run" / "metrics.pid").read_text())
        kill(pid)
        client.ask("list all items")
        orders += [client.order_item(3, 1) for _ in range(10)]
    eventually(
        "the metrics service is back with all orders",
        lambda: prometheus.is_scraping(7) and prometheus.value("inventory_orders_total") == 50,
    )
    assert int((up.data / "run" / "metrics.pid").read_text()) != pid
    return prometheus, len(orders)


@pytest.mark.parametrize(("panel", "expr"), panels())
def test_a_panel_has_data(lived: tuple[Prometheus, int], panel: str, expr: str) -> None:
    """Each query has data from the time of the system's run."""
    prometheus, _ = lived
    found = prometheus.over_time(expr)
    assert found, f"{panel}: {expr}"


def test_a_line_has_the_name_of_a_pod_or_else_an_address(lived: tuple[Prometheus, int]) -> None:
    """The label `process` is a member's name if the series has the name, else an address."""
    prometheus, _ = lived
    exprs = dict(panels())
    named, addressed = (
        {line["metric"]["process"] for line in prometheus.over_time(exprs[f"cluster: {title}"])}
        for title in ("Commands", "Not answered yet")
    )
    assert named == {"node-0", "node-1", "node-2"}
    assert addressed
    assert all(process.startswith("127.0.0.1:") for process in addressed)


def test_every_rule_evaluates_on_what_is_served(lived: tuple[Prometheus, int]) -> None:
    """No rule fails, and each metric that a rule names was served."""
    prometheus, _ = lived
    rules = prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == rules_written()
    assert prometheus.unserved() == []


def test_the_death_of_the_leader_was_seen(lived: tuple[Prometheus, int]) -> None:
    """A member was gone, and the term rose; at the end no alert fires."""
    prometheus, _ = lived
    assert prometheus.value("min(min_over_time(inventory_member_reachable[5m]))") == 0
    assert prometheus.value("max(max_over_time(inventory_cluster_term[5m]))") != prometheus.value(
        "min(min_over_time(inventory_cluster_term[5m]))"
    )
    assert prometheus.ask("query", query='ALERTS{alertstate="firing"}')["result"] == []


def test_orders_and_revenue_survive_their_process_exactly(lived: tuple[Prometheus, int]) -> None:
    """The counters of a restarted service go on, and equal the cluster's totals."""
    prometheus, orders = lived
    revenue = "inventory_revenue_minor_units_total"
    for counter in ("inventory_orders_total", "inventory_units_sold_total", revenue):
        assert prometheus.value(f"sum(resets({counter}[5m]))") == 0, counter
    assert prometheus.value("inventory_orders_total") == orders
    assert prometheus.value("inventory_units_sold_total") == orders
    assert prometheus.value(f'{revenue}{{currency="USD"}}') == orders * 2_499


def test_a_checkpoint_is_compared(lived: tuple[Prometheus, int]) -> None:
    """Every member hashed its state at one index."""
    prometheus, _ = lived
    assert prometheus.value("count(inventory_member_hashed_index)") == 3
    assert prometheus.value("max(max_over_time(inventory_cluster_state_hashes_differ[5m]))") == 0
