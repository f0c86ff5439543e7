"""Make deploy/k8s from the chart, or check that deploy/k8s is what the chart renders.

The base is the default rendering. Each part of the chart that a value switches on is a component
with the objects that it adds: `serviceMonitor.enabled` is `components/service-monitor`. Helm's own
labels, hooks and the generated Secret are left out. The namespace is left to overlays, so members
are listed by the names that resolve in any: `pod.service`.

The other components and the overlays are written by hand; tests hold them to the chart too.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy" / "helm" / "inventory"
MANIFESTS = ROOT / "deploy" / "k8s"
NAMESPACE = "render"
IMAGE = "inventory"  # overlays name the image of a registry
COMPONENT = "app.kubernetes.io/component"
HEADER = "# Made from the chart by tools/render_manifests.py.\n"


def chart(*arguments: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Return what the chart renders with some values, as plain manifests for any namespace."""
    text = subprocess.run(  # noqa: S603 - our own arguments
        ["helm", "template", "inventory", str(CHART), "--namespace", namespace,  # noqa: S607 - on PATH
         "--kube-version", "1.34.0", "--set", f"image.repository={IMAGE}", *arguments],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = [one for one in yaml.safe_load_all(text) if one]
    return plain(found, namespace)


def plain(found: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Return rendered objects without their Helm parts, for any namespace."""
    text = yaml.safe_dump_all(one for one in found if not is_of_helm(one))
    kept = list(yaml.safe_load_all(text.replace(f".{namespace}.svc.cluster.local", "")))
    for one in kept:
        labels = one["metadata"]["labels"]
        labels.pop("helm.sh/chart")
        labels["app.kubernetes.io/managed-by"] = "kustomize"
    return kept


def is_of_helm(one: dict[str, Any]) -> bool:
    """Return whether an object is for Helm alone: a hook, a Secret, or a part for hooks."""
    hook = "helm.sh/hook" in (one["metadata"].get("annotations") or {})
    part = one["metadata"]["labels"].get(COMPONENT)
    return hook or one["kind"] == "Secret" or part in {"test", "upgrade"}


def switches() -> list[str]:
    """Return the parts of the chart that are off by default."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return [
        name
        for name, value in values.items()
        if isinstance(value, dict) and value.get("enabled") is False
    ]


def files() -> dict[str, str]:
    """Return the content of every generated file, by its path below deploy/k8s."""
    default = chart()
    made = folder("base", "Kustomization", default)
    there = {key_of(one) for one in default}
    for switch in switches():
        added = [
            one for one in chart("--set", f"{switch}.enabled=true") if key_of(one) not in there
        ]
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", switch).lower()
        made |= folder(f"components/{name}", "Component", added)
    return made


def key_of(one: dict[str, Any]) -> tuple[str, str]:
    """Return the key of an object: its kind and its name."""
    return one["kind"], one["metadata"]["name"]


def folder(path: str, kind: str, objects: list[dict[str, Any]]) -> dict[str, str]:
    """Return a folder of kustomize: a file for each part, and the list of them."""
    by_file: dict[str, list[dict[str, Any]]] = {}
    for one in objects:
        component = one["metadata"]["labels"].get(COMPONENT, "common")
        name = "network-policies" if one["kind"] == "NetworkPolicy" else component
        by_file.setdefault(f"{name}.yaml", []).append(one)
    version = "v1alpha1" if kind == "Component" else "v1beta1"
    kustomization = {
        "apiVersion": f"kustomize.config.k8s.io/{version}",
        "kind": kind,
        "resources": sorted(by_file),
    }
    made = {"kustomization.yaml": HEADER + yaml.safe_dump(kustomization, sort_keys=True)}
    for name, parts in by_file.items():
        made[name] = HEADER + yaml.safe_dump_all(parts, sort_keys=True, width=100)
    return {f"{path}/{name}": text for name, text in made.items()}


def main() -> int:
    """Write the files; with --check, say which differ and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    wanted = files()
    known = {
        str(path.relative_to(MANIFESTS)): path.read_text() for path in MANIFESTS.rglob("*.yaml")
    }
    there = {name: text for name, text in known.items() if text.startswith(HEADER)}
    if parser.parse_args().check:
        differing = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
        for name in differing:
            sys.stderr.write(f"deploy/k8s/{name} is not what the chart renders\n")
        return 1 if differing else 0
    for name in there.keys() - wanted.keys():
        (MANIFESTS / name).unlink()
    for name, text in wanted.items():
        (MANIFESTS / name).parent.mkdir(parents=True, exist_ok=True)
        (MANIFESTS / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
