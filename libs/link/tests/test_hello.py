"""The beginning of a link, without sockets: who gets in, who does not, and what each learns."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import link_pb2
from link.errors import FrameError, HelloRefused, LinkError, LinkRefused, Reason
from link.frames import BYTES_MAX, FrameKind
from link.hello import (
    NONCE_BYTES,
    SENTENCE_CHARACTERS_MAX,
    CallerHello,
    Introduction,
    MemberHello,
    Reception,
    Versions,
    refusal_in,
    refusal_of,
)

KEY = "the cluster's key"
CALLER = link_pb2.Caller(member_id=7, name="node-0", address="127.0.0.1:1")
INTRODUCTION = Introduction(
    key=KEY, purpose=link_pb2.PURPOSE_PEER, caller=CALLER, recipient="node-1", cluster_id="c"
)
RECEPTION = Reception(cluster_id="c", name="node-1", keys=lambda _: (KEY,))
FIRST, SECOND = b"1" * NONCE_BYTES, b"2" * NONCE_BYTES


def introduced(**change: Any) -> CallerHello:  # noqa: ANN401 - fields of the record
    """Return a caller's side, with some facts changed."""
    return CallerHello(dataclasses.replace(INTRODUCTION, **change), FIRST)


def received(**change: Any) -> MemberHello:  # noqa: ANN401 - fields of the record
    """Return a member's side, with some facts changed."""
    return MemberHello(dataclasses.replace(RECEPTION, **change), SECOND)


def converse(caller: CallerHello, member: MemberHello) -> list[tuple[FrameKind, bytes]]:
    """Let both sides speak until the hello is complete; return what the member said."""
    said = []
    step: tuple[FrameKind, bytes] | None = caller.begin()
    while step is not None:
        assert step[0] in member.expected
        answer = member.receive(*step)
        said.append(answer)
        assert answer[0] in caller.expected
        step = caller.receive(*answer)
    return said


def test_both_know_each_other_afterwards() -> None:
    """In four frames, and their frames begin with the same CRC, which no other link has."""
    caller, member = introduced(), received()
    said = converse(caller, member)
    assert [kind for kind, _ in said] == [FrameKind.CHALLENGE, FrameKind.ACCEPTED]
    assert member.has_proof
    assert member.hello.caller == CALLER
    assert caller.cluster_id == "c"
    assert (caller.version, member.version) == (1, 1)
    assert caller.seed == member.seed
    other = CallerHello(INTRODUCTION, b"3" * NONCE_BYTES)
    converse(other, received())
    assert other.seed != caller.seed


@pytest.mark.parametrize(
    ("caller", "member", "reason", "sentence"),
    [
        ({"key": "guess"}, {}, Reason.REASON_KEY, "wrong key"),
        ({"key": ""}, {}, Reason.REASON_KEY, "wrong key"),
        ({}, {"keys": lambda _: ()}, Reason.REASON_KEY, "wrong key"),
        (
            {"cluster_id": "d"},
            {},
            Reason.REASON_CLUSTER,
            r"node-1 belongs to another .* \(c, not d",
        ),
        (
            {"recipient": "node-2"},
            {},
            Reason.REASON_RECIPIENT,
            "node-1 answers at the address of node-2",
        ),
        ({"purpose": 99}, {}, Reason.REASON_PURPOSE, "no purpose"),
        ({"versions": Versions(2, 3)}, {}, Reason.REASON_VERSION, "1 to 1 .* not 2 to 3"),
    ],
)
def test_a_caller_that_does_not_belong_here_is_told_why(
    caller: dict[str, Any], member: dict[str, Any], reason: int, sentence: str
) -> None:
    """In a sentence, and it never counts as proven."""
    side = received(**member)
    with pytest.raises(HelloRefused, match=sentence) as refused:
        converse(introduced(**caller), side)
    assert refused.value.reason == reason
    assert not side.has_proof


def test_a_caller_that_knows_no_cluster_learns_it_once_it_is_proven() -> None:
    """A gateway is told which cluster its member belongs to."""
    caller = introduced(cluster_id="")
    converse(caller, received())
    assert caller.cluster_id == "c"


