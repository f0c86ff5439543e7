"""Certificates between real sockets: who is let in, before, during and after a rotation."""

import datetime as dt
import os
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pki import contexts
from pki.authority import Authority, certificates_in, dns_names_of
from pki.contexts import PkiContexts, PkiFiles, peer_identity
from pki.errors import PkiError
from pki.folder import PkiFolder, RotationStep
from pki.identities import Kind, ProcessIdentity, identity_of, parse_identity

NODE = ProcessIdentity(Kind.MEMBER, "node-0")
GATEWAY = ProcessIdentity(Kind.GATEWAY)


@pytest.fixture
def folder(tmp_path: Path) -> PkiFolder:
    """Return the folder of an authority with a member and a gateway."""
    made = PkiFolder(tmp_path / "pki")
    made.make("one cluster")
    made.issue(NODE, ("127.0.0.1", "node-0.example"))
    made.issue(GATEWAY)
    return made


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let contexts look at their files at every connection."""
    monkeypatch.setattr(contexts, "LOOK_SECONDS", 0.0)


def of(folder: PkiFolder, identity: ProcessIdentity) -> PkiContexts:
    """Return the contexts of one process."""
    path = folder.certificate_path(identity)
    return PkiContexts(PkiFiles(path, path.with_suffix(".key"), folder.trusted_path))


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = NODE.dns_name
) -> tuple[ProcessIdentity, ProcessIdentity, str | None]:
    """Connect over real sockets; return whom each end meets, and the TLS version.

    Raises the client's error, or the server's: with TLS 1.3 a client is done before it is refused.
    """
    near, far = socket.socketpair()
    met: list[ProcessIdentity] = []
    failed: list[OSError] = []

    def serve() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as held:
                met.append(peer_identity(held.getpeercert()))
                held.sendall(b"x")
        except OSError as error:
            failed.append(error)
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as held:
            held.recv(1)
            found, version = peer_identity(held.getpeercert()), held.version()
    finally:
        thread.join(10)
    if failed:
        raise failed[0]
    return found, met[0], version


def test_both_ends_prove_who_they_are(folder: PkiFolder) -> None:
    """Each end learns the other's identity; the version is TLS 1.3."""
    server, client = of(folder, NODE).server(), of(folder, GATEWAY).client()
    assert handshake(server, client) == (NODE, GATEWAY, "TLSv1.3")
    assert handshake(server, client, "not.known") == (NODE, GATEWAY, "TLSv1.3")


def stranger(folder: PkiFolder, tmp_path: Path) -> ssl.SSLContext:
    """Return the context of a process for which another authority of the same name vouches."""
    other = PkiFolder(tmp_path / "other")
    other.make("one cluster")
    path = other.issue(GATEWAY)
    return PkiContexts(PkiFiles(path, path.with_suffix(".key"), folder.trusted_path)).client()


def nobody(folder: PkiFolder, _tmp_path: Path) -> ssl.SSLContext:
    """Return a context without a certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(folder.trusted_path)
    return made


def outdated(folder: PkiFolder, tmp_path: Path) -> ssl.SSLContext:
    """Return the context of a process that speaks TLS 1.2."""
    made = of(folder, GATEWAY).client()
    made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_2
    del tmp_path
    return made


def expired(folder: PkiFolder, _tmp_path: Path) -> ssl.SSLContext:
    """Return the context of a gateway whose certificate is over."""
    folder.issue(GATEWAY, days=0)
    return of(folder, GATEWAY).client()


@pytest.mark.parametrize("caller", [stranger, nobody, outdated, expired])
def test_a_stranger_is_refused(
    folder: PkiFolder, tmp_path: Path, caller: Callable[[PkiFolder, Path], ssl.SSLContext]
) -> None:
    """Nobody speaks to a member for whom its authority does not vouch."""
    with pytest.raises(OSError, match=r"certificate|protocol|alert|version"):
        handshake(of(folder, NODE).server(), caller(folder, tmp_path))


def test_a_server_of_another_authority_is_refused(folder: PkiFolder, tmp_path: Path) -> None:
    """A caller tells nothing to whoever listens at a member's address."""
    other = PkiFolder(tmp_path / "other")
    other.make("one cluster")
    other.issue(NODE)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        handshake(of(other, NODE).server(), of(folder, GATEWAY).client())


