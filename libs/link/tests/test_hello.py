"""The beginning of a link, without sockets: who gets in, who does not, and what each learns."""

import dataclasses
from typing import Any

import pkitest
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import link_pb2
from link.errors import FrameError, HelloRefused, LinkError, LinkRefused, Reason
from link.frames import BYTES_MAX, FrameKind
from link.hello import (
    SENTENCE_CHARACTERS_MAX,
    CallerHello,
    Introduction,
    MemberHello,
    Reception,
    Versions,
    refusal_in,
    refusal_of,
)
from link.purposes import KINDS, MAY_OPEN
from pki.identities import Kind, ProcessIdentity, parse_identity

OWN, PEER, GATEWAY = (parse_identity(one) for one in ("node-1", "node-0", "gateway"))
CALLER = link_pb2.Caller(member_id=7, name="node-0", address="127.0.0.1:1")
INTRODUCTION = Introduction(
    contexts=pkitest.contexts("node-0"),
    purpose=link_pb2.PURPOSE_PEER,
    caller=CALLER,
    recipient="node-1",
    cluster_id="c",
)
RECEPTION = Reception(contexts=pkitest.contexts("node-1"), cluster_id=lambda: "c", name="node-1")


def introduced(**change: Any) -> CallerHello:  # noqa: ANN401 - fields of the record
    """Return a caller's side, with some facts changed."""
    return CallerHello(dataclasses.replace(INTRODUCTION, **change))


def received(**change: Any) -> MemberHello:  # noqa: ANN401 - fields of the record
    """Return a member's side, with some facts changed."""
    return MemberHello(dataclasses.replace(RECEPTION, **change))


def converse(
    caller: CallerHello,
    member: MemberHello,
    caller_is: ProcessIdentity = PEER,
    member_is: ProcessIdentity = OWN,
) -> None:
    """Let both sides speak until the hello is complete."""
    kind, payload = caller.begin(member_is)
    assert kind in member.expected
    answer = member.receive(payload, caller_is)
    assert answer[0] in caller.expected
    caller.receive(*answer)


def test_both_know_each_other_afterwards() -> None:
    """In two frames."""
    caller, member = introduced(), received()
    converse(caller, member)
    assert member.hello.caller == CALLER
    assert caller.cluster_id == "c"
    assert (caller.version, member.version) == (1, 1)


@pytest.mark.parametrize(
    ("caller", "member", "reason", "sentence"),
    [
        (
            {"cluster_id": "d"},
            {},
            Reason.REASON_CLUSTER,
            r"node-1 belongs to another .* \(c, not d",
        ),
        (
            {},
            {"name": "node-2"},
            Reason.REASON_RECIPIENT,
            "node-2 answers at the address of node-1",
        ),
        ({"purpose": 99}, {}, Reason.REASON_PURPOSE, "no purpose"),
        ({"versions": Versions(2, 3)}, {}, Reason.REASON_VERSION, "1 to 1 .* not 2 to 3"),
        (
            {"caller": link_pb2.Caller(name="node-2")},
            {},
            Reason.REASON_CERTIFICATE,
            "certificate of member node-0 cannot speak for 'node-2'",
        ),
        (
            {"purpose": link_pb2.PURPOSE_GATEWAY},
            {},
            Reason.REASON_CERTIFICATE,
            "certificate of member node-0 allows no link for the purpose gateway",
        ),
    ],
)
def test_a_caller_that_does_not_belong_here_is_told_why(
    caller: dict[str, Any], member: dict[str, Any], reason: int, sentence: str
) -> None:
    """In a sentence."""
    with pytest.raises(HelloRefused, match=sentence) as refused:
        converse(introduced(**caller), received(**member))
    assert refused.value.reason == reason


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("purpose", link_pb2.Purpose.values())
def test_each_kind_opens_the_links_of_its_table_alone(kind: Kind, purpose: int) -> None:
    """No gateway speaks raft, no member speaks as a gateway, and whoever watches only watches."""
    name = "node-0" if kind is Kind.MEMBER else ""
    caller, member = introduced(purpose=purpose), received()
    identity = ProcessIdentity(kind, name)
    if purpose in MAY_OPEN[kind]:
        converse(caller, member, caller_is=identity)
        return
    with pytest.raises(HelloRefused, match=r"allows no link|no purpose"):
        converse(caller, member, caller_is=identity)


