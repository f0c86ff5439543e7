"""What the chart refuses on a real cluster: no object is made, and a message says what is right."""

import os
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from chaos.release import CHART, NAME, Release, missing, run
from chaos.up import ROOT

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
REFUSED = [
    (("fullnameOverride=Inv",), 'fullnameOverride is "Inv": take up to 40 of a-z'),
    (("nameOverride=in_ventory",), 'nameOverride is "in_ventory": take up to 40 of a-z'),
    (("image.repository=",), "set image.repository to where it is"),
    (("replicaCount=7",), "take 1, 3 or 5"),
    (("node.persistence.size=8GB",), "take a size of Kubernetes, such as 8Gi, 8G"),
    (("gateway.service.nodePort=80",), "has the ports 30000 to 32767"),
    (("networkPolicy.clients[0].ipBlock.cidr=office",), "take a block of addresses"),
    (("existingSecret=ours",), "has no such Secret: make it first, with token.key"),
    (("serviceMonitor.enabled=true",), "serviceMonitor.enabled needs the Prometheus operator"),
    (("prometheusRule.enabled=true",), "prometheusRule.enabled needs the Prometheus operator"),
]


@pytest.fixture(scope="module")
def empty() -> Iterator[Release]:
    """Have a namespace in which nothing is."""
    os.chdir(ROOT)
    release = Release()
    release.make_namespace()
    try:
        yield release
    finally:
        release.remove()


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_bad_value_makes_nothing(empty: Release, values: tuple[str, ...], sentence: str) -> None:
    """The refusal comes at once and leaves no release behind."""
    definitions: Any = kubernetes.client.ApiextensionsV1Api().list_custom_resource_definition()
    kinds = definitions.items
    if "operator" in sentence and any(
        "monitoring.coreos.com" in one.metadata.name for one in kinds
    ):
        pytest.skip("the cluster has the kinds of the Prometheus operator")
    with pytest.raises(AssertionError) as refused:
        empty.helm("install", *values)
    assert sentence in str(refused.value)
    assert "symbolic link" not in str(refused.value)
    listed = run("helm", "list", "--all", "--short", "--namespace", empty.namespace)
    assert not listed.strip()
    assert not empty.core.list_namespaced_pod(empty.namespace).items


def test_a_secret_without_a_key_is_named(empty: Release) -> None:
    """Pods would wait for the key without a word."""
    secret = {"metadata": {"name": "half"}, "stringData": {"admin.password": "of this test alone"}}
    empty.core.create_namespaced_secret(empty.namespace, secret)
    with pytest.raises(AssertionError, match=r"the Secret half of existingSecret has no token.key"):
        empty.helm("install", "existingSecret=half")


def test_a_release_by_a_name_with_a_dot_is_refused(empty: Release) -> None:
    """Kubernetes would refuse the Services after other objects were made."""
    with pytest.raises(AssertionError, match="or set fullnameOverride"):
        run("helm", "install", "a.b", str(CHART), "--namespace", empty.namespace,
            "--set", f"image.repository={empty.image}")  # fmt: skip


def test_without_a_cluster_nothing_of_it_is_missed() -> None:
    """`helm template` renders values that only a cluster could refuse."""
    text = run("helm", "template", NAME, str(CHART), "--kube-version", "1.34.0",
               "--set", "image.repository=inventory,existingSecret=ours",
               "--set", "serviceMonitor.enabled=true,prometheusRule.enabled=true")  # fmt: skip
    assert "kind: ServiceMonitor" in text
