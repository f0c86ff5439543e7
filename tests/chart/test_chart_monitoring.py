"""Alerts and dashboards tell releases apart by namespace and name."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rendered import helm
from rendered.objects import of_kind

CHOICES = {"namespace": "namespace", "app_kubernetes_io_instance": "release"}  # by their labels
OF_ONE_RELEASE = "{" + ",".join(f'{label}="${name}"' for label, name in CHOICES.items()) + "}"
OPERATORS = r"\b(sum|min|max|avg|count|group)\b(?: by \(([^)]*)\))?\s*\("
SETS = r"\b(and|unless)\b(?: on \(([^)]*)\))?"


def alerts() -> Iterator[tuple[str, str, str]]:
    """Yield every alert's name, query and summary."""
    [rule] = of_kind(helm.objects("all"), "PrometheusRule")
    for group in rule["spec"]["groups"]:
        for one in group["rules"]:
            yield one["alert"], one["expr"], one["annotations"]["summary"]


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard by its file's name."""
    return {
        name: json.loads(text)
        for one in of_kind(helm.objects("all"), "ConfigMap")
        if "grafana_dashboard" in one["metadata"]["labels"]
        for name, text in one["data"].items()
    }


def queries() -> Iterator[tuple[str, str, str]]:
    """Yield the queries of every panel, with the panel's dashboard and legend."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield name, target["expr"], target["legendFormat"]


def test_no_alert_is_of_two_releases() -> None:
    """A healthy release would hide a broken release; the summary names the release."""
    for name, expr, summary in alerts():
        for operator, labels in re.findall(OPERATORS, expr):
            assert set(labels.split(", ")) >= CHOICES.keys(), f"{name}: {operator} by ({labels})"
        for operator, labels in re.findall(SETS, expr):
            known = set(labels.split(", "))
            assert labels == "" or known == CHOICES.keys(), f"{name}: {operator} on ({labels})"
        for label in CHOICES:
            assert f"$labels.{label}" in summary, name


def test_an_alert_names_a_pod_before_an_address() -> None:
    """A person who is called at night can use a pod's name, not an address."""
    named = [name for name, _, summary in alerts() if "$labels.instance" in summary]
    assert named == ["InventorySlowSync", "InventoryDiskFilling", "InventoryUnanswered"]
    for name, expr, summary in alerts():
        for part in re.findall(r"[^{]*\$labels\.instance", summary):
            assert part == " or $labels.pod $labels.instance", name
        for _, labels in re.findall(OPERATORS, expr):
            assert ("instance" in labels.split(", ")) == ("pod" in labels.split(", ")), name


def test_every_panel_is_of_the_release_that_is_chosen() -> None:
    """The dashboard's variables choose a namespace, and a release of the namespace."""
    assert dashboards()
    for name, dashboard in dashboards().items():
        variables = {one["name"]: one["query"] for one in dashboard["templating"]["list"]}
        for label, choice in CHOICES.items():
            assert variables[choice].startswith("label_values("), name
            assert variables[choice].endswith(f", {label})"), name
        assert '{namespace="$namespace"}' in variables["release"], name
    for name, expr, _ in queries():
        for selector in re.findall(r"\binventory_\w+(?:{[^}]*})?", expr):
            assert selector.endswith(OF_ONE_RELEASE), f"{name}: {expr}"


def test_every_line_of_a_process_has_the_name_of_its_pod() -> None:
    """Without a pod's name the legend has the address: the second replacement sets the name."""
    of_a_process = [expr for _, expr, legend in queries() if "{{process}}" in legend]
    assert len(of_a_process) > 10
    for expr in of_a_process:
        assert '"process", "$1", "instance", "(.*)"), "process", "$1", "pod", "(.+)")' in expr
    for name, expr, legend in queries():
        assert "{{instance}}" not in legend, f"{name}: {expr}"


def test_the_files_of_dashboards_are_ours_by_name() -> None:
    """Grafana's sidecar puts all files into one folder, where equal names replace each other."""
    assert dashboards().keys() == {"inventory-cluster.json", "inventory-business.json"}