def test_who_speaks_raft() -> None:
    """By the table itself."""
    raft = {link_pb2.PURPOSE_PEER, link_pb2.PURPOSE_SNAPSHOT, link_pb2.PURPOSE_CARRIED}
    assert {kind for kind in Kind if MAY_OPEN[kind] & raft} == {Kind.MEMBER}
    assert MAY_OPEN[Kind.HEALTH] == {link_pb2.PURPOSE_WATCH}
    assert set().union(*MAY_OPEN.values()) == KINDS.keys()


def test_a_relayed_link_is_for_no_further_relay() -> None:
    """So there are no circles; a gateway's requests may be relayed."""
    for purpose, is_refused in ((link_pb2.PURPOSE_RELAY, True), (link_pb2.PURPOSE_GATEWAY, False)):
        member = MemberHello(RECEPTION, is_carried=True)
        if is_refused:
            with pytest.raises(HelloRefused, match="a relayed link may not be"):
                converse(introduced(purpose=purpose), member, caller_is=GATEWAY)
        else:
            converse(introduced(purpose=purpose), member, caller_is=GATEWAY)


def test_a_caller_that_knows_no_cluster_learns_it() -> None:
    """A gateway is told which cluster its member belongs to."""
    caller = introduced(cluster_id="")
    converse(caller, received())
    assert caller.cluster_id == "c"


def test_a_member_that_has_not_begun_belongs_to_no_cluster() -> None:
    """Whoever knows a cluster may ask it all the same."""
    caller = introduced()
    converse(caller, received(cluster_id=lambda: ""))
    assert caller.cluster_id == ""


@pytest.mark.parametrize("identity", ["node-2", "gateway", "health"])
def test_a_caller_says_nothing_to_another_process(identity: str) -> None:
    """Whoever listens at a dead member's address has the certificate of another process."""
    with pytest.raises(HelloRefused, match="answers at the address of node-1") as refused:
        introduced().begin(parse_identity(identity))
    assert refused.value.reason == Reason.REASON_RECIPIENT


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "node-2"}, "node-1 was called"),
        ({"cluster_id": lambda: "d"}, "another cluster"),
    ],
)
def test_a_member_is_checked_by_its_caller(change: dict[str, Any], error: str) -> None:
    """A member that does not check its callers is no member to speak to."""

    class Careless(MemberHello):
        def _check_recipient(self) -> None:
            pass

    member = Careless(dataclasses.replace(RECEPTION, **change))
    with pytest.raises(HelloRefused, match=error):
        converse(introduced(), member)


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
        """Before anything else is compared."""
        sides = introduced(versions=Versions(*caller)), received(versions=Versions(*member))
        with pytest.raises(HelloRefused, match=f"{member[0]} to {member[1]}") as refused:
            converse(*sides)
        assert refused.value.reason == Reason.REASON_VERSION

    def test_a_member_cannot_choose_what_the_caller_does_not_speak(self) -> None:
        """TLS keeps anybody else from changing the ranges on their way."""
        caller = introduced(versions=Versions(1, 2))
        for version in (0, 3):
            accepted = link_pb2.LinkAccepted(version=version, cluster_id="c", name="node-1")
            with pytest.raises(FrameError, match="not spoken"):
                caller.receive(FrameKind.ACCEPTED, accepted.SerializeToString())


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_a_member_refuses_whatever_comes(payload: bytes) -> None:
    """By a refusal or an error of the frame."""
    with pytest.raises(LinkError):
        received().receive(payload, PEER)


@given(st.binary(max_size=200))
def test_a_caller_refuses_whatever_comes(payload: bytes) -> None:
    """Acceptance or refusal."""
    for kind in (FrameKind.ACCEPTED, FrameKind.REFUSED):
        with pytest.raises(LinkError):
            introduced().receive(kind, payload)


@given(st.text(max_size=400))
def test_a_refusal_is_one_line_that_can_be_printed(sentence: str) -> None:
    """Within its bound, whatever it is made of."""
    payload = refusal_of(Reason.REASON_CERTIFICATE, sentence)
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
        {"caller": link_pb2.Caller(name="x" * 300)},
        {"caller": link_pb2.Caller(address="a\0")},
    ],
)
def test_a_name_that_would_spoil_a_log_is_refused(change: dict[str, Any]) -> None:
    """Before anything else is done with it."""
    hello = link_pb2.LinkHello.FromString(introduced().begin(OWN)[1])
    hello.MergeFrom(link_pb2.LinkHello(**change))
    with pytest.raises(FrameError):
        received().receive(hello.SerializeToString(), PEER)
    accepted = link_pb2.LinkAccepted(version=1, cluster_id="\x1b[0m", name="node-1")
    with pytest.raises(FrameError):
        introduced().receive(FrameKind.ACCEPTED, accepted.SerializeToString())
