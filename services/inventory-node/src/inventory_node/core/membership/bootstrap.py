"""The first start of a member: its identity, whether the member may begin, and the first state.

The cluster's id and the first members' ids derive from the cluster's key and the members' names, so
an interrupted bootstrap can resume. A member bootstraps when every other member describes itself as
the member that is listed, of the same cluster, empty or bootstrapped, and without a term. No member
campaigns or votes until every member has bootstrapped.

An empty volume beside peers that have a term may have voted before the volume was lost. So the
volume's member draws another id and joins as a learner (dissertation §4.2.1): the votes of the old
id count for no member. A member that is none of the first members joins in the same way.
"""

import enum
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from wire import bounds, money
from wire.text import folded

from inventory_node.errors import BootstrapRefused
from inventory_node.wal import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a peer says of itself."""

    name: str  # as the peer is listed
    says: str  # as the peer calls itself
    cluster_id: str
    member_id: int
    bootstrapped: bool
    term: int  # 0 until the peer's first election
    reached: frozenset[int] | None = None  # by member id; None: the peer does not say


def cluster_id_of(key: bytes, names: Iterable[str]) -> str:
    """Derive the cluster's id; the key cannot be computed from the id."""
    text = ",".join(sorted(names)).encode()
    return blake2b(text, key=blake2b(key).digest(), digest_size=16, person=b"cluster").hexdigest()


def member_id_of(cluster_id: str, name: str) -> int:
    """Derive a first member's id, positive and below 2^63."""
    digest = blake2b(f"{cluster_id}/{name}".encode(), digest_size=8, person=b"member").digest()
    return (int.from_bytes(digest) & (2**63 - 1)) or 1


def check_peer(own: Identity, peer: Described) -> None:
    """Refuse a peer that is not the member that is listed at its address.

    An empty peer is refused, too: with another member list, the peer would begin another cluster.
    """
    if peer.cluster_id != own.cluster_id:
        raise BootstrapRefused(
            f"{peer.name} belongs to another cluster ({peer.cluster_id}, not {own.cluster_id}); "
            "give every member the same cluster key and the same names in INVENTORY_NODE_MEMBERS"
        )
    if peer.says != peer.name:
        raise BootstrapRefused(
            f"{peer.says} answers at the address of {peer.name}; check the addresses in "
            "INVENTORY_NODE_MEMBERS"
        )


class Beginning(enum.Enum):
    """What an empty member does first."""

    WAIT = "wait"
    BOOTSTRAP = "bootstrap"
    JOIN = "join"


def beginning(own: Identity, peers: Iterable[Described | None], *, is_first: bool) -> Beginning:
    """Decide what an empty member does first; None stands for a peer that does not answer.

    Raises BootstrapRefused when the member may never begin.
    """
    known = list(peers)
    for peer in filter(None, known):
        check_peer(own, peer)
    if any(peer is not None and peer.term for peer in known):
        return Beginning.JOIN
    return Beginning.BOOTSTRAP if is_first and None not in known else Beginning.WAIT


class FirstStart:
    """Whether an empty member may begin, asked again and again."""

    def __init__(self, own: Identity, first: Mapping[str, int]) -> None:
        """Start with the first members' ids by their names."""
        self.silent: tuple[str, ...] = ()  # the first members that do not answer
        self._own = own
        self._first = first

    def hear(self, described: Iterable[Described | None]) -> Beginning:
        """Take the descriptions of the other members; see `beginning`."""
        known = list(described)
        heard = {self._own.name, *(peer.name for peer in known if peer is not None)}
        self.silent = tuple(name for name in self._first if name not in heard)
        return beginning(self._own, known, is_first=self._own.name in self._first)


def drawn_id(taken: Iterable[int]) -> int:
    """Draw the id of a member that joins: positive, below 2^63, and not taken."""
    others = {0, *taken}
    while (drawn := secrets.randbits(63)) in others:
        pass
    return drawn


def is_complete(own_term: int, peers: Iterable[Described | None]) -> bool:
    """Tell whether every member has bootstrapped, so that elections may begin.

    The peers passed `check_peer`.
    """
    known = list(peers)
    if own_term or any(peer is not None and peer.term for peer in known):
        return True
    return all(peer is not None and peer.bootstrapped for peer in known)


def check_identity(found: Identity, wanted: Identity, folder: Path) -> None:
    """Refuse the volume of another member; the member id is the volume's own."""
    if (found.cluster_id, found.name) != (wanted.cluster_id, wanted.name):
        raise BootstrapRefused(
            f"{folder} belongs to member {found.name} of cluster {found.cluster_id}, and this is "
            f"{wanted.name} of {wanted.cluster_id}; start it on its own volume, with the cluster "
            "key and the list of first members (INVENTORY_NODE_MEMBERS) that the cluster began "
            "with: its id is made of both"
        )


# JSON of any other shape, and JSON that is nested too deep.
_UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def initialize_of(path: Path | None, cluster_id: str) -> bytes:
    """Return the first command, a serialized Administration, from the bootstrap file.

    The file is JSON: `{"currency": {"code": "USD", "minor_digits": 2}, "users": [{"name": …,
    "role": "customer", "password_hash": …}], "items": [{"name": …, "description": …, "price":
    "12.50", "quantity": 3}]}`. The digits are those of the code (ISO 4217). A user with
    `"must_change_password": true` may do nothing before it has set another password. Raises
    BootstrapRefused.
    """
    if path is None:
        return b""
    try:
        content = json.loads(path.read_text())
        command = log_pb2.Administration(request_id="initialize")
        _fill(command.initialize, content)
    except _UNUSABLE as error:
        raise BootstrapRefused(
            f"the bootstrap file {path} cannot be used: {type(error).__name__}: {error}"
        ) from error
    command.initialize.cluster_id = cluster_id
    problem = bounds.check_administration(command)
    if problem is not None:
        raise BootstrapRefused(f"the bootstrap file {path} cannot be used: {problem.message}")
    return command.SerializeToString()


def _fill(initialize: log_pb2.Initialize, content: Mapping[str, Any]) -> None:
    currency = content["currency"]
    code, digits = currency["code"], currency["minor_digits"]
    initialize.currency.code = code
    initialize.currency.minor_digits = digits
    for user in content["users"]:
        initialize.users.add(
            name=user["name"],
            folded_name=folded(user["name"]),
            role=auth_pb2.Role.Value(f"ROLE_{user['role'].upper()}"),
            password_hash=user["password_hash"],
            must_change_password=user.get("must_change_password", False),
        )
    for item in content["items"]:
        minor = money.parse_minor(item["price"], digits)
        initialize.items.add(
            name=item["name"],
            description=item["description"],
            price=money.from_minor(minor, code, digits),
            quantity=item["quantity"],
        )
