"""A real Prometheus on the installed release, with the targets of the chart's monitors."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import kubernetes
import pytest
from chaos.prometheus import Prometheus, eventually, panels, rules_written
from chaos.release import NAME, SECONDS_MAX, Release, missing
from inventory_client import Inventory
from rendered import helm
from rendered.objects import of_kind
from rendered.scraping import targets

SCRAPE = "2s"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(
        not shutil.which("prometheus"),
        reason="prometheus is not installed: apt-get install prometheus",
    ),
]


def find(release: Release, path: Path) -> int:
    """Write the targets of the rendered ServiceMonitors; return how many there are."""
    values = {"serviceMonitor": {"enabled": True}}
    found = helm.parsed(values, release.namespace, NAME)
    listed = kubernetes.client.DiscoveryV1Api().list_namespaced_endpoint_slice(release.namespace)
    client = kubernetes.client.ApiClient()
    slices = client.sanitize_for_serialization(listed)["items"]  # type: ignore[no-untyped-call]  # as it is published
    made = targets(of_kind(found, "ServiceMonitor"), of_kind(found, "Service"), slices)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(made))
    partial.replace(path)
    return len(made)


@pytest.fixture(scope="module")
def lived(
    release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Prometheus, str]]:
    """Trade, kill the leader, trade; yield the Prometheus and the killed member."""
    folder = tmp_path_factory.mktemp("monitoring")
    listed = folder / "targets.json"
    assert find(release, listed) == len(release.services())
    scrape = {"files": [str(listed)], "refresh_interval": "1s"}
    prometheus = Prometheus(
        folder / "prometheus", [{"job_name": NAME, "file_sd_configs": [scrape]}], SCRAPE
    )
    try:
        count = len(release.services())
        eventually("targets are up", lambda: prometheus.is_scraping(count), SECONDS_MAX)
        release.watcher.checkpoint()
        with Inventory(release.address, timeout=SECONDS_MAX, insecure=True) as client:
            client.login("Gayathri", "password1")
            client.ask("list all items")
            for _ in range(5):
                client.order_item(3, 1)
        leader = release.leader()
        release.delete(leader, grace_seconds=0)
        with Inventory(release.address, timeout=SECONDS_MAX, insecure=True) as client:
            client.login("Gayathri", "password1")
            client.ask("list all items")
            for _ in range(5):
                client.order_item(3, 1)
        release.wait_until_whole()

        def is_found_again() -> bool:
            return find(release, listed) == count and prometheus.is_scraping(count)

        eventually("targets are up again", is_found_again, SECONDS_MAX)
        yield prometheus, leader
    finally:
        prometheus.stop()


def test_every_rule_and_panel_has_data(lived: tuple[Prometheus, str]) -> None:
    """The leader has died; no rule fails, and no rule names a metric that nobody serves."""
    prometheus, _ = lived
    rules = prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == rules_written()
    assert prometheus.unserved() == []
    empty = [panel for panel, expr in panels() if not prometheus.over_time(expr)]
    assert empty == []


def test_lines_have_the_names_of_the_release_and_of_pods(lived: tuple[Prometheus, str]) -> None:
    """The operator would give the targets these labels."""
    prometheus, leader = lived
    of_release = f'inventory_node_term{{app_kubernetes_io_instance="{NAME}"}}'
    assert prometheus.value(f"count({of_release})") == prometheus.value(
        "count(inventory_node_term)"
    )

    def drawn() -> set[str]:
        commands = prometheus.over_time(dict(panels())["cluster: Commands"])
        return {line["metric"]["process"] for line in commands}

    # A rate takes two samples, and the leader may have been killed after its first.
    eventually("who was killed is drawn again", lambda: leader in drawn(), SECONDS_MAX)
    assert not [process for process in drawn() if ":" in process]


def test_it_saw_who_was_killed_and_that_all_is_well_again(lived: tuple[Prometheus, str]) -> None:
    """Prometheus has the killed member's name; health reports that writes commit."""
    prometheus, leader = lived
    gone = f'min(min_over_time(inventory_member_reachable{{member="{leader}"}}[5m]))'
    assert prometheus.value(gone) == 0
    well = 'min(inventory_health_serving{name=~"cluster|writes|reads"})'
    eventually("health serves", lambda: prometheus.value(well) == 1)
