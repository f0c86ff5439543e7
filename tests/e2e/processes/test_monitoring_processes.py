"""A real Prometheus on real processes, through the death of a leader and of the metrics service."""

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chaos.up import ROOT, Up, free_port, kill
from inventory_client import Inventory

MONITORING = ROOT / "deploy" / "monitoring"
SECONDS_MAX = 60
POLL_SECONDS = 0.2
SCRAPE = "500ms"
RATE_INTERVAL = "10s"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("prometheus"),
        reason="prometheus is not installed: apt-get install prometheus",
    ),
]


def eventually(what: str, check: Callable[[], bool]) -> None:
    """Wait until something holds, for as long as a busy machine may need."""
    deadline = time.monotonic() + SECONDS_MAX
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(POLL_SECONDS)


class Prometheus:
    """One server, and what it answers."""

    def __init__(self, folder: Path, targets: dict[str, str]) -> None:
        """Scrape `targets`, addresses by the process's name."""
        folder.mkdir()
        config = {
            "global": {
                "scrape_interval": SCRAPE,
                "scrape_timeout": SCRAPE,
                "evaluation_interval": SCRAPE,
            },
            "rule_files": [str(MONITORING / "rules.yaml")],
            "scrape_configs": [
                {"job_name": name, "static_configs": [{"targets": [address]}]}
                for name, address in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.address = f"127.0.0.1:{free_port()}"
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}",  # noqa: S607 - on PATH
             f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={self.address}"],
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(SECONDS_MAX)
        self._log.close()

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Call its API; return the data."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}") as response:
            return json.load(response)["data"]

    def value(self, expr: str) -> float | None:
        """Return the one value of an instant query, None without any."""
        found = self.ask("query", query=expr)["result"]
        return float(found[0]["value"][1]) if found else None

    def is_scraping(self, count: int) -> bool:
        """Tell whether it has read so many targets."""
        try:
            active = self.ask("targets", state="active")["activeTargets"]
        except urllib.error.URLError:
            return False
        return [target["health"] for target in active] == ["up"] * count


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Prometheus]]:
    """Run the system, and a Prometheus that scrapes each of its processes."""
    folder = tmp_path_factory.mktemp("monitoring")
    with Up(folder / "data") as up:
        ports = json.loads((up.data / "run" / "ports.json").read_text())
        targets = {
            name.removesuffix("/metrics"): f"127.0.0.1:{port}"
            for name, port in ports.items()
            if name.endswith("/metrics")
        }
        prometheus = Prometheus(folder / "prometheus", targets)
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


def panels() -> list[tuple[str, str]]:
    """Return every panel's query, with its dashboard and title."""
    return [
        (f"{path.stem}: {panel['title']}", target["expr"])
        for path in sorted((MONITORING / "dashboards").glob("*.json"))
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.mark.parametrize(("panel", "expr"), panels())
def test_a_panel_has_data(lived: tuple[Prometheus, int], panel: str, expr: str) -> None:
    """Over the time that the system lived."""
    prometheus, _ = lived
    now = time.time()
    found = prometheus.ask(
        "query_range",
        query=expr.replace("$__rate_interval", RATE_INTERVAL),
        start=str(now - 300),
        end=str(now),
        step="1",
    )["result"]
    assert found, f"{panel}: {expr}"


def test_every_rule_evaluates_on_what_is_served(lived: tuple[Prometheus, int]) -> None:
    """None fails, and each metric that one names was there."""
    prometheus, _ = lived
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == len(
        yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"][0]["rules"]
    )
    for rule in rules:
        for selector in re.findall(r"inventory_\w+(?:{[^}]*})?", rule["query"]):
            there = prometheus.value(f"count(count_over_time({selector}[5m]))")
            assert there, f"{rule['name']}: {selector}"


def test_the_death_of_the_leader_was_seen(lived: tuple[Prometheus, int]) -> None:
    """A member that was gone, and another term; with nothing to alarm anybody by the end."""
    prometheus, _ = lived
    assert prometheus.value("min(min_over_time(inventory_member_reachable[5m]))") == 0
    assert prometheus.value("max(max_over_time(inventory_cluster_term[5m]))") != prometheus.value(
        "min(min_over_time(inventory_cluster_term[5m]))"
    )
    assert prometheus.ask("query", query='ALERTS{alertstate="firing"}')["result"] == []


def test_orders_and_revenue_survive_their_process_exactly(lived: tuple[Prometheus, int]) -> None:
    """Its counters went on where they were, and are the cluster's own."""
    prometheus, orders = lived
    revenue = "inventory_revenue_minor_units_total"
    for counter in ("inventory_orders_total", "inventory_units_sold_total", revenue):
        assert prometheus.value(f"sum(resets({counter}[5m]))") == 0, counter
    assert prometheus.value("inventory_orders_total") == orders
    assert prometheus.value("inventory_units_sold_total") == orders
    assert prometheus.value(f'{revenue}{{currency="USD"}}') == orders * 2_499


def test_a_checkpoint_is_compared(lived: tuple[Prometheus, int]) -> None:
    """Every member hashed its state, at one index."""
    prometheus, _ = lived
    assert prometheus.value("count(inventory_member_hashed_index)") == 3
    assert prometheus.value("max(max_over_time(inventory_cluster_state_hashes_differ[5m]))") == 0
