"""Alerts and dashboards tell one release from another, by the namespace that the operator sets."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rendered import helm
from rendered.objects import of_kind

NAMESPACE = "namespace"
OF_ONE_RELEASE = f'{{{NAMESPACE}="${NAMESPACE}"}}'
OPERATORS = r"\b(sum|min|max|avg|count|group)\b(?: by \(([^)]*)\))?\s*\("


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


def test_no_alert_is_of_two_releases() -> None:
    """One that is well would hide one that is not; and the summary says where."""
    for name, expr, summary in alerts():
        for operator, labels in re.findall(OPERATORS, expr):
            assert NAMESPACE in labels.split(", "), f"{name}: {operator} by ({labels})"
        assert f"$labels.{NAMESPACE}" in summary, name


def test_every_panel_is_of_the_release_that_is_chosen() -> None:
    """Among the namespaces that there are, by a variable of the dashboard."""
    assert dashboards()
    for name, dashboard in dashboards().items():
        variables = {one["name"]: one for one in dashboard["templating"]["list"]}
        assert variables[NAMESPACE]["query"].startswith("label_values("), name
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                for selector in re.findall(r"\binventory_\w+(?:{[^}]*})?", target["expr"]):
                    assert selector.endswith(OF_ONE_RELEASE), f"{name}: {target['expr']}"