def test_connections_are_made_at_every_step_of_a_rotation(folder: PkiFolder) -> None:
    """Processes that have read a step, and processes that have not, speak to one another."""
    contexts_of = {identity: of(folder, identity) for identity in (NODE, GATEWAY)}
    server = contexts_of[NODE].server()
    steps = []
    for _ in RotationStep:
        before = contexts_of[GATEWAY].client()
        steps.append(folder.rotate())
        assert handshake(server, before) == (NODE, GATEWAY, "TLSv1.3")
        after = contexts_of[GATEWAY].client()
        assert handshake(server, after) == (NODE, GATEWAY, "TLSv1.3")
    assert steps == list(RotationStep)
    assert contexts_of[GATEWAY].problem == contexts_of[NODE].problem == ""
    assert len(certificates_in(folder.trusted_path.read_bytes())) == 1
    assert len({one.issuer for one in folder.shown()}) == 1


def test_what_the_first_authority_issued_is_worth_nothing_after_a_rotation(
    folder: PkiFolder, tmp_path: Path
) -> None:
    """A stolen key of the authority, or of a process, is of no use any more."""
    stolen = tmp_path / "stolen.pem"
    gateway = folder.certificate_path(GATEWAY)
    stolen.write_bytes(gateway.read_bytes())
    stolen.with_suffix(".key").touch(0o600)
    stolen.with_suffix(".key").write_bytes(gateway.with_suffix(".key").read_bytes())
    for _ in RotationStep:
        folder.rotate()
    thief = PkiContexts(PkiFiles(stolen, stolen.with_suffix(".key"), folder.trusted_path))
    with pytest.raises(ssl.SSLError):
        handshake(of(folder, NODE).server(), thief.client())


def test_a_rotation_keeps_names_and_hosts(folder: PkiFolder) -> None:
    """Each certificate is issued anew for the same process under the same hosts."""
    before = {(one.identity, one.hosts) for one in folder.shown() if one.identity}
    assert before == {
        ("gateway", ()),
        ("member node-0", ("node-0.example", "127.0.0.1")),
    }
    for _ in RotationStep:
        folder.rotate()
        assert {(one.identity, one.hosts) for one in folder.shown() if one.identity} == before


