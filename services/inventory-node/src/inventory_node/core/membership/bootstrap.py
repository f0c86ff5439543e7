"""The first start of a member: its identity, whether the member may begin, and the first state.

The founder, the first of the first members by name, draws the cluster's id. The id begins with a
checksum of the first members' names, and so does the making of their ids. A member bootstraps when
every other member describes itself as the member that is listed, with the same first members, empty
or bootstrapped, and without a term. The founder draws the id only if no other member has one. The
others take the id from a member that has it on its disk, so an interrupted bootstrap can resume. No
member campaigns or votes until every member has bootstrapped.

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

FOUNDING_BYTES = 8  # of the checksum of the first members' names, and as many that are drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a peer says of itself."""

    name: str  # as the peer is listed
    says: str  # as the peer calls itself
    cluster_id: str  # empty before the peer's first start is complete
    founding: str
    member_id: int
    bootstrapped: bool
    term: int  # 0 until the peer's first election
    reached: frozenset[int] | None = None  # by member id; None: the peer does not say


def founding_of(names: Iterable[str]) -> str:
    """Return the checksum of the first members' names, with which the cluster's id begins."""
    text = ",".join(sorted(names)).encode()
    return blake2b(text, digest_size=FOUNDING_BYTES, person=b"cluster").hexdigest()


def drawn_cluster_id(founding: str) -> str:
    """Draw the id of a cluster that begins."""
    return founding + secrets.token_hex(FOUNDING_BYTES)


def member_id_of(founding: str, name: str) -> int:
    """Derive a first member's id, positive and below 2^63."""
    digest = blake2b(f"{founding}/{name}".encode(), digest_size=8, person=b"member").digest()
    return (int.from_bytes(digest) & (2**63 - 1)) or 1


def check_peer(own: Identity, founding: str, peer: Described) -> None:
    """Refuse a peer that is not the member that is listed at its address.

    An empty peer is refused, too: with another member list, the peer would begin another cluster.
    """
    if peer.founding != founding:
        raise BootstrapRefused(
            f"{peer.name} was started with other first members; give every member the same names "
            "in INVENTORY_NODE_MEMBERS"
        )
    if own.cluster_id and peer.cluster_id and peer.cluster_id != own.cluster_id:
        raise BootstrapRefused(
            f"{peer.name} belongs to another cluster ({peer.cluster_id}, not {own.cluster_id}); "
            "start every member on its own volume"
        )
    if peer.says != peer.name:
        raise BootstrapRefused(
            f"{peer.says} answers at the address of {peer.name}; check the addresses in "
            "INVENTORY_NODE_MEMBERS"
        )


def cluster_id_among(peers: Iterable[Described | None]) -> str:
    """Return the id that peers have on their disks, empty for none; raise BootstrapRefused."""
    ids = {peer.cluster_id: peer.name for peer in peers if peer is not None and peer.cluster_id}
    if len(ids) > 1:
        raise BootstrapRefused(
            f"{' and '.join(sorted(ids.values()))} belong to different clusters; start every "
            "member on its own volume"
        )
    return next(iter(ids), "")


class Beginning(enum.Enum):
    """What an empty member does first."""

    WAIT = "wait"
    BOOTSTRAP = "bootstrap"
    JOIN = "join"


def beginning(
    own: Identity, first: Mapping[str, int], founding: str, peers: Iterable[Described | None]
) -> Beginning:
    """Decide what an empty member does first; None stands for a peer that does not answer.

    Raises BootstrapRefused when the member may never begin.
    """
    known = list(peers)
    for peer in filter(None, known):
        check_peer(own, founding, peer)
    is_founded = bool(cluster_id_among(known))
    if any(peer is not None and peer.term for peer in known):
        return Beginning.JOIN
    if own.name not in first or None in known:
        return Beginning.WAIT
    return Beginning.BOOTSTRAP if is_founded or own.name == min(first) else Beginning.WAIT


class FirstStart:
    """Whether an empty member may begin, asked again and again."""

    def __init__(self, own: Identity, first: Mapping[str, int]) -> None:
        """Start with the first members' ids by their names."""
        self.silent: tuple[str, ...] = ()  # the first members that do not answer
        self.cluster_id = ""  # as the peers have it on their disks; empty: none has
        self._own = own
        self._first = first
        self._founding = founding_of(first)

    def hear(self, described: Iterable[Described | None]) -> Beginning:
        """Take the descriptions of the other members; see `beginning`."""
        known = list(described)
        heard = {self._own.name, *(peer.name for peer in known if peer is not None)}
        self.silent = tuple(name for name in self._first if name not in heard)
        decided = beginning(self._own, self._first, self._founding, known)
        self.cluster_id = cluster_id_among(known)
        return decided

    def identity(self, decided: Beginning) -> Identity:
        """Return the identity with which this member begins: ids are drawn if need be."""
        own = self._own
        cluster_id = self.cluster_id or drawn_cluster_id(self._founding)
        is_drawn = decided is Beginning.JOIN
        member_id = drawn_id(self._first.values()) if is_drawn else own.member_id
        return Identity(cluster_id, member_id, own.name)


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


def check_identity(found: Identity, name: str, founding: str, folder: Path) -> None:
    """Refuse the volume of another member; the ids are the volume's own."""
    if found.name != name:
        raise BootstrapRefused(
            f"{folder} belongs to member {found.name} of cluster {found.cluster_id}, and this is "
            f"{name}; start it on its own volume"
        )
    if not found.cluster_id.startswith(founding):
        raise BootstrapRefused(
            f"{folder} belongs to cluster {found.cluster_id}, which began with other members; "
            "start it with the list of first members (INVENTORY_NODE_MEMBERS) that the cluster "
            "began with: its id is made of them"
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
