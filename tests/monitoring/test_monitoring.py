"""Alerts are tested by Prometheus' own tool; alerts and dashboards name metrics that exist."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "rules.yaml"
CASES = sorted((MONITORING / "tests").glob("*.yaml"))
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
METRICS = (ROOT / "docs" / "metrics.md").read_text()
SCRIPT = ROOT / "tools" / "render_dashboards.py"

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed: apt-get install prometheus"
)


def rules() -> dict[str, dict[str, Any]]:
    """Return every alert by its name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def queries(dashboard: Path) -> list[str]:
    """Return the queries of a dashboard's panels."""
    panels = json.loads(dashboard.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def promtool(*arguments: str) -> str:
    """Run promtool; return its output."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        ["promtool", *arguments],  # noqa: S607 - where the user has it
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
@pytest.mark.slow
def test_the_rules_are_rules() -> None:
    """Syntax, templates, duplicates."""
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(RULES))


@needs_promtool
@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_alert(path: Path) -> None:
    """The alert fires in the cases that say so, and stays quiet in the others."""
    assert "SUCCESS" in promtool("test", "rules", str(path))


def test_every_alert_has_a_case_that_fires_and_one_that_stays_quiet() -> None:
    """No case is of an alert that does not exist."""
    seen: dict[str, set[bool]] = {}
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for expected in case["alert_rule_test"]:
                fires = bool(expected["exp_alerts"])
                seen.setdefault(expected["alertname"], set()).add(fires)
                assert case["name"].startswith("fires" if fires else "stays quiet"), path
    assert seen == {name: {True, False} for name in rules()}


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    """Each alert has a summary, a description and a severity."""
    for name, rule in rules().items():
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert set(rule["annotations"]) == {"summary", "action"}, name


def test_every_alert_is_documented() -> None:
    """docs/metrics.md has the list."""
    assert set(re.findall(r"^\| (Inventory\w+) \|", METRICS, re.MULTILINE)) == set(rules())


def test_the_dashboards_are_as_made() -> None:
    """Nobody edited the JSON."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(SCRIPT), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_panel_has_a_query() -> None:
    """Rows aside."""
    assert {path.stem for path in DASHBOARDS} == {"business", "cluster"}
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            assert panel["type"] == "row" or panel["targets"], panel["title"]


def test_every_metric_that_a_rule_or_a_panel_names_is_listed() -> None:
    """docs/metrics.md lists the metrics; another test compares it with the processes."""
    listed = set(re.findall(r"`(inventory_\w+)`", METRICS))
    exprs = {name: [rule["expr"]] for name, rule in rules().items()}
    exprs |= {path.stem: queries(path) for path in DASHBOARDS}
    for place, found in exprs.items():
        named = {name for expr in found for name in re.findall(r"\binventory_\w+", expr)}
        assert named, place
        assert named <= listed, f"{place}: {named - listed}"
