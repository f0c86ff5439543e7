"""The chart refuses what Kubernetes or a pod would refuse, and says what is right."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from rendered import helm
from rendered.objects import of_kind, pods
from rendered.running import upgraded

PARTS = ("node", "gateway", "assistant", "health", "metrics")
LONG = "a" * 64
LOAD_BALANCER = {"gateway": {"service": {"type": "LoadBalancer"}}}
NODE_PORT = {"gateway": {"service": {"type": "NodePort"}}}
NAMES = 'take up to 40 of a-z, 0-9 and "-", a letter first'
OBJECTS = 'take a-z, 0-9, "-" and ".", a letter or a digit at both ends'
KEYS = 'take up to 63 of A-Z, a-z, 0-9, "-", "_" and ".", a letter or a digit at both ends'
BLOCKS = "take a block of addresses, such as 192.0.2.0/24 or 2001:db8::/32"
QUANTITIES = "take a quantity of Kubernetes, such as 250m or 1.5 of cpu, or 512Mi or 2G of memory"
SIZES = "take a size of Kubernetes, such as 8Gi, 8G or 8589934592"
DURATIONS = "take a duration of Prometheus, such as 15s"
OLDER = "missing propert|is required"  # by Helm 4 and by Helm 3
UNKNOWN = "additional propert|Additional property"
CASES: list[tuple[str, Any, str]] = [
    ("replicaCount", 7, "take 1, 3 or 5"),
    ("replicaCount", 4, "take 1, 3 or 5"),
    ("replicaCount", 2.5, "replicaCount"),
    ("initialReplicaCount", 7, "the first start was of 1, 3 or 5 members"),
    ("nameOverride", "in_ventory", NAMES),
    ("nameOverride", "Inventory", NAMES),
    ("nameOverride", "inventory-", NAMES),
    ("fullnameOverride", "Inv", NAMES),
    ("fullnameOverride", "a.b", NAMES),
    ("fullnameOverride", "1st", NAMES),
    ("fullnameOverride", "a" * 41, NAMES),
    ("image.repository", "", "build it .* and set image.repository to where it is"),
    ("image.repository", "Shop/Inventory", "take registry and name"),
    ("image.repository", "example.org/inventory:1.2", "a tag belongs into image.tag"),
    ("image.repository", "https://example.org/inventory", "take registry and name"),
    ("image.tag", "a/b", "take up to 128"),
    ("image.tag", ".1", "take up to 128"),
    ("image.tag", 1.5, "tag"),
    ("image.digest", "sha256:12", 'take "sha256:" and 64 of'),
    ("image.digest", "0" * 64, 'take "sha256:" and 64 of'),
    ("image.pullPolicy", "Sometimes", "pullPolicy"),
    ("image.tagg", "1", UNKNOWN),
    ("imagePullSecrets", [{"name": "Ours"}], OBJECTS),
    ("imagePullSecrets", ["ours"], "imagePullSecrets"),
    ("clusterDomain", "cluster.local.", OBJECTS),
    ("clusterDomain", "", OBJECTS),
    ("currency", "EURO", "take the three letters of an ISO 4217 currency"),
    ("currency", "eur", "take the three letters of an ISO 4217 currency"),
    ("currency", "ZZZ", "take the three letters of an ISO 4217 currency"),
    ("currency", "XAU", "take the three letters of an ISO 4217 currency that has a minor unit"),
    ("existingSecret", "Our_Keys", OBJECTS),
    ("commonLabels", {"a b": "c"}, KEYS),
    ("commonLabels", {"a": "b c"}, KEYS),
    ("commonLabels", {"a": LONG}, KEYS),
    ("commonLabels", {"app.kubernetes.io/name": "ours"}, "which the chart sets: leave it out"),
    ("commonLabels", {"a": 1}, "commonLabels"),
    ("podSecurityContext.runAsUsr", 1, UNKNOWN),
    ("securityContext.priviledged", False, UNKNOWN),
    ("hooks.resources", {"requests": {"cpu": "a lot"}}, QUANTITIES),
    ("hooks.resource", {}, UNKNOWN),
    ("upgrade.requireHealthy", "yes", "requireHealthy"),
    ("log.level", "loud", "level"),
    ("log.format", "xml", "format"),
    ("node.persistence.size", "8GB", SIZES),
    ("node.persistence.size", "8 Gi", SIZES),
    ("node.persistence.size", "-8Gi", SIZES),
    ("node.persistence.size", "8m", SIZES),
    ("node.persistence.size", "8", "is 8, which is under 256Mi"),
    ("node.persistence.size", "200M", "is 200M, which is under 256Mi"),
    ("node.persistence.storageClass", "Fast SSD", OBJECTS),
    ("node.persistence.sizes", "8Gi", UNKNOWN),
    ("node.persistence", None, OLDER),
    ("node.spread", "medium", "spread"),
    ("node.terminationGracePeriodSeconds", 3_601, "terminationGracePeriodSeconds"),
    ("node.terminationGracePeriodSeconds", "60", "terminationGracePeriodSeconds"),
    ("gateway", None, OLDER),
    ("gateway.replicaCount", 0, "replicaCount"),
    ("gateway.service.type", "Ingress", "type"),
    ("gateway.service.port", 0, "port"),
    ("gateway.service.port", 65_536, "port"),
    ("gateway.service.annotations", {"a b": "c"}, KEYS),
    ("gateway.service.externalTrafficPolicy", "Local", "needs gateway.service.type NodePort or"),
    ("gateway.service.loadBalancerClass", "ours", "need gateway.service.type LoadBalancer"),
    ("gateway.service.loadBalancerSourceRanges", ["192.0.2.0/24"], "type LoadBalancer"),
    ("gateway.autoscaling.targetCPUUtilizationPercentage", 101, "targetCPUUtilizationPercentage"),
    ("gateway.autoscaling.minReplicas", 0, "minReplicas"),
    ("assistant.replicas", 2, UNKNOWN),
    ("serviceAccount.name", "Our Account", OBJECTS),
    ("serviceAccount.annotations", {"": "c"}, KEYS),
    ("networkPolicy.clients", [{"ipBlock": {"cidr": "10.0.0.0"}}], BLOCKS),
    ("networkPolicy.operators", [{"ipBlock": {"cidr": "10.0.0.0/33"}}], BLOCKS),
    ("networkPolicy.monitoring", [{"ipBlock": {"cidr": "::/0", "except": ["x"]}}], BLOCKS),
    ("networkPolicy.clients", [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}], "one peer for"),
    ("networkPolicy.clients", [{}], "clients"),
    ("networkPolicy.clients", [{"podSelektor": {}}], UNKNOWN),
    ("networkPolicy.dns.to", [{"ipBlock": {"cidr": "resolver"}}], BLOCKS),
    ("networkPolicy.dns.port", 70_000, "port"),
    ("serviceMonitor.interval", "soon", DURATIONS),
    ("serviceMonitor.interval", "0s", DURATIONS),
    ("serviceMonitor.interval", "", DURATIONS),
    ("serviceMonitor.labels", {"release": "ours!"}, KEYS),
    ("prometheusRule.labels", {"helm.sh/chart": "ours"}, "which the chart sets: leave it out"),
    ("dashboards.labels", {"grafana_dashboard": "2"}, "which the chart sets: leave it out"),
    ("extraObjects", [{"kind": "ConfigMap"}], OLDER),
]
OF_EVERY_PART: list[tuple[str, Any, str]] = [
    ("resources", {"requests": {"cpu": "1 core"}}, QUANTITIES),
    ("resources", {"limits": {"memory": "2GB"}}, QUANTITIES),
    ("resources", {"limits": {"memory": "512m"}}, "is 512m, which is under 1Mi: name the unit"),
    ("resources", {"requests": {"memory": "9Gi"}}, "is 9Gi, which is over its limit"),
    ("resources", {"request": {"cpu": "1"}}, UNKNOWN),
    ("podLabels", {"app.kubernetes.io/component": "ours"}, "which the chart sets: leave it out"),
    ("podLabels", {"of": "-ours"}, KEYS),
    ("podAnnotations", {"of us": "ours"}, KEYS),
    ("nodeSelector", {"disk": "ssd!"}, KEYS),
    ("priorityClassName", "High", OBJECTS),
    ("tolerations", [{"key": "a", "efect": "NoSchedule"}], UNKNOWN),
    ("tolerations", [{"key": "a", "effect": "NoStart"}], "effect"),
    ("affinity", {"nodeAfinity": {}}, UNKNOWN),
    ("topologySpreadConstraints", [{"topologyKey": "zone"}], OLDER),
    ("extraEnv", [{"name": "1ST", "value": "a"}], "no digit first"),
    ("extraEnv", [{"name": "A", "value": 1}], "extraEnv"),
    ("extraEnv", [{"name": "INVENTORY_LOG_LEVEL", "value": "debug"}], "is there already"),
    ("extraVolumes", [{"name": "Ours", "emptyDir": {}}], NAMES),
    ("extraVolumeMounts", [{"name": "ours", "mountPath": "/ours"}], "there is no such volume"),
    ("extraVolumeMounts", [{"name": "ours", "mountPath": "ours"}], "mountPath"),
]
WITH_A_TYPE: list[tuple[str, Any, dict[str, Any], str]] = [
    ("gateway.service.nodePort", 80, NODE_PORT, "has the ports 30000 to 32767"),
    ("gateway.service.nodePort", 32_768, NODE_PORT, "has the ports 30000 to 32767"),
    ("gateway.service.loadBalancerClass", "of us", LOAD_BALANCER, KEYS),
] + [
    ("gateway.service.loadBalancerSourceRanges", [block], LOAD_BALANCER, BLOCKS)
    for block in (
        "300.0.0.0/8",
        "10.0.0.0/40",
        "10.0.0/8",
        "office",
        "1:2/64",
        "::1::/64",
        "::/129",
    )
]


def refusal(values: dict[str, Any], name: str = helm.NAME) -> str:
    """Return why the chart is not rendered."""
    with pytest.raises(helm.RenderingRefused) as refused:
        helm.parsed(values, name=name)
    return str(refused.value)


def check(path: str, said: str, sentence: str) -> None:
    """Check that a refusal names the value and says what is right."""
    pattern = sentence if "|" in sentence or ".*" in sentence else re.escape(sentence)
    assert re.search(pattern, said), said
    for name in path.split("."):
        assert name in said, said


@pytest.mark.parametrize(("path", "value", "sentence"), CASES)
def test_a_bad_value_is_refused(path: str, value: object, sentence: str) -> None:
    """The sentence names the value and what would be right."""
    check(path.rpartition(".")[2], refusal(helm.value_at(path, value)), sentence)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("key", "value", "sentence"), OF_EVERY_PART)
def test_a_bad_value_of_a_part_is_refused(
    part: str, key: str, value: object, sentence: str
) -> None:
    """Of each part alike."""
    check(part, refusal({part: {key: value}}), sentence)


@pytest.mark.parametrize(("path", "value", "beside", "sentence"), WITH_A_TYPE)
def test_a_bad_value_of_a_kind_of_service_is_refused(
    path: str, value: object, beside: dict[str, Any], sentence: str
) -> None:
    """Where the value is of use at all."""
    check(path, refusal(helm.merged(beside, helm.value_at(path, value))), sentence)


@pytest.mark.parametrize("name", ["a.b", "1st"])
def test_a_release_whose_services_could_not_be_called_so_is_refused(name: str) -> None:
    """Helm allows the release's name; with `fullnameOverride` the chart takes the release."""
    said = refusal({}, name)
    assert f'the release is called "{name}"' in said
    assert "set fullnameOverride" in said
    for one in helm.parsed({"fullnameOverride": "inventory"}, name=name):
        assert one["metadata"]["name"].startswith("inventory")


