"""What is one of a few words: text that compares with text, and is checked where it is given.

`UNKNOWN` is what was not said, and what a later server says that this client has no word for.
"""

import enum
from typing import Self

from google.protobuf.descriptor import EnumDescriptor
from inventory.v1 import auth_pb2, cluster_pb2


class Word(enum.StrEnum):
    """A word that the wire has a number for."""

    @classmethod
    def _read(cls, numbers: EnumDescriptor, prefix: str, number: int) -> Self:
        """Return the word of a number; the schema's name for it is the prefix and the word."""
        known = numbers.values_by_number.get(number)
        word = known.name.removeprefix(prefix).lower() if known is not None else ""
        return next((one for one in cls if one == word), cls(""))


class Role(Word):
    """What a user may do."""

    UNKNOWN = ""
    CUSTOMER = "customer"
    PRODUCER = "producer"
    ADMIN = "admin"
    MACHINE = "machine"

    @classmethod
    def from_wire(cls, wire: auth_pb2.Role.ValueType) -> Self:
        """Read a role."""
        return cls._read(auth_pb2.Role.DESCRIPTOR, "ROLE_", wire)

    def to_wire(self) -> auth_pb2.Role.ValueType:
        """Return the number of a role."""
        return auth_pb2.Role.Value(f"ROLE_{self.name}") if self else auth_pb2.ROLE_UNSPECIFIED


class MemberRole(Word):
    """What a member is in consensus; unknown where it is not reachable."""

    UNKNOWN = ""
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre_candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"

    @classmethod
    def from_wire(cls, wire: cluster_pb2.MemberRole.ValueType) -> Self:
        """Read a member's role."""
        return cls._read(cluster_pb2.MemberRole.DESCRIPTOR, "MEMBER_ROLE_", wire)


class Standing(Word):
    """How a member takes part; unknown where it is not reachable."""

    UNKNOWN = ""
    VOTER = "voter"
    LEARNER = "learner"
    REMOVED = "removed"
    JOINING = "joining"

    @classmethod
    def from_wire(cls, wire: cluster_pb2.MemberStanding.ValueType) -> Self:
        """Read a member's standing."""
        return cls._read(cluster_pb2.MemberStanding.DESCRIPTOR, "MEMBER_STANDING_", wire)
