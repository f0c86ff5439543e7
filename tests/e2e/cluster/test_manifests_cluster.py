"""deploy/k8s on a real cluster, by the commands of docs/operating.md, word for word."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from chaos.release import NAME, SECONDS_MAX, Release, missing, run, wait_until_no_namespace
from chaos.up import ROOT
from inventory_client import Inventory

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


def test_the_documents_commands_install_it_without_helm() -> None:
    """The commands make the keys and apply the overlay for one machine; then an order succeeds."""
    os.chdir(ROOT)
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE | re.DOTALL
    )
    [block] = [one for one in blocks if "kubectl apply --kustomize" in one]
    release = Release()
    release.namespace = NAME
    wait_until_no_namespace(release, NAME)
    try:
        programs = Path(sys.executable).parent  # where `inventory` is
        run("sh", "-euc", block, environment={"PATH": f"{programs}:{os.environ['PATH']}"})
        for what in ("statefulset/inventory-node", "deployment/inventory-gateway"):
            limit = f"--timeout={SECONDS_MAX}s"
            run("kubectl", "rollout", "status", limit, "--namespace", NAME, what, seconds=130)
        release.connect()
        release.wait_until_whole()
        with Inventory(release.address, insecure=True) as customer:
            customer.login("Gayathri", "password1")
            assert customer.order_item(1, 1).order_id
        release.close()
    finally:
        release.core.delete_namespace(NAME)
        shutil.rmtree(ROOT / "pki", ignore_errors=True)
