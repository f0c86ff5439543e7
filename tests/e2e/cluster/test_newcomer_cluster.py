"""A newcomer's way: the commands of the documents and of the notes, word for word."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.release import (
    NAME,
    Release,
    missing,
    run,
    wait_until_no_namespace,
    wait_until_no_pods,
)
from chaos.up import ROOT
from inventory_client import Inventory

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
# Bash's own client: what the notes forward is the health page.
HEALTH_IS_THERE = """
until (exec 3<>/dev/tcp/127.0.0.1/8080) 2> /dev/null; do sleep 0.2; done
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3
cat <&3
"""
PROGRAMS = ("helm", "kubectl", "inventory")
KEPT_BY_KUBERNETES = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
PASSED = {"Event", "Endpoints", "EndpointSlice", "PodMetrics"}  # they go by themselves


def documents_commands() -> tuple[str, str]:
    """Return the commands `helm install` and `helm test` of docs/operating.md."""
    text = (ROOT / "docs" / "operating.md").read_text().replace("\\\n", " ")
    [block] = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    install, test = (line for line in block.splitlines() if line.startswith("helm "))
    return install, test


def documents_removal() -> str:
    """Return how docs/operating.md has the pod of the last test deleted."""
    text = (ROOT / "docs" / "operating.md").read_text()
    [command] = re.findall(r"`(kubectl delete pod inventory-test [^`]+)`", text)
    return str(command)


def left(namespace: str) -> set[str]:
    """Return every object of a namespace, as Kind/name."""
    kinds = run("kubectl", "api-resources", "--namespaced", "--verbs=list", "--output=name")
    each = '{range .items[*]}{.kind}/{.metadata.name}{"\\n"}{end}'
    listed = run(
        *("kubectl", "get", ",".join(kinds.split()), "--namespace", namespace),
        f"--output=jsonpath={each}",
    )
    found = {line for line in listed.splitlines() if line.split("/")[0] not in PASSED}
    return found - KEPT_BY_KUBERNETES


@pytest.fixture
def namespace() -> Iterator[Release]:
    """Have the documents' namespace, empty and restricted; remove it at the end."""
    os.chdir(ROOT)
    release = Release()
    release.namespace = NAME
    wait_until_no_namespace(release, NAME)
    release.make_namespace()
    try:
        yield release
    finally:
        release.close()
        release.core.delete_namespace(NAME)


def test_from_install_to_uninstall(namespace: Release, tmp_path: Path) -> None:
    """The chart installs, its notes' commands work, its test succeeds; its data stays."""
    release = namespace
    install, test = documents_commands()
    told = run(*install.split(), seconds=200)
    lines = [line.strip() for line in told.partition("NOTES:")[2].splitlines()]
    pasted = [line for line in lines if line.split(" ")[0] in PROGRAMS]
    assert len(pasted) == 7
    script = "\n".join([*pasted, HEALTH_IS_THERE, "kill $(jobs -p)"])
    folder = Path(sys.executable).parent
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    environment["INVENTORY_TOKEN_FILE"] = str(tmp_path / "token")
    shown = run("bash", "-euc", script, seconds=200, environment=environment)
    assert shown.count("inventory-node-") >= 3
    assert "200 OK" in shown
    assert '"quantity": 2' in run(*test.split(), seconds=200)  # its log, after it has succeeded
    release.connect()
    with Inventory(release.address, insecure=True) as customer:
        customer.login("Gayathri", "password1")
        after = customer.order_item(2, 1).on_hand_after
    release.close()

    run("helm", "uninstall", NAME, "--namespace", NAME, "--wait")
    run(*documents_removal().split())
    wait_until_no_pods(release, NAME)  # gateways take their time, so that clients leave them
    claims = {f"PersistentVolumeClaim/data-{NAME}-node-{number}" for number in range(3)}
    assert left(NAME) == {*claims, f"Secret/{NAME}-keys"}

    run(*install.replace("--create-namespace", "").split(), seconds=200)
    with Inventory(release.address, insecure=True) as customer:
        customer.login("Gayathri", "password1")
        assert customer.item(2).quantity == after
        assert "Keyboard" in str(customer.ask("low stock").rows)
    run("helm", "uninstall", NAME, "--namespace", NAME, "--wait")