@pytest.mark.parametrize("file", ["ca.pem", "ca.key", "ca-next.key", "node-0.pem", "node-0.key"])
@pytest.mark.parametrize("done", range(3))
def test_a_rotation_that_is_cut_short_goes_on(
    folder: PkiFolder, file: str, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file cannot be written, the next calls bring the rotation to its end."""
    for _ in range(done):
        folder.rotate()
    write, cut = os.open, folder.path / f".{file}.partial"

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if Path(path) == cut:
            raise OSError(28, "No space left on device")
        return write(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        try:
            folder.rotate()
        except PkiError as error:
            assert "No space left" in str(error)  # noqa: PT017 - some steps do not write the file
    first = folder.shown()[0].issuer
    for _ in range(4):
        if folder.rotate() is RotationStep.FINISH:
            break
    assert [one.issuer for one in folder.shown()].count(first) in {0, len(folder.shown())}
    assert handshake(of(folder, NODE).server(), of(folder, GATEWAY).client())[:2] == (NODE, GATEWAY)


def test_files_that_do_not_fit_change_nothing(folder: PkiFolder) -> None:
    """A process goes on with what it read before, says what is wrong, and takes the next files."""
    held = of(folder, NODE)
    key = folder.certificate_path(NODE).with_suffix(".key")
    right = key.read_bytes()
    key.write_bytes(folder.certificate_path(GATEWAY).with_suffix(".key").read_bytes())
    held.look()
    assert "do not fit" in held.problem
    assert handshake(held.server(), of(folder, GATEWAY).client())[0] == NODE
    key.unlink()
    held.look()
    assert "cannot be read" in held.problem
    key.touch(0o600)
    key.write_bytes(right)
    held.look()
    assert held.problem == ""


def test_the_end_of_the_first_certificate_is_told(folder: PkiFolder) -> None:
    """Whether it is the process's or the authority's."""
    day = dt.timedelta(days=1)
    folder.issue(NODE, days=10)
    ends = dt.datetime.fromtimestamp(of(folder, NODE).expires, dt.UTC)
    assert 9 * day < ends - dt.datetime.now(dt.UTC) <= 10 * day


def test_files_are_their_owner_s_alone(folder: PkiFolder) -> None:
    """The folder and every file of it."""
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.path.iterdir()} == {0o600}


def test_an_authority_is_not_replaced(folder: PkiFolder) -> None:
    """A second `make` would leave every certificate of the folder without an authority."""
    before = folder.trusted_path.read_bytes()
    with pytest.raises(PkiError, match="has an authority"):
        folder.make("another")
    assert folder.trusted_path.read_bytes() == before


@pytest.mark.parametrize(
    "text", ["", "Node", "node 0", "node-", "-node", "a..b", "a" * 201, "ca\n"]
)
def test_a_name_that_is_no_dns_name_is_refused(text: str) -> None:
    """Each is told with what a name is."""
    with pytest.raises(PkiError, match="member's name"):
        parse_identity(text)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("node-0.example",),
        ("node-0.member.inventory.internal", "gateway.inventory.internal"),
        ("node-0.owner.inventory.internal",),
        ("node-0.gateway.inventory.internal",),
        ("member.inventory.internal",),
        (".member.inventory.internal",),
        ("inventory.internal",),
    ],
)
def test_a_certificate_that_names_no_process_is_refused(names: tuple[str, ...]) -> None:
    """Or two processes."""
    with pytest.raises(PkiError, match="certificate"):
        identity_of(names)


def test_an_identity_is_read_as_it_is_written() -> None:
    """For every kind, and for members' names with dots."""
    for text in ("gateway", "health", "metrics", "assistant", "node-0", "node-0.inventory"):
        identity = parse_identity(text)
        assert identity_of([identity.dns_name, "elsewhere.example"]) == identity


def test_a_member_is_not_called_like_the_authority(folder: PkiFolder) -> None:
    """Its files would take the authority's place."""
    with pytest.raises(PkiError, match="called ca"):
        folder.issue(ProcessIdentity(Kind.MEMBER, "ca"))


def test_a_key_of_another_authority_issues_nothing(folder: PkiFolder) -> None:
    """What it would issue nobody trusts."""
    (folder.path / "ca.key").write_bytes(Authority.make("another").as_issued.key)
    with pytest.raises(PkiError, match="none of the trusted"):
        folder.issue(GATEWAY)


# What a later version of the library will refuse.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("noise", [0x01, 0xFF])
def test_a_certificate_that_is_damaged_anywhere_is_read_or_refused(noise: int) -> None:
    """A certificate may parse, and its names or its key may not."""
    authority = Authority.make("authority")
    issued = authority.issue(parse_identity("node-0"), ("localhost", "127.0.0.1"))
    whole = certificates_in(issued.certificate)[0].public_bytes(Encoding.DER)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= noise
        pem = ssl.DER_cert_to_PEM_cert(bytes(changed)).encode()
        with suppress(PkiError):
            dns_names_of(certificates_in(pem)[0])
        with suppress(PkiError):
            Authority.read(certificates_in(pem), authority.as_issued.key)
