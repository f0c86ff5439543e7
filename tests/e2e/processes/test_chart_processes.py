"""The command of the chart's test pod, on this machine: it writes, reads and finds all members."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.up import Up
from rendered import helm
from rendered.objects import of_kind

pytestmark = pytest.mark.slow
SECONDS_MAX = 600  # for a script of many commands: each takes seconds to begin on a busy machine
HEALTH = "inventory-health.shop.svc.cluster.local"


def run_test(up: Up, variant: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the pod's command against a running system, as the system's admin."""
    [pod] = of_kind(helm.objects(variant), "Pod")
    [container] = pod["spec"]["containers"]
    *shell, script = container["command"]
    ports = json.loads((up.data / "run" / "ports.json").read_text())
    here = {
        "/keys/": f"{up.data}/keys/",
        f"{HEALTH}:8080": f"127.0.0.1:{ports['health/page']}",
        "-lt 10": "-lt 2",
    }
    for there, place in here.items():
        assert there in script
        script = script.replace(there, place)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(  # noqa: S603 - the chart's own command
        [*shell, script],
        env={
            "PATH": programs,
            "INVENTORY_ADDRESS": up.address,
            "INVENTORY_TOKEN_FILE": str(folder / "token"),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.mark.long
def test_the_charts_test_succeeds_where_all_is_well_and_counts_the_members(
    tmp_path: Path,
) -> None:
    """The command fails if the release has another number of members."""
    with Up(tmp_path / "data") as up:
        done = run_test(up, "default", tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("ok\n\n")  # what health says
        assert run_test(up, "one", tmp_path).returncode