def test_a_stranger_learns_nothing_of_a_member() -> None:
    """Neither its name nor its cluster, nor a proof by which to guess the key, however it asks."""
    for change in ({}, {"recipient": "x"}, {"cluster_id": "x"}, {"purpose": 99}):
        caller, member = introduced(key="guess", **change), received()
        said = b""
        try:
            kind, challenge = member.receive(*caller.begin())
            said += challenge
            proof = caller.receive(kind, challenge)
            assert proof is not None
            member.receive(*proof)
        except HelloRefused as refused:
            said += str(refused).encode()
        assert b"node-1" not in said
        assert len(said) < 200


def test_the_key_never_travels() -> None:
    """Whoever listens at a dead member's port gets a proof that is worth nothing elsewhere."""
    caller, member = introduced(), received()
    hello = caller.begin()
    challenge = member.receive(*hello)
    proof = caller.receive(*challenge)
    assert proof is not None
    accepted = member.receive(*proof)
    for _, payload in (hello, challenge, proof, accepted):
        assert KEY.encode() not in payload


def test_a_proof_that_is_passed_on_opens_no_other_link() -> None:
    """A stranger at a dead member's port speaks to another member meanwhile."""
    caller = introduced(recipient="dead")
    victim = received()
    challenge = victim.receive(*caller.begin())
    proof = caller.receive(*challenge)
    assert proof is not None
    with pytest.raises(HelloRefused, match="answers at the address of dead"):
        victim.receive(*proof)
    later = MemberHello(RECEPTION, b"3" * NONCE_BYTES)  # another link: another nonce
    later.receive(*introduced().begin())
    with pytest.raises(HelloRefused, match="wrong key"):
        later.receive(*proof)


def test_a_proof_of_one_purpose_is_none_for_another() -> None:
    """The key of a watcher admits to watching."""

    def keys(purpose: int) -> tuple[str, ...]:
        return ("watch",) if purpose == link_pb2.PURPOSE_WATCH else (KEY,)

    converse(introduced(key="watch", purpose=link_pb2.PURPOSE_WATCH), received(keys=keys))
    for purpose in link_pb2.Purpose.values():
        if purpose in {link_pb2.PURPOSE_UNSPECIFIED, link_pb2.PURPOSE_WATCH}:
            continue
        with pytest.raises(HelloRefused, match="wrong key"):
            converse(introduced(key="watch", purpose=purpose), received(keys=keys))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"keys": lambda _: ("other", KEY)}, ""),
        ({"name": "node-2"}, "node-1 was called"),
        ({"cluster_id": "d"}, "another cluster"),
    ],
)
def test_a_member_is_checked_by_its_caller(change: dict[str, Any], error: str) -> None:
    """A member with the key that does not check its callers is no member to speak to."""

    class Careless(MemberHello):
        def _check_recipient(self) -> None:
            pass

    caller = introduced()
    member = Careless(dataclasses.replace(RECEPTION, **change), SECOND)
    if not error:
        converse(caller, member)
        return
    with pytest.raises(HelloRefused, match=error):
        converse(caller, member)


def test_a_member_without_the_key_is_not_believed() -> None:
    """It may say that it accepts."""
    caller, member = introduced(), received()
    proof = caller.receive(*member.receive(*caller.begin()))
    assert proof is not None
    kind, payload = member.receive(*proof)
    for change in ({"proof": b""}, {"proof": bytes(32)}, {"welcome": b""}):
        accepted = link_pb2.LinkAccepted.FromString(payload)
        for name, value in change.items():
            setattr(accepted, name, value)
        again = introduced()
        again.receive(*received().receive(*again.begin()))
        with pytest.raises(HelloRefused, match="not proved"):
            again.receive(kind, accepted.SerializeToString())


