"""How a link begins, without a socket or a clock: payloads in, payloads out.

HELLO →, ← ACCEPTED. TLS has proved before who both ends are. The caller says what it wants and of
whom. The member compares that with what the caller's certificate allows. The caller speaks to no
member but the one whose name it called, by that member's certificate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from inventory.raft.v1 import link_pb2
from pki.contexts import PkiContexts
from pki.identities import Kind, ProcessIdentity

from link.errors import FrameError, HelloRefused, LinkRefused, Reason
from link.frames import FrameKind
from link.purposes import KINDS, MAY_OPEN, NOT_CARRIED, Purpose

VERSION = 1
TEXT_CHARACTERS_MAX = 256  # of a name or an address
SENTENCE_CHARACTERS_MAX = 240

Step = tuple[FrameKind, bytes]
Read = TypeVar("Read", bound=Message)


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of the protocol that one end speaks, both included."""

    least: int = VERSION
    most: int = VERSION

    def common(self, other: "Versions") -> int:
        """Return the highest version that both speak; 0 if there is none."""
        version = min(self.most, other.most)
        return version if version >= max(self.least, other.least) else 0


SPOKEN = Versions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What a caller says in its hello, and the certificate by which it proves itself."""

    contexts: PkiContexts
    purpose: Purpose.ValueType
    caller: link_pb2.Caller
    recipient: str  # the name of the member that is called
    cluster_id: str = ""  # empty: not known
    relay_to: str = ""  # of a relay: the name of the member to carry on to
    versions: Versions = SPOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What a member knows as it is called."""

    contexts: PkiContexts
    cluster_id: Callable[[], str]  # empty: not known yet
    name: str
    versions: Versions = SPOKEN


class CallerHello:
    """The caller's side.

    - Nothing is said to a process that is not the called member.
    """

    def __init__(self, introduction: Introduction) -> None:
        """Begin."""
        self._own = introduction
        self.expected = frozenset({FrameKind.ACCEPTED, FrameKind.REFUSED})
        self.version = 0
        self.cluster_id = ""  # of the member, as the member says

    def begin(self, peer: ProcessIdentity) -> Step:
        """Take whom the other end's certificate names; return the first frame.

        Raises HelloRefused.
        """
        own = self._own
        if peer != ProcessIdentity(Kind.MEMBER, own.recipient):
            raise HelloRefused(
                Reason.REASON_RECIPIENT, f"{peer} answers at the address of {own.recipient}"
            )
        hello = link_pb2.LinkHello(
            version_min=own.versions.least,
            version_max=own.versions.most,
            purpose=own.purpose,
            cluster_id=own.cluster_id,
            caller=own.caller,
            recipient=own.recipient,
            relay_to=own.relay_to,
        )
        return FrameKind.HELLO, hello.SerializeToString()

    def receive(self, kind: FrameKind, payload: bytes) -> None:
        """Take the member's answer, after which the link is open.

        Raises LinkRefused, HelloRefused or FrameError.
        """
        own = self._own
        if kind is FrameKind.REFUSED:
            raise refusal_in(payload)
        accepted = parsed(link_pb2.LinkAccepted, payload)
        if not own.versions.least <= accepted.version <= own.versions.most:
            raise FrameError("the member chose a version that is not spoken here")
        if accepted.name != own.recipient:
            raise HelloRefused(Reason.REASON_RECIPIENT, f"{own.recipient} was called")
        check_texts(accepted.cluster_id)
        if own.cluster_id and accepted.cluster_id not in {"", own.cluster_id}:
            raise HelloRefused(Reason.REASON_CLUSTER, "the member is of another cluster")
        self.version, self.cluster_id = accepted.version, accepted.cluster_id


