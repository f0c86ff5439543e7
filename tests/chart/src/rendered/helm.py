"""Both Helms, and the variants of the values that every policy is held against."""

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

try:
    import helm_python
except ImportError:  # there is no wheel of it for this platform
    helm_python = None  # type: ignore[assignment]  # asked for below

ROOT = Path(__file__).resolve().parents[4]
CHART = ROOT / "deploy" / "helm" / "inventory"
NAME = "inventory"
NAMESPACE = "shop"
KUBERNETES = "1.34.0"
SECONDS_MAX = 60
REQUIRED = "INVENTORY_CHART_TOOLS"  # set to `required`, a missing program is a failure
PEERS: dict[str, dict[str, Any]] = {
    "clients": {"namespaceSelector": {"matchLabels": {"of": "clients"}}},
    "operators": {"namespaceSelector": {"matchLabels": {"of": "operators"}}},
    "monitoring": {"namespaceSelector": {"matchLabels": {"of": "monitoring"}}},
}
BUILT = {"image": {"repository": "inventory"}}  # the chart names no image by itself
VARIANTS = ("default", "kind", "minikube", "production", "one", "all", "least", "own")


class RenderingRefused(Exception):  # noqa: N818 - it names the fact
    """Why the chart cannot be rendered with some values."""


def program(name: str) -> str:
    """Return an installed program's path; else the test skips, or fails if it may not skip."""
    found = shutil.which(name)
    if found:
        return found
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{name} is not installed, and {REQUIRED} says that it must be")
    pytest.skip(f"{name} is not installed", allow_module_level=True)


def run(
    name: str, *arguments: str, text: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """Run an installed program with `environment` on top of the process's; return its stdout.

    Raises RenderingRefused with the program's output if its exit status is not 0.
    """
    done = subprocess.run(  # noqa: S603 - our own arguments
        [program(name), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=os.environ | (environment or {}),
    )
    if done.returncode:
        raise RenderingRefused(f"{done.stdout}{done.stderr}")
    return done.stdout


def load(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML stream."""
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]


def defaults() -> dict[str, Any]:
    """Return values.yaml."""
    return dict(yaml.safe_load((CHART / "values.yaml").read_text()))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return values merged as Helm merges them: by key, lists as a whole."""
    made = copy.deepcopy(dict(below))
    for key, value in above.items():
        known = made.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        made[key] = merged(known or {}, value) if both else copy.deepcopy(value)
    return made


def value_at(path: str, value: object) -> dict[str, Any]:
    """Return values of one setting, as `--set` takes it."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value) if isinstance(value, dict) else {}


OWN: dict[str, Any] = {  # an operator's own settings, in every place that the values have for them
    "affinity": {
        "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
            ]
        }
    },
    "annotations": {"example.org/of": "ours"},
    "commonLabels": {"example.org/paid-by": "ours"},
    "extraEnv": [{"name": "OURS", "value": "ours"}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-ours"}}
    ],
    "extraVolumeMounts": [{"name": "ours", "mountPath": "/ours", "readOnly": True}],
    "extraVolumes": [{"name": "ours", "secret": {"secretName": "ours", "defaultMode": 0o440}}],
    "fullnameOverride": "ours",
    "imagePullSecrets": [{"name": "ours"}],
    "labels": {"example.org/of": "ours"},
    "nodeSelector": {"example.org/of": "ours"},
    "podAnnotations": {"example.org/of": "ours"},
    "podLabels": {"example.org/of": "ours"},
    "priorityClassName": "ours",
    "storageClass": "ours",
    "tolerations": [{"key": "example.org/of", "operator": "Exists", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ],
}


def _every(values: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """Return an override of every `key` in some values, however deep."""
    made: dict[str, Any] = {}
    for name, known in values.items():
        if name == key:
            made[name] = value
        elif isinstance(known, dict) and (inner := _every(known, key, value)):
            made[name] = inner
    return made


def values_of(variant: str) -> dict[str, Any]:
    """Return what a variant sets over the defaults."""
    if variant == "default":
        return {}
    if variant == "one":  # replica of everything
        return _every(defaults(), "replicaCount", 1)
    if variant == "all":  # parts switched on
        return merged(_every(defaults(), "enabled", value=True), {"networkPolicy": policy_peers()})
    if variant == "least":  # parts on that must be on
        return merged(_every(defaults(), "enabled", value=False), {"existingSecret": "our-keys"})
    if variant == "own":
        made: dict[str, Any] = {}
        for key, value in OWN.items():
            made = merged(made, _every(defaults(), key, value))
        return made
    return dict(yaml.safe_load((CHART / f"values-{variant}.yaml").read_text()))


def policy_peers() -> dict[str, Any]:
    """Return values that name the peers that may connect from other namespaces."""
    return {side: [peer] for side, peer in PEERS.items()}


def render(
    values: Mapping[str, Any], namespace: str = NAMESPACE, name: str = NAME
) -> dict[str, str]:
    """Render by Helm 4; return the text of each template. Raise Refused."""
    if helm_python is None:
        return by_template(render_by_program(values, namespace, name))
    with helm_python.Chart.load(CHART) as chart:
        try:
            made = chart.render(merged(BUILT, values), name=name, namespace=namespace)
        except helm_python.HelmError as error:
            raise RenderingRefused(str(error)) from error
    return {path.removeprefix("inventory/templates/"): text for path, text in made.items()}


def render_by_program(
    values: Mapping[str, Any],
    namespace: str = NAMESPACE,
    name: str = NAME,
    kubeconfig: Path | None = None,
    apis: Sequence[str] = (),
) -> str:
    """Render by the installed helm, beside objects of a cluster. Raise RenderingRefused.

    `apis` are kinds that the cluster knows, as group/version/kind; none: there is no cluster.
    """
    place = ["--namespace", namespace, "--kube-version", KUBERNETES]
    place += [part for api in apis for part in ("--api-versions", api)]
    environment = {}
    if kubeconfig is not None:
        place.append("--dry-run=server")
        environment["KUBECONFIG"] = str(kubeconfig)
    return run(
        *("helm", "template", name, str(CHART), *place, "--values", "-"),
        text=json.dumps(merged(BUILT, values)),
        environment=environment,
    )


def by_template(text: str) -> dict[str, str]:
    """Return the text of each template out of what `helm template` writes."""
    _, *parts = re.split(r"^# Source: inventory/templates/(\S+)$", text, flags=re.MULTILINE)
    made: dict[str, str] = {}
    for path, part in zip(parts[::2], parts[1::2], strict=True):
        made[path] = made.get(path, "---") + part
    return made


def parsed(
    values: Mapping[str, Any], namespace: str = NAMESPACE, name: str = NAME
) -> list[dict[str, Any]]:
    """Return the objects that the chart renders."""
    texts = render(values, namespace, name)
    return [one for path, text in texts.items() if path != "NOTES.txt" for one in load(text)]


@cache
def objects(variant: str) -> list[dict[str, Any]]:
    """Return the objects of a variant; they are shared, so nobody may change them."""
    return parsed(values_of(variant))
