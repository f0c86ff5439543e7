"""Make deploy/k8s/base from the chart's default rendering, or check that it still is.

Helm's own labels, hooks and the generated Secret are left out. The namespace is left to overlays,
so members are listed by the names that resolve in any: `pod.service`.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy" / "helm" / "inventory"
BASE = ROOT / "deploy" / "k8s" / "base"
NAMESPACE = "render"
COMPONENT = "app.kubernetes.io/component"
HEADER = "# Made from the chart by tools/render_manifests.py.\n"


def chart(*arguments: str) -> list[dict[str, Any]]:
    """Return what the chart renders with some values, as plain manifests for any namespace."""
    text = subprocess.run(  # noqa: S603 - our own arguments
        ["helm", "template", "inventory", str(CHART), "--namespace", NAMESPACE,  # noqa: S607 - on PATH
         "--kube-version", "1.34.0", *arguments],
        check=True, capture_output=True, text=True,
    ).stdout.replace(f".{NAMESPACE}.svc.cluster.local", "")  # fmt: skip
    found = [one for one in yaml.safe_load_all(text) if one]
    return [plain(one) for one in found if one["kind"] != "Secret" and not is_of_helm(one)]


def is_of_helm(one: dict[str, Any]) -> bool:
    """Tell whether Helm runs an object instead of keeping it, or it is there for what Helm runs."""
    hook = "helm.sh/hook" in (one["metadata"].get("annotations") or {})
    return hook or one["metadata"]["labels"].get(COMPONENT) == "test"


def plain(one: dict[str, Any]) -> dict[str, Any]:
    """Return an object without Helm's labels."""
    labels = one["metadata"]["labels"]
    labels.pop("helm.sh/chart")
    labels["app.kubernetes.io/managed-by"] = "kustomize"
    return one


def files() -> dict[str, str]:
    """Return the content of every file of the base, by name."""
    by_file: dict[str, list[dict[str, Any]]] = {}
    for one in chart():
        component = one["metadata"]["labels"].get(COMPONENT, "common")
        name = "network-policies" if one["kind"] == "NetworkPolicy" else component
        by_file.setdefault(f"{name}.yaml", []).append(one)
    made = {
        name: HEADER + yaml.safe_dump_all(objects, sort_keys=True, width=100)
        for name, objects in sorted(by_file.items())
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(made),
    }
    return made | {"kustomization.yaml": HEADER + yaml.safe_dump(kustomization, sort_keys=True)}


def main() -> int:
    """Write the files; with --check, say which differ and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    wanted = files()
    there = {path.name: path.read_text() for path in BASE.glob("*.yaml")}
    if parser.parse_args().check:
        differing = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
        for name in differing:
            sys.stderr.write(f"deploy/k8s/base/{name} is not what the chart renders\n")
        return 1 if differing else 0
    BASE.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (BASE / name).unlink()
    for name, text in wanted.items():
        (BASE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
