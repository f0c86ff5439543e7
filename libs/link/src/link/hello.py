"""How a link begins, without a socket or a clock: payloads in, payloads out.

HELLO →, ← CHALLENGE, PROOF →, ← ACCEPTED. The caller says who it is and which member it wants. The
member says nothing about itself until the caller has proved that it holds the key. Then the member
proves the same.

A proof is an HMAC-SHA256 by the shared key over the direction and the payloads so far, as they were
sent: both nonces, all names, the purpose and the versions. So a proof is worth nothing in another
link, in the other direction, or to a stranger who passes it on to another member: the member that
gets it is not the member that the hello names.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from crc32c import crc32c
from google.protobuf.message import DecodeError, Message
from inventory.raft.v1 import link_pb2

from link.errors import FrameError, HelloRefused, LinkRefused, Reason
from link.frames import FrameKind
from link.purposes import KINDS, Purpose

VERSION = 1
NONCE_BYTES = 16
TEXT_CHARACTERS_MAX = 256  # of a name or an address
SENTENCE_CHARACTERS_MAX = 240

Step = tuple[FrameKind, bytes]
Read = TypeVar("Read", bound=Message)

_BY_CALLER = b"inventory link: by the caller"
_BY_MEMBER = b"inventory link: by the member"


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
    """What a caller says in its hello, and the key by which it proves itself."""

    key: str
    purpose: Purpose.ValueType
    caller: link_pb2.Caller
    recipient: str  # the name of the member that is called
    cluster_id: str = ""  # empty: not known
    relay_to: str = ""  # of a relay: the name of the member to carry on to
    versions: Versions = SPOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What a member knows as it is called."""

    cluster_id: str
    name: str
    keys: Callable[[Purpose.ValueType], Sequence[str]]  # that admit a caller for a purpose
    versions: Versions = SPOKEN


class CallerHello:
    """The caller's side.

    - Nothing that the member says is believed before the member's proof, but for a refusal.
    """

    def __init__(self, introduction: Introduction, nonce: bytes) -> None:
        """Begin; `nonce`: NONCE_BYTES random bytes that are used once."""
        own = introduction
        self._key = own.key
        self._versions = own.versions
        self._said = [
            link_pb2.LinkHello(
                version_min=own.versions.least,
                version_max=own.versions.most,
                purpose=own.purpose,
                cluster_id=own.cluster_id,
                caller=own.caller,
                recipient=own.recipient,
                nonce=nonce,
                relay_to=own.relay_to,
            ).SerializeToString()
        ]
        self._recipient = own.recipient
        self._cluster_id = own.cluster_id
        self.version = 0
        self.cluster_id = ""  # of the member, once it has proved itself

    @property
    def expected(self) -> frozenset[FrameKind]:
        """The kinds of frames that may come next."""
        step = FrameKind.CHALLENGE if len(self._said) == 1 else FrameKind.ACCEPTED
        return frozenset({step, FrameKind.REFUSED})

    @property
    def seed(self) -> int:
        """Where the CRCs of this link begin after the hello."""
        return seed_of(self._said)

    def begin(self) -> Step:
        """Return the first frame."""
        return FrameKind.HELLO, self._said[0]

    def receive(self, kind: FrameKind, payload: bytes) -> Step | None:
        """Take the member's next frame; return the answer, None after the last.

        Raises LinkRefused, HelloRefused or FrameError.
        """
        if kind is FrameKind.REFUSED:
            raise refusal_in(payload)
        if kind is FrameKind.CHALLENGE:
            challenge = parsed(link_pb2.LinkChallenge, payload)
            if not self._versions.least <= challenge.version <= self._versions.most:
                raise FrameError("the member chose a version that is not spoken here")
            if len(challenge.nonce) != NONCE_BYTES:
                raise FrameError("the member's nonce has another length")
            self._said.append(payload)
            self.version = challenge.version
            proof = proof_of(self._key, _BY_CALLER, self._said)
            return FrameKind.PROOF, link_pb2.LinkProof(proof=proof).SerializeToString()
        accepted = parsed(link_pb2.LinkAccepted, payload)
        self._said.append(accepted.welcome)
        if not hmac.compare_digest(proof_of(self._key, _BY_MEMBER, self._said), accepted.proof):
            raise HelloRefused(Reason.REASON_KEY, "the member has not proved that it has the key")
        welcome = parsed(link_pb2.LinkWelcome, accepted.welcome)
        if welcome.name != self._recipient:
            raise HelloRefused(Reason.REASON_RECIPIENT, f"{self._recipient} was called")
        if self._cluster_id and welcome.cluster_id != self._cluster_id:
            raise HelloRefused(Reason.REASON_CLUSTER, "the member is of another cluster")
        self.cluster_id = welcome.cluster_id
        return None


