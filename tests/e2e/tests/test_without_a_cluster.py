"""`make e2e` without a cluster: the tests skip, and the reason says what is missing."""

import os
import subprocess

import pytest
from chaos.up import ROOT


def e2e(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command that the README names."""
    make = ["/usr/bin/env", "make", "e2e"]
    return subprocess.run(  # noqa: S603 - a constant
        make, check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_without_a_cluster_everything_is_skipped() -> None:
    """The reason is one plain sentence. Where a cluster is required, the tests fail instead."""
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    made = environment | {"INVENTORY_E2E": "", "INVENTORY_CHART_TOOLS": ""}
    run = e2e(made)
    assert run.returncode == 0, run.stdout
    assert "KUBECONFIG names no cluster" in run.stdout
    assert " passed" not in run.stdout
    must = made | {"INVENTORY_E2E": "required"}
    run = e2e(must)
    assert run.returncode != 0
    assert "KUBECONFIG names no cluster" in run.stdout
