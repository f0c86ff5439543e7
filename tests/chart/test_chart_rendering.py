"""Both Helms render the chart alike, as Kubernetes knows it; the chart refuses nonsense."""

import json
from typing import Any

import kubernetes_validate
import pytest
import yaml
from rendered import helm
from rendered.objects import keys_of, of_kind, pods

helm_4 = pytest.importorskip("helm_python", reason="Helm 4 as a library has no wheel here")
# The APIs of the Prometheus operator and of cert-manager, of which no schema is here.
CUSTOM = ("monitoring.coreos.com/v1", "cert-manager.io/v1")
OLDEST_AND_NEWEST = ("1.30", "1.34", "1.37")


@pytest.mark.parametrize("variant", helm.VARIANTS)
def test_it_has_no_fault_that_helm_4_knows(variant: str) -> None:
    """Warnings are faults."""
    report = helm_4.lint(helm.CHART, helm.values_of(variant), strict=True)
    assert not report["errors"]
    assert not [one for one in report["messages"] if one["severity"] > 1]


@pytest.mark.slow
@pytest.mark.parametrize("variant", helm.VARIANTS)
def test_it_has_no_fault_that_helm_3_knows(variant: str) -> None:
    """Warnings are faults."""
    values = json.dumps(helm.values_of(variant))
    helm.run("helm", "lint", "--strict", str(helm.CHART), "--values", "-", text=values)


def by_name(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return objects by kind and name, with generated secrets all the same."""
    for secret in of_kind(found, "Secret"):
        for key in secret["data"]:
            secret["data"][key] = "generated"
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


@pytest.mark.slow
@pytest.mark.parametrize("variant", helm.VARIANTS)
def test_both_helms_render_the_same_objects(variant: str) -> None:
    """The library is Helm 4; most clusters are installed by Helm 3."""
    values = helm.values_of(variant)
    by_program = helm.load(helm.render_by_program(values))
    assert by_name(helm.parsed(values)) == by_name(by_program)


@pytest.mark.slow
@pytest.mark.parametrize("version", OLDEST_AND_NEWEST)
@pytest.mark.parametrize("variant", helm.VARIANTS)
def test_kubernetes_knows_every_field(variant: str, version: str) -> None:
    """No field is misspelt for any version of Kubernetes that the chart allows."""
    for one in helm.objects(variant):
        if one["apiVersion"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)


def test_the_oldest_kubernetes_is_the_one_that_is_checked() -> None:
    """The oldest checked schema is of the oldest version that Chart.yaml allows."""
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OLDEST_AND_NEWEST[0]}.0-0"


@pytest.mark.parametrize("variant", helm.VARIANTS)
def test_no_object_is_there_twice(variant: str) -> None:
    """The second would silently replace the first."""
    names = [(one["kind"], one["metadata"]["name"]) for one in helm.objects(variant)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("replicaCount", 4, "an even number of members survives no more losses"),
        ("replicaCount", 0, "a release that runs can be paused"),
        ("replicaCount", -1, "replicaCount"),
        ("gateway.terminationGracePeriodSeconds", 5, "sleeps 5 s"),
        ("node.terminationGracePeriodSeconds", 19, "waits for another that is being replaced"),
        ("gateway.service.nodePort", 30051, "needs gateway.service.type NodePort"),
        ("gateway.autoscaling", {"enabled": True, "minReplicas": 9}, "is over maxReplicas"),
        ("currency", "dollars", "currency"),
        ("node.spread", "firm", "spread"),
        ("nonsense", 1, "nonsense"),
        ("node.nonsense", 1, "nonsense"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(setting: str, value: object, said: str) -> None:
    """Before anything is made."""
    with pytest.raises(helm.RenderingRefused, match=said):
        helm.parsed(helm.value_at(setting, value))


def test_alerts_and_dashboards_are_those_that_are_tested() -> None:
    """The chart ships the files of deploy/monitoring; Helm takes no text in them for a template."""
    monitoring = helm.ROOT / "deploy" / "monitoring"
    found = helm.objects("all")
    [rule] = of_kind(found, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((monitoring / "rules.yaml").read_text())
    shipped = {
        name: json.loads(text)
        for one in of_kind(found, "ConfigMap")
        if "grafana_dashboard" in one["metadata"]["labels"]
        for name, text in one["data"].items()
    }
    files = sorted((monitoring / "dashboards").glob("*.json"))
    assert shipped == {f"inventory-{path.name}": json.loads(path.read_text()) for path in files}


def test_no_secret_is_in_the_chart() -> None:
    """Keys are drawn at the first install, and are not in any pod's environment."""
    first, second = keys_of(helm.parsed({})), keys_of(helm.parsed({}))
    for key, value in first["data"].items():
        assert value != second["data"][key], key
    for pod in pods(helm.objects("default")):
        for container in pod.containers:
            assert "secretKeyRef" not in str(container.get("env")), pod.name
            assert "secretRef" not in str(container.get("envFrom")), pod.name


def test_a_generated_secret_outlives_the_release() -> None:
    """The volumes stay, too, and the Secret has their keys."""
    secret = keys_of(helm.objects("default"))
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    [members] = of_kind(helm.objects("default"), "StatefulSet")
    assert members["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }
    made = of_kind(helm.parsed({"existingSecret": "ours"}), "Secret")
    assert not [one for one in made if "token.key" in one["data"]]


def test_the_notes_name_what_is_installed() -> None:
    """Each command of the notes names objects of the release."""
    words = helm.render({})["NOTES.txt"].split()
    there = {f"{one['kind']}/{one['metadata']['name']}".lower() for one in helm.objects("default")}
    named = {word for word in words if word.startswith(("statefulset/", "deployment/", "service/"))}
    assert named
    assert named <= there


def test_the_notes_warn_of_what_is_allowed_and_hardly_meant() -> None:
    """Known passwords, and metrics behind a closed door; nothing where all is well."""
    watched = {"serviceMonitor": {"enabled": True}}
    peers = {"networkPolicy": helm.policy_peers()}
    assert "demo" in helm.render({"demo": True})["NOTES.txt"]
    assert "nobody may read them" in helm.render(watched)["NOTES.txt"]
    for values in ({}, watched | peers):
        notes = helm.render(values)["NOTES.txt"]
        assert "demo" not in notes
        assert "nobody" not in notes