def test_a_volume_of_the_charts_is_not_hidden_by_another() -> None:
    """Extra volumes may not take the names and paths of the chart's own volumes."""
    for name in ("tls", "data", "bootstrap"):
        extra: dict[str, Any] = {"node": {"extraVolumes": [{"name": name, "emptyDir": {}}]}}
        assert f"extraVolumes has the name {name}, which is there already" in refusal(extra)
    mount = {"node": {"extraVolumeMounts": [{"name": "tls", "mountPath": "/data"}]}}
    assert "has the mountPath /data, which is there already" in refusal(mount)


def our_secret(*keys: str) -> dict[str, Any]:
    """Return a Secret of an operator's own."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ours"},
        "data": dict.fromkeys(keys, "c2VjcmV0"),
    }


@pytest.mark.slow
def test_a_secret_that_is_missing_or_lacks_a_key_is_refused(tmp_path: Path) -> None:
    """The first install checks, too: its pods would wait without a word."""
    values = {"existingSecret": "ours"}
    with pytest.raises(
        helm.RenderingRefused, match="the namespace shop has no such Secret: make it first"
    ):
        upgraded(tmp_path, [], values)
    with pytest.raises(
        helm.RenderingRefused, match=r"the Secret ours of existingSecret has no token.key"
    ):
        upgraded(tmp_path, [our_secret("admin.password")], values)
    keys = ("token.key", "admin.password")
    assert upgraded(tmp_path, [our_secret(*keys)], values)


@pytest.mark.slow
def test_a_secret_that_the_release_makes_or_nobody_can_look_for_is_not_missed(
    tmp_path: Path,
) -> None:
    """An ExternalSecret comes with the release; `helm template` has no cluster to ask."""
    external = {"apiVersion": "example.org/v1", "kind": "ExternalSecret"}
    made = {"extraObjects": [external | {"metadata": {"name": "ours"}}]}
    assert upgraded(tmp_path, [], {"existingSecret": "ours"} | made)
    assert helm.render_by_program({"existingSecret": "ours"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "kind"), [("serviceMonitor", "ServiceMonitor"), ("prometheusRule", "PrometheusRule")]
)
def test_an_operator_that_is_missing_is_named(value: str, kind: str) -> None:
    """Only where the kinds of a cluster are known, and none is of the operator."""
    values = helm.value_at(f"{value}.enabled", value=True)
    sets = "apps/v1/StatefulSet"
    with pytest.raises(
        helm.RenderingRefused, match=f"{value}.enabled needs the Prometheus operator, .*"
    ):
        helm.render_by_program(values, apis=[sets])
    known = f"monitoring.coreos.com/v1/{kind}"
    for apis in ([sets, known], []):
        assert f"kind: {kind}" in helm.render_by_program(values, apis=apis)


GOOD: list[tuple[str, Any]] = [
    *[
        ("node.persistence.size", size)
        for size in ("8G", "8Gi", "8000M", "0.5Ti", "1e9", "1E9", 8_589_934_592, "256Mi", "2T")
    ],
    *[("image.repository", name) for name in ("localhost:5000/inventory", "a.b/c/d__e", "x")],
    ("clusterDomain", "k8s.example.org"),
    ("fullnameOverride", "a" * 40),
    ("node.resources", {"requests": {"cpu": 1, "memory": 1_073_741_824}}),
    ("node.resources", {"requests": {"cpu": 0.5, "example.org/gpu": 1}}),
    ("node.podLabels", {"example.org/Of_us.1": ""}),
    ("serviceMonitor.interval", "1m30s"),
    ("networkPolicy.clients", [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]),
    ("gateway.podAnnotations", {"example.org/of": "anything, really"}),
]


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_what_kubernetes_takes_is_taken(path: str, value: object) -> None:
    """The objects that the chart renders with the value are valid."""
    for one in helm.parsed(helm.value_at(path, value)):
        if one["apiVersion"] != "monitoring.coreos.com/v1":
            kubernetes_validate.validate(one, "1.34", strict=True)


def test_blocks_of_addresses_are_taken_in_every_form() -> None:
    """IPv4 and IPv6, shortened anywhere."""
    blocks = ["0.0.0.0/0", "192.0.2.7/32", "::/0", "::1/128", "2001:db8::/32", "fe80::1:2/64"]
    blocks += ["1:2:3:4:5:6:7:8/64", "1:2:3:4:5:6:7::/64", "1::3:4:5:6:7:8/64", "ABCD::/16"]
    values = helm.merged(
        LOAD_BALANCER, helm.value_at("gateway.service.loadBalancerSourceRanges", blocks)
    )
    [service] = [
        one
        for one in of_kind(helm.parsed(values), "Service")
        if one["spec"].get("type") == "LoadBalancer"
    ]
    assert service["spec"]["loadBalancerSourceRanges"] == blocks


def test_common_labels_are_on_every_object_and_every_pod() -> None:
    """Not in a selector or a claim, which nobody may change."""
    [(name, value)] = helm.OWN["commonLabels"].items()
    found = helm.objects("own")
    for one in found:
        assert one["metadata"]["labels"][name] == value, one
    for pod in pods(found):
        assert pod.labels[name] == value, pod.name
        assert name not in str(pod.owner["spec"].get("selector"))
        assert name not in str(pod.owner["spec"].get("volumeClaimTemplates"))


def test_a_label_of_one_object_or_part_goes_before_the_common_one() -> None:
    """The label stands once: YAML with the same key twice is invalid."""
    common = {"commonLabels": {"of": "all"}, "node": {"podLabels": {"of": "node"}}}
    watched = ("serviceMonitor", "prometheusRule", "dashboards")
    own = {name: {"enabled": True, "labels": {"of": name}} for name in watched}
    texts = helm.render(common | own)
    for name in watched:
        assert f"of: {name}\n" in texts["monitoring.yaml"]
    assert "of: all" not in texts["monitoring.yaml"]
    [members] = [one for one in pods(helm.load(texts["node.yaml"])) if one.lasting]
    assert members.labels["of"] == "node"
    assert members.owner["metadata"]["labels"]["of"] == "all"


def test_an_objects_text_is_a_template() -> None:
    """An extra object may use the release's name, and has the release's labels."""
    text = {"of": '{{ include "inventory.fullname" . }}'}
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ours"}, "data": text}
    found = of_kind(helm.parsed({"extraObjects": [extra]}), "ConfigMap")
    assert [one["data"] for one in found] == [{"of": "inventory"}]
    assert found[0]["metadata"]["labels"]["app.kubernetes.io/instance"] == "inventory"


@pytest.mark.parametrize("part", PARTS)
def test_own_spread_replaces_the_charts(part: str) -> None:
    """A spread without a selector counts the part's pods."""
    constraint = helm.OWN["topologySpreadConstraints"][0]
    other = {"labelSelector": {"matchLabels": {"of": "ours"}}}
    values = {part: {"topologySpreadConstraints": [constraint, constraint | other]}}
    [pod] = [one for one in pods(helm.parsed(values)) if one.component == part]
    own, others = pod.spec["topologySpreadConstraints"]
    assert own == constraint | {"labelSelector": pod.owner["spec"]["selector"]}
    assert others == constraint | other
