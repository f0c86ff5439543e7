"""`make kind`: the programs that it calls, and their order."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from rendered import helm
from rendered.objects import of_kind

pytestmark = pytest.mark.slow
PROGRAMS = ("docker", "kind", "kubectl", "helm", "make")
RECORDER = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
  "get clusters") cat "$CLUSTERS" ;;
  "image inspect"*) echo sha256:0123456789abcdef0123 ;;
  "$FAILS"*) exit 1 ;;
esac
"""


def calls(
    tmp_path: Path,
    clusters: str,
    programs: tuple[str, ...] = PROGRAMS,
    fails: str = "nothing",
) -> tuple[int, str]:
    """Run the script with programs that write down how they are called; return status and calls.

    Those whose arguments begin with `fails` do.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in programs:
        (folder / name).write_text(RECORDER)
        (folder / name).chmod(0o755)
    for name in ("sh", "dirname", "basename", "grep", "sed", "cut", "cat"):
        (folder / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "clusters").write_text(clusters)
    record = tmp_path / "calls"
    record.touch()
    done = subprocess.run(  # noqa: S603 - our own program
        [str(folder / "sh"), str(helm.ROOT / "tools" / "kind.sh")],
        env={
            "PATH": str(folder),
            "CALLS": str(record),
            "CLUSTERS": str(tmp_path / "clusters"),
            "FAILS": fails,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, record.read_text() + done.stderr


def test_it_makes_a_cluster_builds_loads_installs_and_tests(tmp_path: Path) -> None:
    """The image is tagged by its content."""
    status, said = calls(tmp_path, "")
    assert status == 0, said
    lines = said.splitlines()
    assert [" ".join(line.split()[:2]) for line in lines] == [
        *("kind get", "kind create", "make image", "docker image", "docker tag", "kind load"),
        *("helm upgrade", "helm test"),
    ]
    assert "--config deploy/kind.yaml" in lines[1]
    for line in lines[4:7]:
        assert "dev-0123456789ab" in line
    for line in lines[6:]:
        assert "--kube-context kind-inventory" in line


def test_a_cluster_that_is_there_is_used(tmp_path: Path) -> None:
    """A cluster whose name contains the wanted name is another cluster."""
    assert "kind create" not in calls(tmp_path, "inventory\nother\n")[1]
    shutil.rmtree(tmp_path / "bin")
    assert "kind create" in calls(tmp_path, "inventory-2\n")[1]


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    """Before anything is made."""
    status, said = calls(tmp_path, "", ("docker", "kind", "make"))
    assert (status, said) == (1, "make kind: kubectl is not installed\n")


def test_a_release_that_does_not_get_well_is_told_how_to_go_on(tmp_path: Path) -> None:
    """A second call would be an upgrade, which asks whether members are well."""
    status, said = calls(tmp_path, "inventory\n", fails="upgrade")
    assert status == 1
    assert "requireHealthy=false" in said
    assert "helm test" not in said


def test_the_clusters_port_is_the_gateways() -> None:
    """deploy/kind.yaml leads to the port that values-kind.yaml opens."""
    cluster = yaml.safe_load((helm.ROOT / "deploy" / "kind.yaml").read_text())
    [mapping] = [port for node in cluster["nodes"] for port in node.get("extraPortMappings", [])]
    services = of_kind(helm.objects("kind"), "Service")
    opened = [port.get("nodePort") for one in services for port in one["spec"]["ports"]]
    assert mapping["containerPort"] in opened
    assert mapping["listenAddress"] == "127.0.0.1"
    assert os.access(helm.ROOT / "tools" / "kind.sh", os.X_OK)
