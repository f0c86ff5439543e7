"""What can be set or watched is written down."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import assistant.config
import business_metrics.config
import cluster_health.config
import gateway.config
import inventory_node.config
import pytest
from assistant.metrics import QuestionCounts
from business_metrics import collector
from business_metrics.reading import Reading, ReadResult
from cluster_health.facts import Facts
from cluster_health.metrics import CanaryCounts, HealthCollector
from gateway.router import Router, RouterSettings
from gateway.runtime.metrics import GatewayCollector
from inventory.raft.v1 import forward_pb2
from inventory.v1 import assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2
from inventory_client import InventoryStats, Status
from inventory_node.runtime.failpoints import STEPS
from inventory_node.runtime.metrics import NodeCollector, NodeCounts
from prometheus_client import CollectorRegistry, generate_latest
from pydantic_settings import BaseSettings
from service.metrics import InternalErrors
from wire.errors import Reason

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = (
    inventory_node.config.NodeConfig,
    gateway.config.GatewayConfig,
    assistant.config.AssistantConfig,
    business_metrics.config.MetricsConfig,
    cluster_health.config.HealthConfig,
)


class NoLinks:
    """Sends nothing."""

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """Drop a frame."""

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """Know nobody."""


def read() -> Reading:
    """Return a reading of a cluster that has everything."""
    member = cluster_pb2.Member(
        name="node-0", reachable=True, role=cluster_pb2.MEMBER_ROLE_LEADER, commit_index=1
    )
    status = cluster_pb2.GetStatusResponse(members=[member], leader="node-0")
    stats = inventory_pb2.GetInventoryStatsResponse()
    return Reading(
        ReadResult(Status.from_wire(status), 0), ReadResult(InventoryStats.from_wire(stats), 0)
    )


def exported() -> set[str]:
    """Return the name of every metric that a process of this system serves."""
    registry = CollectorRegistry()
    member = cluster_pb2.Member(volume=cluster_pb2.Volume(size_bytes=1))
    registry.register(NodeCollector(lambda: member, NodeCounts(), lambda: 0))
    router = Router(RouterSettings(members=("node-0",)), NoLinks())
    registry.register(GatewayCollector(router, lambda: {"token_invalid": 1}))
    registry.register(collector.ClusterCollector(read))
    registry.register(HealthCollector(lambda: Facts(members={})))
    registry.register(InternalErrors(lambda: 0))
    registries = (registry, QuestionCounts().registry, CanaryCounts().registry)
    text = "".join(generate_latest(one).decode() for one in registries)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    names = {re.split(r"[ {]", line)[0] for line in lines}
    return {name for name in names if not name.endswith("_created")}


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    """docs/metrics.md is the list."""
    written = set(re.findall(r"`(inventory_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    assert written == exported()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__module__)
def test_every_setting_is_documented(config: type[BaseSettings]) -> None:
    """docs/configuration.md names each."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    for name in config.model_fields:
        assert f"`INVENTORY_{name.upper()}`" in text, name


def test_every_call_and_every_reason_is_documented() -> None:
    """docs/api.md has a row for each, and a row for nothing else."""
    text = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (`?)", text, re.MULTILINE)
    calls = {
        call.name
        for schema in (assistant_pb2, auth_pb2, cluster_pb2, inventory_pb2)
        for service in schema.DESCRIPTOR.services_by_name.values()
        for call in service.methods
    }
    assert {name for name, quoted in rows if quoted} == set(Reason)
    assert calls <= {name for name, _ in rows}


def test_every_failpoint_is_documented() -> None:
    """By its step; `before-` and `after-` are explained once."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    for step in STEPS:
        assert f"`{step}`" in text, step


def test_every_decision_says_why() -> None:
    """Context, decision, consequences; numbered without a gap."""
    paths = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        text = path.read_text()
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{path.name} lacks {heading}"


def test_every_document_is_reachable_from_the_readme() -> None:
    """A page that nothing links to is not read."""
    readme = (ROOT / "README.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.name}" in readme, path.name


def test_a_member_that_has_diverged_is_restarted_wherever_it_is_told() -> None:
    """It rebuilds itself then (decision 12): no text has its claim deleted, or has it stopped."""
    alerts = (ROOT / "deploy" / "monitoring" / "rules.yaml").read_text()
    findings = (ROOT / "services/health/src/cluster_health/findings.py").read_text()
    texts = {
        "alert": alerts.partition("InventoryStateHashesDiffer")[2].partition("- alert:")[0],
        "findings": findings.partition("def _states_differ")[2].partition("def _no_leader")[0],
        "runbook": (ROOT / "docs" / "runbooks" / "states-differ.md").read_text(),
        "operating": (ROOT / "docs" / "operating.md").read_text().partition("s state differs")[2],
        "command line": (ROOT / "clients/cli/src/inventory_cli/cluster.py").read_text(),
    }
    for name, text in texts.items():
        assert "estart it" in text or "Restart the member" in text, name
    for name in ("alert", "findings", "runbook"):
        assert not re.search(r"delete pvc|ebuild|Stop it|empty volume", texts[name]), name
        assert "o majority" in texts[name], name


def test_links_between_documents_lead_somewhere() -> None:
    """Relative links name files that are there."""
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path}: {target}"
