"""The production values on a real cluster: the user's own keys, and one member a node."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kubernetes
import pytest
from chaos.release import CHART, NAME, Release, missing, run
from chaos.up import ROOT
from inventory_client import Inventory, Money, Unauthenticated

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(not os.environ.get("INVENTORY_E2E_ALL"), reason="`make e2e ALL=1`"),
]
KEYS = ("token.key", "admin.password")
OPERATED = ("ServiceMonitor", "PrometheusRule")  # kinds of the Prometheus operator
CPU = "100m"  # the values ask for more than a machine has on which tests run


def definition(kind: str) -> dict[str, Any]:
    """Return a definition of one of the operator's kinds, which accepts any fields."""
    group, plural = "monitoring.coreos.com", f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [version | {"schema": {"openAPIV3Schema": anything}}],
        },
    }


@contextmanager
def operator_kinds() -> Iterator[None]:
    """Add the Prometheus operator's kinds that the cluster lacks; remove them at the end."""
    api: Any = kubernetes.client.ApiextensionsV1Api()
    known = {one.metadata.name for one in api.list_custom_resource_definition().items}
    made = [one for one in map(definition, OPERATED) if one["metadata"]["name"] not in known]
    for one in made:
        api.create_custom_resource_definition(one)
    try:
        for one in made:
            run("kubectl", "wait", f"crd/{one['metadata']['name']}", "--for=condition=Established")
        yield
    finally:
        for one in made:
            api.delete_custom_resource_definition(one["metadata"]["name"])


@pytest.fixture
def production() -> Iterator[Release]:
    """Make a restricted namespace with a Secret of the user's own."""
    os.chdir(ROOT)
    release = Release()
    release.make_namespace()
    try:
        with operator_kinds():
            keys = {key: secrets.token_urlsafe(32) for key in KEYS}
            secret = {"metadata": {"name": f"{NAME}-keys"}, "stringData": keys}
            release.core.create_namespaced_secret(release.namespace, secret)
            yield release
    finally:
        release.remove()


def nodes_of(release: Release, component: str) -> set[str]:
    """Return the nodes of a component's pods."""
    return {pod.spec.node_name for pod in release.pods(component).values()}


def test_it_installs_upgrades_and_tests_itself(production: Release) -> None:
    """Members share no node, and health pods neither, before and after a rolling upgrade."""
    release = production

    def helm(verb: str, *values: str) -> None:
        settings = (
            f"image.repository={release.image}",
            f"image.tag={release.tag}",
            f"node.resources.requests.cpu={CPU}",
            f"gateway.resources.requests.cpu={CPU}",
            "gateway.service.type=NodePort",
            *values,
        )
        sets = [part for value in settings for part in ("--set", value)]
        run("helm", verb, NAME, str(CHART), "--namespace", release.namespace, "--wait",
            "--timeout=150s", f"--values={CHART / 'values-production.yaml'}", *sets,
            seconds=180)  # fmt: skip

    before = release.core.read_namespaced_secret(f"{NAME}-keys", release.namespace)
    helm("install")
    release.connect()  # with the password of the Secret that was there
    release.wait_until_whole()
    assert len(nodes_of(release, "node")) == len(release.pods("node")) == 3
    assert len(nodes_of(release, "health")) == len(release.pods("health")) == 2
    item = release.watcher.add_item("Lamp", "", Money("USD", 1_999), 5)
    release.watcher.order_item(item.id, 2)

    helm("upgrade", "log.level=debug")
    release.wait_until_whole()
    release.wait_until_serving()
    assert len(nodes_of(release, "node")) == 3
    assert len(nodes_of(release, "health")) == 2
    assert release.watcher.item(item.id).quantity == 3
    told = run("helm", "test", NAME, "--namespace", release.namespace, "--logs", seconds=180)
    assert '"quantity": 2' in told
    with Inventory(release.address, insecure=True) as stranger, pytest.raises(Unauthenticated):
        stranger.login("Gayathri", "password1")  # there are no demo users
    after = release.core.read_namespaced_secret(f"{NAME}-keys", release.namespace)
    assert after.data == before.data
    run("helm", "uninstall", NAME, "--namespace", release.namespace, "--wait")
    assert release.core.read_namespaced_secret(f"{NAME}-keys", release.namespace)