class MemberHello:
    """The member's side.

    - A caller opens links of the purposes that its certificate allows, and speaks for nobody else.
    """

    expected = frozenset({FrameKind.HELLO})

    def __init__(self, reception: Reception, *, is_carried: bool = False) -> None:
        """Wait for a hello; `is_carried`: another link carries this one."""
        self._own = reception
        self._is_carried = is_carried
        self.version = 0
        self.hello = link_pb2.LinkHello()

    def receive(self, payload: bytes, peer: ProcessIdentity) -> Step:
        """Take the hello of a caller whose certificate names `peer`; return the last answer.

        Raises HelloRefused or FrameError.
        """
        self.hello = hello = parsed(link_pb2.LinkHello, payload)
        caller = hello.caller
        check_texts(hello.cluster_id, hello.recipient, hello.relay_to, caller.name, caller.address)
        self._check_version()
        self._check_caller(peer)
        self._check_recipient()
        accepted = link_pb2.LinkAccepted(
            version=self.version, cluster_id=self._own.cluster_id(), name=self._own.name
        )
        return FrameKind.ACCEPTED, accepted.SerializeToString()

    def _check_version(self) -> None:
        hello, spoken = self.hello, self._own.versions
        theirs = Versions(hello.version_min, hello.version_max)
        self.version = spoken.common(theirs)
        if not self.version:
            raise HelloRefused(
                Reason.REASON_VERSION,
                f"versions {spoken.least} to {spoken.most} of the protocol are spoken here, not "
                f"{theirs.least} to {theirs.most}",
            )

    def _check_caller(self, peer: ProcessIdentity) -> None:
        """Refuse what the caller's certificate does not allow."""
        hello = self.hello
        if hello.purpose not in KINDS:
            raise HelloRefused(Reason.REASON_PURPOSE, "a link of no purpose that is known here")
        purpose = Purpose.Name(hello.purpose).removeprefix("PURPOSE_").lower()
        if hello.purpose not in MAY_OPEN[peer.kind]:
            raise HelloRefused(
                Reason.REASON_CERTIFICATE,
                f"the certificate of {peer} allows no link for the purpose {purpose}",
            )
        if self._is_carried and hello.purpose in NOT_CARRIED:
            raise HelloRefused(
                Reason.REASON_PURPOSE, f"a relayed link may not be for the purpose {purpose}"
            )
        if peer.kind is Kind.MEMBER and hello.caller.name != peer.name:
            raise HelloRefused(
                Reason.REASON_CERTIFICATE,
                f"the certificate of {peer} cannot speak for {hello.caller.name!r}",
            )

    def _check_recipient(self) -> None:
        """Refuse a caller that wants another member or another cluster."""
        own, hello = self._own, self.hello
        cluster_id = own.cluster_id()
        if hello.cluster_id and cluster_id and hello.cluster_id != cluster_id:
            raise HelloRefused(
                Reason.REASON_CLUSTER,
                f"{own.name} belongs to another cluster ({cluster_id}, not {hello.cluster_id})",
            )
        if hello.recipient != own.name:
            raise HelloRefused(
                Reason.REASON_RECIPIENT,
                f"{own.name} answers at the address of {hello.recipient}",
            )


def check_texts(*texts: str) -> None:
    """Raise FrameError for a text that would spoil a log."""
    if any(len(text) > TEXT_CHARACTERS_MAX or not text.isprintable() for text in texts):
        raise FrameError("a name in the hello is too long, or cannot be printed")


def parsed(kind: type[Read], payload: bytes) -> Read:
    """Return a message; raise FrameError if the bytes are none."""
    try:
        return kind.FromString(payload)
    except DecodeError as error:
        raise FrameError(f"no {kind.__name__} can be read from these bytes") from error


def refusal_of(reason: Reason.ValueType, sentence: str) -> bytes:
    """Return the payload of REFUSED."""
    return link_pb2.LinkRefusal(
        reason=reason, sentence=sentence[:SENTENCE_CHARACTERS_MAX]
    ).SerializeToString()


def refusal_in(payload: bytes) -> LinkRefused:
    """Return the other end's refusal, as an exception whose text can be printed.

    Raises FrameError.
    """
    refusal = parsed(link_pb2.LinkRefusal, payload)
    text = refusal.sentence[:SENTENCE_CHARACTERS_MAX]
    sentence = "".join(one if one.isprintable() else "?" for one in text)
    return LinkRefused(refusal.reason, sentence or "the other end gave no reason")
