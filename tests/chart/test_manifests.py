"""deploy/k8s is the chart, for those who have no Helm."""

import subprocess
import sys

import pytest
from rendered import helm

pytestmark = pytest.mark.slow
FOLDER = helm.ROOT / "deploy" / "k8s"


def test_the_base_is_what_the_chart_renders() -> None:
    """Without Helm's labels, hooks and generated Secret."""
    helm.program("helm")
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(helm.ROOT / "tools" / "render_manifests.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("overlay", ["kind", "production"])
def test_an_overlay_is_the_base_with_its_patches(overlay: str) -> None:
    """Every patch finds its target; no object is lost, every one is in the namespace."""
    made = helm.load(helm.run("kubectl", "kustomize", str(FOLDER / "overlays" / overlay)))
    base = [
        one
        for path in (FOLDER / "base").glob("*.yaml")
        for one in helm.load(path.read_text())
        if one["kind"] != "Kustomization"
    ]
    assert len(made) == len(base)
    assert {one["metadata"]["namespace"] for one in made} == {"inventory"}
