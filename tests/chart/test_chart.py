"""The chart as it renders, without a cluster: what it refuses, and what its objects must be."""

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from assistant.config import Config as AssistantConfig
from gateway.config import Config as GatewayConfig
from inventory_node.config import Config as NodeConfig
from wire.settings import ServiceSettings

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "inventory"
CONFIGS: dict[str, type[ServiceSettings]] = {
    "node": NodeConfig,
    "gateway": GatewayConfig,
    "assistant": AssistantConfig,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("helm"), reason="helm is not installed"),
]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    return subprocess.run(  # noqa: S603 - our own arguments
        ["helm", *arguments],  # noqa: S607 - where the user has it
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Render the chart."""
    return helm(
        *("template", "inventory", str(CHART), "--namespace", "shop"),
        *("--kube-version", "1.34.0", *arguments),
    )


@cache
def objects(*arguments: str) -> list[dict[str, Any]]:
    """Return what the chart renders."""
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def rendered() -> list[tuple[str, list[dict[str, Any]]]]:
    """Return every way in which the chart is rendered here, by a name."""
    if not shutil.which("helm"):
        return []
    return [
        ("default", objects()),
        ("kind", objects("--values", str(CHART / "values-kind.yaml"))),
        ("production", objects("--values", str(CHART / "values-production.yaml"))),
        ("one", objects("--set", "replicaCount=1", "--set", "gateway.replicaCount=1")),
    ]


def pods(found: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return every pod's name, metadata and specification, those of templates too."""
    made = []
    for one in found:
        if one["kind"] == "Pod":
            made.append((one["metadata"]["name"], one["metadata"], one["spec"]))
        elif "template" in one.get("spec", {}):
            inner = one["spec"]["template"]
            made.append((one["metadata"]["name"], inner["metadata"], inner["spec"]))
    return made


@pytest.fixture(params=rendered(), ids=lambda case: case[0])
def release(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return the objects of one way to render it."""
    objects_: list[dict[str, Any]] = request.param[1]
    return objects_


def test_it_has_no_fault_that_helm_knows() -> None:
    """With every values file."""
    for values in ("values.yaml", "values-kind.yaml", "values-production.yaml"):
        done = helm("lint", "--strict", str(CHART), "--values", str(CHART / values))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("replicaCount=4", "an even number of members survives no more losses"),
        ("replicaCount=0", "replicaCount"),
        ("gateway.terminationGracePeriodSeconds=5", "sleeps 5 s"),
        ("gateway.service.nodePort=30051", "needs gateway.service.type NodePort"),
        ("currency=dollars", "currency"),
        ("node.spread=firm", "spread"),
        ("nonsense=1", "nonsense"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(setting: str, said: str) -> None:
    """Before anything is made."""
    done = template("--set", setting)
    assert done.returncode
    assert said in done.stderr


def test_every_pod_may_run_under_restricted_security(release: list[dict[str, Any]]) -> None:
    """Nobody is root, nothing is written but volumes, no token is handed in."""
    for name, _, spec in pods(release):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name
            assert not container["image"].endswith((":", ":latest")), name


def test_every_service_and_policy_selects_a_pod(release: list[dict[str, Any]]) -> None:
    """And every port of a Service is one of its pods'."""
    labels = [(metadata["labels"], spec) for _, metadata, spec in pods(release)]
    for one in release:
        selector = one.get("spec", {}).get("selector") or one.get("spec", {}).get("podSelector")
        if one["kind"] not in ("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
            continue
        wanted = (selector or {}).get("matchLabels", selector)
        chosen = [spec for found, spec in labels if wanted.items() <= found.items()]
        assert chosen, one["metadata"]["name"]
        for port in one["spec"].get("ports", []) if one["kind"] == "Service" else []:
            names = {
                named["name"]
                for container in chosen[0]["containers"]
                for named in container["ports"]
            }
            assert port["targetPort"] in names, one["metadata"]["name"]


def test_long_lived_containers_are_probed_by_grpc(release: list[dict[str, Any]]) -> None:
    """Three probes each, with the time that a busy machine needs."""
    for name, _, spec in pods(release):
        if spec.get("restartPolicy") == "Never":
            continue
        for container in spec["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert "grpc" in container[probe], name
                assert container[probe]["timeoutSeconds"] >= 3, name


def test_every_setting_is_one_that_the_code_knows(release: list[dict[str, Any]]) -> None:
    """A misspelt name would be silently ignored; what has no default must be there."""
    for _, metadata, spec in pods(release):
        config = CONFIGS.get(metadata["labels"]["app.kubernetes.io/component"])
        if config is None:
            continue
        fields = config.model_fields
        known = {f"INVENTORY_{name.upper()}": field for name, field in fields.items()}
        given = {one["name"] for one in spec["containers"][0]["env"]}
        assert given <= known.keys()
        assert {name for name, field in known.items() if field.is_required()} <= given


def test_members_are_named_as_their_pods(release: list[dict[str, Any]]) -> None:
    """Each by the DNS name that the headless Service gives it, ready or not."""
    [members] = [one for one in release if one["kind"] == "StatefulSet"]
    [service] = [
        one
        for one in release
        if one["kind"] == "Service" and one["spec"].get("clusterIP") == "None"
    ]
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert members["spec"]["serviceName"] == service["metadata"]["name"]
    assert members["spec"]["podManagementPolicy"] == "Parallel"
    name = members["metadata"]["name"]
    for _, _, spec in pods(release):
        for variable in (one for container in spec["containers"] for one in container["env"]):
            if variable["name"].endswith("_MEMBERS"):
                listed = [part.partition("=") for part in variable["value"].split(",")]
                assert [one[0] for one in listed] == [
                    f"{name}-{number}" for number in range(members["spec"]["replicas"])
                ]
                for pod, _, address in listed:
                    host = f"{pod}.{service['metadata']['name']}.shop.svc.cluster.local"
                    assert address == f"{host}:7400"


def test_disruptions_take_one_at_a_time() -> None:
    """And none is budgeted where there is only one to take."""
    budgets = [one for one in objects() if one["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == 2
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    alone = objects("--set", "replicaCount=1", "--set", "gateway.replicaCount=1")
    assert not [one for one in alone if one["kind"] == "PodDisruptionBudget"]


FLOWS = {  # from, to, port: the whole list of who may talk to whom
    ("node", "node", 7400),
    ("gateway", "node", 7400),
    ("client", "gateway", 50051),
    ("assistant", "gateway", 50051),
    ("test", "gateway", 50051),
    ("gateway", "assistant", 50061),
    ("monitoring", "node", 9100),
    ("monitoring", "gateway", 9100),
    ("monitoring", "assistant", 9100),
}
PEERS = {
    "client": {"namespaceSelector": {"matchLabels": {"of": "clients"}}},
    "monitoring": {"namespaceSelector": {"matchLabels": {"of": "monitoring"}}},
}


def may(policies: dict[str, Any], sender: str, recipient: str, port: int) -> bool:
    """Tell whether a connection passes: what leaves one and what enters the other."""

    def named(peer: dict[str, Any]) -> str:
        for name, given in PEERS.items():
            if peer == given:
                return name
        component: str = peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        return component

    def passes(rules: list[dict[str, Any]], side: str, other: str) -> bool:
        return any(
            port in [one["port"] for one in rule["ports"]]
            and (side not in rule or other in [named(peer) for peer in rule[side]])
            for rule in rules
        )

    leaves = sender not in policies or passes(policies[sender]["egress"], "to", recipient)
    return leaves and passes(policies[recipient]["ingress"], "from", sender)


def test_the_network_lets_through_what_is_listed_and_nothing_else() -> None:
    """Every pair of everybody, at every port."""
    found = objects(
        *("--set-json", f"networkPolicy.clients=[{json.dumps(PEERS['client'])}]"),
        *("--set-json", f"networkPolicy.monitoring=[{json.dumps(PEERS['monitoring'])}]"),
    )
    policies = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]
        for one in found
        if one["kind"] == "NetworkPolicy"
    }
    assert policies.keys() == CONFIGS.keys()
    everybody = [*CONFIGS, "client", "monitoring", "test"]
    for sender in everybody:
        for recipient in CONFIGS:
            for port in (7400, 50051, 50061, 9100):
                expected = (sender, recipient, port) in FLOWS
                assert may(policies, sender, recipient, port) == expected, (sender, recipient, port)
    for policy in policies.values():
        assert {"port": 53, "protocol": "UDP"} in policy["egress"][0]["ports"]


def test_no_secret_is_in_the_chart() -> None:
    """Keys are drawn at the first install, and are not in any pod's environment."""
    first, second = template().stdout, template().stdout
    assert first != second
    for _, _, spec in pods(objects()):
        for container in spec["containers"]:
            for variable in container["env"]:
                assert "secretKeyRef" not in str(variable)


def test_every_value_is_documented() -> None:
    """In the table of docs/operating.md."""
    text = (CHART.parents[2] / "docs" / "operating.md").read_text()

    def leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
        found = []
        for key, value in values.items():
            if isinstance(value, dict) and value and key not in ("resources", "requests"):
                found += leaves(value, f"{prefix}{key}.")
            else:
                found.append(f"{prefix}{key}")
        return found

    for name in leaves(yaml.safe_load((CHART / "values.yaml").read_text())):
        assert f"`{name}`" in text, name


def test_the_plain_manifests_are_what_the_chart_renders() -> None:
    """deploy/k8s/base, without Helm's labels, hooks and generated Secret."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(CHART.parents[2] / "tools" / "render_manifests.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", ["kind", "production"])
def test_an_overlay_is_the_base_with_its_patches(overlay: str) -> None:
    """Every patch finds its target; no object is lost, every one is in the namespace."""
    folder = CHART.parents[1] / "k8s"
    done = subprocess.run(  # noqa: S603 - our own arguments
        ["kubectl", "kustomize", str(folder / "overlays" / overlay)],  # noqa: S607 - on PATH
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    base = [
        one
        for path in (folder / "base").glob("*.yaml")
        for one in yaml.safe_load_all(path.read_text())
        if one["kind"] != "Kustomization"
    ]
    assert len(made) == len(base)
    assert {one["metadata"]["namespace"] for one in made} == {"inventory"}