class TestVersions:
    """A made-up next version rolls out and back, one end after the other."""

    @pytest.mark.parametrize(
        ("caller", "member", "version"),
        [((1, 1), (1, 2), 1), ((1, 2), (1, 1), 1), ((1, 2), (1, 2), 2), ((2, 2), (1, 2), 2)],
    )
    def test_the_highest_common_one_is_spoken(
        self, caller: tuple[int, int], member: tuple[int, int], version: int
    ) -> None:
        """Both ends know which."""
        sides = introduced(versions=Versions(*caller)), received(versions=Versions(*member))
        converse(*sides)
        assert [side.version for side in sides] == [version, version]

    @pytest.mark.parametrize(
        ("caller", "member"), [((2, 2), (1, 1)), ((1, 1), (2, 3)), ((0, 0), (1, 1))]
    )
    def test_without_one_the_caller_is_told_both_ranges(
        self, caller: tuple[int, int], member: tuple[int, int]
    ) -> None:
        """Before it proves anything."""
        side = received(versions=Versions(*member))
        with pytest.raises(HelloRefused, match=f"{member[0]} to {member[1]}") as refused:
            side.receive(*introduced(versions=Versions(*caller)).begin())
        assert refused.value.reason == Reason.REASON_VERSION

    def test_a_member_cannot_choose_what_the_caller_does_not_speak(self) -> None:
        """Nor talk two ends that speak more down to less: the proofs cover both ranges."""
        caller = introduced(versions=Versions(1, 2))
        challenge = link_pb2.LinkChallenge(version=3, nonce=SECOND).SerializeToString()
        with pytest.raises(FrameError, match="not spoken"):
            caller.receive(FrameKind.CHALLENGE, challenge)
        hello = link_pb2.LinkHello.FromString(caller.begin()[1])
        hello.version_max = 1  # changed on the way
        member = received(versions=Versions(1, 2))
        kind, challenge = member.receive(FrameKind.HELLO, hello.SerializeToString())
        proof = caller.receive(kind, challenge)
        assert proof is not None
        with pytest.raises(HelloRefused, match="wrong key"):
            member.receive(*proof)


STEPS = st.lists(
    st.tuples(st.sampled_from([FrameKind.HELLO, FrameKind.PROOF]), st.binary(max_size=200)),
    max_size=4,
)


@settings(max_examples=200)
@given(STEPS)
def test_a_member_refuses_whatever_comes(steps: list[tuple[FrameKind, bytes]]) -> None:
    """By a refusal or an error of the frame, and nobody gets in."""
    member = received()
    for kind, payload in steps:
        if kind not in member.expected:
            return  # the decoder refuses it
        try:
            member.receive(kind, payload)
        except LinkError:
            return
    assert not member.has_proof


@settings(max_examples=200)
@given(st.data())
def test_a_hello_with_any_change_gets_nobody_in(data: st.DataObject) -> None:
    """A byte of what either side said differs on the way."""
    caller, member = introduced(), received()
    at_step = data.draw(st.integers(0, 3))

    def on_the_way(number: int, step: tuple[FrameKind, bytes]) -> tuple[FrameKind, bytes]:
        if number != at_step:
            return step
        payload = bytearray(step[1])
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
        return step[0], bytes(payload)

    def all_of_it() -> None:
        challenge = member.receive(*on_the_way(0, caller.begin()))
        proof = caller.receive(*on_the_way(1, challenge))
        assert proof is not None
        accepted = member.receive(*on_the_way(2, proof))
        caller.receive(*on_the_way(3, accepted))

    with pytest.raises(LinkError):
        all_of_it()


@given(st.binary(max_size=200))
def test_a_caller_refuses_whatever_comes(payload: bytes) -> None:
    """Challenge, acceptance or refusal."""
    for kind in (FrameKind.CHALLENGE, FrameKind.ACCEPTED, FrameKind.REFUSED):
        caller = introduced()
        if kind is FrameKind.ACCEPTED:
            caller.receive(*received().receive(*caller.begin()))
        try:
            caller.receive(kind, payload)
        except LinkError:
            continue
        assert kind is FrameKind.CHALLENGE


@given(st.text(max_size=400))
def test_a_refusal_is_one_line_that_can_be_printed(sentence: str) -> None:
    """Within its bound, whatever it is made of."""
    payload = refusal_of(Reason.REASON_KEY, sentence)
    assert len(payload) <= BYTES_MAX[FrameKind.REFUSED]
    refused = refusal_in(payload)
    assert isinstance(refused, LinkRefused)
    assert str(refused).isprintable()
    assert 0 < len(str(refused)) <= SENTENCE_CHARACTERS_MAX


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": "x" * 300},
        {"relay_to": "a\nb"},
        {"cluster_id": "\x1b[0m"},
        {"nonce": b"short"},
        {"caller": link_pb2.Caller(name="x" * 300)},
        {"caller": link_pb2.Caller(address="a\0")},
    ],
)
def test_a_name_that_would_spoil_a_log_is_refused(change: dict[str, Any]) -> None:
    """Before anything else is done with it."""
    hello = link_pb2.LinkHello.FromString(introduced().begin()[1])
    hello.MergeFrom(link_pb2.LinkHello(**change))
    with pytest.raises(FrameError):
        received().receive(FrameKind.HELLO, hello.SerializeToString())
