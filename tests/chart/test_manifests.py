"""deploy/k8s is the rendered chart, for users without Helm."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from rendered import helm
from rendered.objects import COMPONENT, is_hook

pytestmark = pytest.mark.slow
FOLDER = helm.ROOT / "deploy" / "k8s"
NAMESPACE = "inventory"  # of the overlays
OF_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")
SECRETS = {"Secret"}  # it is generated, or made by hand
KINDS = {"base": "Kustomization", "overlays": "Kustomization", "components": "Component"}


def by_name(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return objects by kind and name, without Helm's labels and without the namespace."""
    text = yaml.dump_all(found, Dumper=yaml.CSafeDumper)
    made = {}
    for one in helm.load(text.replace(f".{NAMESPACE}.svc.cluster.local", "")):
        one["metadata"].pop("namespace", None)
        for label in OF_HELM:
            one["metadata"].get("labels", {}).pop(label, None)
        made[one["kind"], one["metadata"]["name"]] = one
    return made


def kustomized(path: str) -> list[dict[str, Any]]:
    """Return the objects that kustomize makes of a folder."""
    return helm.load(helm.run("kubectl", "kustomize", str(FOLDER / path)))


def without_helm(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the chart's objects without hooks, without objects for hooks, and without secrets."""
    return [
        one
        for one in helm.parsed(values, NAMESPACE)
        if not is_hook(one)
        and one["kind"] not in SECRETS
        and one["metadata"]["labels"].get(COMPONENT) not in {"test", "upgrade"}
    ]


def test_what_is_made_from_the_chart_is_as_it_renders() -> None:
    """`python tools/render_manifests.py` makes the files anew."""
    helm.program("helm")
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(helm.ROOT / "tools" / "render_manifests.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_base_is_the_charts_default() -> None:
    """Object by object."""
    assert by_name(kustomized("base")) == by_name(without_helm({}))


@pytest.mark.parametrize("overlay", sorted(path.name for path in (FOLDER / "overlays").iterdir()))
def test_an_overlay_is_the_chart_with_the_values_of_its_name(overlay: str) -> None:
    """`overlays/kind` has the values of `values-kind.yaml`; local images have the tag `dev`."""
    values = helm.values_of(overlay)
    if overlay != "production":
        values |= {"image": {"tag": "dev"}}
    made = kustomized(f"overlays/{overlay}")
    assert {one["metadata"]["namespace"] for one in made} == {NAMESPACE}
    assert by_name(made) == by_name(without_helm(values))


def test_every_component_is_listed_and_of_its_kind() -> None:
    """docs/operating.md lists each component, and each folder lists its files."""
    text = (helm.ROOT / "docs" / "operating.md").read_text()
    for path in FOLDER.glob("*/**/kustomization.yaml"):
        where = path.parent.relative_to(FOLDER)
        content = yaml.safe_load(path.read_text())
        assert content["kind"] == KINDS[where.parts[0]]
        if where.parts[0] == "components":
            assert f"`{where.name}`" in text, where
        files = {one.name for one in path.parent.glob("*.yaml")} - {"kustomization.yaml"}
        listed = {name for name in content.get("resources", []) if not name.startswith("..")}
        assert files == listed


def test_the_documents_secret_has_every_key_that_the_base_mounts() -> None:
    """Without Helm, a command of docs/operating.md makes the Secret that Helm generates."""
    text = (helm.ROOT / "docs" / "operating.md").read_text()
    made = set(re.findall(r"--from-literal=([\w.]+)=", text))
    assert made == {"token.key", "admin.password"}