class MemberHello:
    """The member's side.

    - A caller without the key learns which versions this member speaks, and nothing else.
    """

    def __init__(self, reception: Reception, nonce: bytes) -> None:
        """Wait for a hello; `nonce`: NONCE_BYTES random bytes that are used once."""
        self._own = reception
        self._nonce = nonce
        self._said: list[bytes] = []
        self.version = 0
        self.hello = link_pb2.LinkHello()  # true once `has_proof`
        self.has_proof = False

    @property
    def expected(self) -> frozenset[FrameKind]:
        """The kinds of frames that may come next."""
        return frozenset({FrameKind.PROOF if self._said else FrameKind.HELLO})

    @property
    def seed(self) -> int:
        """Where the CRCs of this link begin after the hello."""
        return seed_of(self._said)

    def receive(self, kind: FrameKind, payload: bytes) -> Step:
        """Take the caller's next frame; return the answer. Raises HelloRefused or FrameError.

        After PROOF the caller is known, and `welcome` ends the hello.
        """
        if kind is FrameKind.HELLO:
            self.hello = parsed(link_pb2.LinkHello, payload)
            self._said.append(payload)
            return self._challenge()
        proof = parsed(link_pb2.LinkProof, payload).proof
        keys = self._own.keys(self.hello.purpose)
        proofs = [proof_of(key, _BY_CALLER, self._said) for key in keys]
        matches = [hmac.compare_digest(one, proof) for one in proofs]
        if not any(matches):
            raise HelloRefused(
                Reason.REASON_KEY, "this is for members and gateways of this cluster: wrong key"
            )
        self._check_recipient()
        self.has_proof = True
        return self._welcome(keys[matches.index(True)])

    def _challenge(self) -> Step:
        hello, spoken = self.hello, self._own.versions
        theirs = Versions(hello.version_min, hello.version_max)
        self.version = spoken.common(theirs)
        if not self.version:
            raise HelloRefused(
                Reason.REASON_VERSION,
                f"versions {spoken.least} to {spoken.most} of the protocol are spoken here, not "
                f"{theirs.least} to {theirs.most}",
            )
        if hello.purpose not in KINDS:
            raise HelloRefused(Reason.REASON_PURPOSE, "a link of no purpose that is known here")
        if len(hello.nonce) != NONCE_BYTES:
            raise FrameError("the caller's nonce has another length")
        caller = hello.caller
        texts = (hello.cluster_id, hello.recipient, hello.relay_to, caller.name, caller.address)
        if any(len(text) > TEXT_CHARACTERS_MAX or not text.isprintable() for text in texts):
            raise FrameError("a name in the hello is too long, or cannot be printed")
        challenge = link_pb2.LinkChallenge(version=self.version, nonce=self._nonce)
        self._said.append(challenge.SerializeToString())
        return FrameKind.CHALLENGE, self._said[-1]

    def _check_recipient(self) -> None:
        """Refuse a caller who proved itself, and who wants another member or another cluster."""
        own, hello = self._own, self.hello
        if hello.cluster_id and hello.cluster_id != own.cluster_id:
            raise HelloRefused(
                Reason.REASON_CLUSTER,
                f"{own.name} belongs to another cluster ({own.cluster_id}, not {hello.cluster_id})",
            )
        if hello.recipient != own.name:
            raise HelloRefused(
                Reason.REASON_RECIPIENT,
                f"{own.name} answers at the address of {hello.recipient}",
            )

    def _welcome(self, key: str) -> Step:
        welcome = link_pb2.LinkWelcome(cluster_id=self._own.cluster_id, name=self._own.name)
        self._said.append(welcome.SerializeToString())
        accepted = link_pb2.LinkAccepted(
            welcome=self._said[-1], proof=proof_of(key, _BY_MEMBER, self._said)
        )
        return FrameKind.ACCEPTED, accepted.SerializeToString()


def proof_of(key: str, direction: bytes, said: Sequence[bytes]) -> bytes:
    """Return the proof that whoever speaks in a direction holds the key, and heard `said`."""
    made = hmac.new(key.encode(), direction, hashlib.sha256)
    for payload in said:
        made.update(len(payload).to_bytes(4) + payload)
    return made.digest()


def seed_of(said: Sequence[bytes]) -> int:
    """Return the CRC with which the frames after a hello begin; it differs from link to link."""
    seed = 0
    for payload in said:
        seed = crc32c(payload, seed)
    return seed


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
