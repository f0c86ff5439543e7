"""Who a process is: its kind, and a member's name.

A certificate carries the identity as a DNS name (RFC 6125, section 2.3) below `inventory.internal`,
since every tool that makes certificates can make such a name. Nobody looks the name up: `internal`
is kept for private use. A certificate may carry further names, under which clients reach a process.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pki.errors import PkiError

DOMAIN = "inventory.internal"

_LABELS = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_NAME_CHARACTERS_MAX = 200  # with the domain a DNS name has 253 at most (RFC 1035, section 2.3.4)


class Kind(StrEnum):
    """What a process is for."""

    MEMBER = "member"
    GATEWAY = "gateway"
    HEALTH = "health"
    METRICS = "metrics"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process: `name` is a member's, and empty for the kinds whose processes are alike."""

    kind: Kind
    name: str = ""

    def __post_init__(self) -> None:
        """Raise PkiError if a member has no usable name, or another kind has a name."""
        if self.kind is not Kind.MEMBER and self.name:
            raise PkiError(f"a certificate of {self.kind} carries no further name: {self.name!r}")
        if self.kind is Kind.MEMBER and (
            len(self.name) > _NAME_CHARACTERS_MAX or _LABELS.fullmatch(self.name) is None
        ):
            raise PkiError(
                f"{self.name!r} cannot be a member's name in a certificate: "
                "small letters, digits, hyphens and dots, as in node-0"
            )

    def __str__(self) -> str:
        """Return how people write the identity, such as `member node-0`."""
        return f"{self.kind} {self.name}".strip()

    @property
    def dns_name(self) -> str:
        """The name in a certificate, such as `node-0.member.inventory.internal`."""
        return ".".join(filter(None, (self.name, self.kind, DOMAIN)))


def parse_identity(text: str) -> ProcessIdentity:
    """Read `gateway`, or a member's name; raise PkiError."""
    if text in set(Kind) - {Kind.MEMBER}:
        return ProcessIdentity(Kind(text))
    return ProcessIdentity(Kind.MEMBER, text)


def identity_of(dns_names: Iterable[str]) -> ProcessIdentity:
    """Return the one identity among a certificate's DNS names; raise PkiError."""
    found = [name for name in dns_names if name.endswith(f".{DOMAIN}")]
    if len(found) != 1:
        raise PkiError(f"the certificate names {len(found)} processes of an inventory, not one")
    name, _, kind = found[0].removesuffix(f".{DOMAIN}").rpartition(".")
    if kind not in set(Kind):
        raise PkiError(f"the certificate names a process of no known kind: {found[0]}")
    return ProcessIdentity(Kind(kind), name)
