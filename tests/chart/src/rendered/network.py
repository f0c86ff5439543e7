"""Which connections NetworkPolicies let pass, by the rules of their API.

A policy takes the pods of its selector, in the release's namespace. Who is taken by none for a
direction is open in it; who is taken by some is open only to what one of them lists. A connection
passes when it may leave its sender and enter its recipient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rendered.objects import chosen_by


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody with a pod: of the release, or elsewhere."""

    name: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)  # by name
    inside: bool = True  # in the release's namespace
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


def passes(
    policies: Sequence[Mapping[str, Any]],
    sender: Party,
    recipient: Party,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Return whether a connection from one pod to another pod's port passes."""
    ends = (("Egress", sender, recipient, "to"), ("Ingress", recipient, sender, "from"))
    for direction, own, other, side in ends:
        taken = [one["spec"] for one in policies if _takes(one["spec"], own, direction)]
        rules = [rule for spec in taken for rule in spec.get(direction.lower()) or []]
        if taken and not any(
            _lists_port(rule, recipient, port, protocol) and _lists_peer(rule.get(side), other)
            for rule in rules
        ):
            return False
    return True


def _takes(spec: Mapping[str, Any], party: Party, direction: str) -> bool:
    return (
        party.inside
        and direction in spec["policyTypes"]
        and chosen_by(spec["podSelector"], party.labels)
    )


def _lists_port(rule: Mapping[str, Any], recipient: Party, port: int, protocol: str) -> bool:
    if not rule.get("ports"):
        return True
    for one in rule["ports"]:
        first = one.get("port", port)
        number = recipient.ports.get(first) if isinstance(first, str) else first
        last = one.get("endPort", number)
        if one.get("protocol", "TCP") == protocol and number is not None and number <= port <= last:
            return True
    return False


def _lists_peer(peers: Iterable[Mapping[str, Any]] | None, other: Party) -> bool:
    return not peers or any(_is_peer(peer, other) for peer in peers)


def _is_peer(peer: Mapping[str, Any], other: Party) -> bool:
    if "ipBlock" in peer:
        raise ValueError("an ipBlock names addresses, which pods have none of before they run")
    if "namespaceSelector" in peer:
        if not chosen_by(peer["namespaceSelector"], other.namespace_labels):
            return False
    elif not other.inside:
        return False
    return chosen_by(peer.get("podSelector", {}), other.labels)
