"""Who may talk to whom: the table, and NetworkPolicies that allow exactly the table's rows."""

from itertools import product

import pytest
from rendered import helm
from rendered.network import Party, passes
from rendered.objects import is_hook, of_kind, pods

FLOWS = {  # from, to, port: the whole list
    ("node", "node", 7400),
    ("gateway", "node", 7400),
    ("client", "gateway", 50051),
    ("health", "node", 7400),
    ("health", "gateway", 50052),
    ("health", "assistant", 50061),
    ("metrics", "gateway", 50052),
    ("assistant", "gateway", 50052),
    ("test", "gateway", 50051),
    ("upgrade", "gateway", 50051),
    ("gateway", "assistant", 50061),
    ("operator", "health", 8080),
    ("operator", "health", 50071),
    ("test", "health", 8080),
    ("monitoring", "node", 9100),
    ("monitoring", "gateway", 9100),
    ("monitoring", "assistant", 9100),
    ("monitoring", "health", 9100),
    ("monitoring", "metrics", 9100),
}
POLICIES = of_kind(helm.objects("all"), "NetworkPolicy")
PARTS = {pod.component: pod for pod in pods(helm.objects("all"))}
INSIDE = {name: Party(name, pod.labels, pod.ports) for name, pod in PARTS.items()}
OUTSIDE = {
    "client": Party("client", {}, inside=False, namespace_labels={"of": "clients"}),
    "operator": Party("operator", {}, inside=False, namespace_labels={"of": "operators"}),
    "monitoring": Party("monitoring", {}, inside=False, namespace_labels={"of": "monitoring"}),
    "stranger": Party("stranger", {"app": "another"}, inside=False),
    "neighbour": Party("neighbour", {"app.kubernetes.io/instance": "another"}),
}
NAMES = Party(
    "dns",
    {"k8s-app": "kube-dns"},
    inside=False,
    namespace_labels={"kubernetes.io/metadata.name": "kube-system"},
)
OTHER_NAMES = Party("names", {"k8s-app": "kube-dns"}, inside=False)
PORTS = sorted({port for party in INSIDE.values() for port in party.ports.values()} | {22, 443})


@pytest.mark.parametrize("recipient", sorted(INSIDE))
def test_what_is_listed_passes_and_nothing_else(recipient: str) -> None:
    """The test tries all pairs of parts, at every port that a part listens on."""
    everybody = INSIDE | OUTSIDE
    for sender, port in product(sorted(everybody), PORTS):
        passed = passes(POLICIES, everybody[sender], INSIDE[recipient], port)
        assert passed == ((sender, recipient, port) in FLOWS), (sender, recipient, port)
        assert not passes(POLICIES, everybody[sender], INSIDE[recipient], port, "UDP")


@pytest.mark.parametrize("sender", sorted(INSIDE))
def test_names_are_asked_for_and_nothing_else_outside(sender: str) -> None:
    """An intruder in a pod can send nothing out of the cluster."""
    assert passes(POLICIES, INSIDE[sender], NAMES, 53, "UDP")
    assert passes(POLICIES, INSIDE[sender], NAMES, 53)
    for recipient, port in product((*OUTSIDE.values(), OTHER_NAMES), (*PORTS, 53)):
        assert not passes(POLICIES, INSIDE[sender], recipient, port)
        assert not passes(POLICIES, INSIDE[sender], recipient, port, "UDP")


def test_every_listed_port_is_listened_on() -> None:
    """A row whose port no pod listens on is a mistake."""
    for _, recipient, port in FLOWS:
        assert port in INSIDE[recipient].ports.values()


@pytest.mark.parametrize("variant", [one for one in helm.VARIANTS if one != "least"])
def test_every_pod_is_behind_a_policy_both_ways(variant: str) -> None:
    """A pod that no policy selects is open to everybody; the pods of hooks count, too."""
    policies = of_kind(helm.objects(variant), "NetworkPolicy")
    for pod in pods(helm.objects(variant)):
        party = Party(pod.name, pod.labels, pod.ports)
        assert not passes(policies, OUTSIDE["neighbour"], party, 22), pod.name
        assert not passes(policies, party, OUTSIDE["stranger"], 443), pod.name
        assert is_hook(pod.owner) or pod.lasting, pod.name


def test_without_named_clients_nobody_outside_may_call_or_watch() -> None:
    """The default is closed: who calls is named, or comes by `kubectl port-forward`."""
    policies = of_kind(helm.objects("default"), "NetworkPolicy")
    for party in OUTSIDE.values():
        assert not passes(policies, party, INSIDE["gateway"], 50051)
        assert not passes(policies, party, INSIDE["assistant"], 50061)
        assert not passes(policies, party, INSIDE["node"], 7400)
        assert not passes(policies, party, INSIDE["health"], 8080)
        for recipient in INSIDE.values():
            assert not passes(policies, party, recipient, 9100)
