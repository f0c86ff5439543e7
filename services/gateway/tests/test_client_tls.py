"""Clients and a gateway over real sockets: who trusts whom by which certificate."""

import asyncio
import datetime as dt
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
import wire.tls
from chaos.ports import free_port
from gateway.runtime.assistant import Assistant
from gateway.runtime.server import GatewayServer
from inventory_client import AsyncInventory, InventoryError, Refused, Unavailable
from inventory_client.calls import TLS
from pki import authority
from pki.folder import PkiFolder, RotationStep
from pki.identities import Kind, ProcessIdentity
from service.faults import Faults
from service.intake import open_gate
from service.process import server_tls_in
from wire.tls import SENTENCES, TlsFiles, TlsTrouble

if TYPE_CHECKING:
    from gateway.runtime.api import Api

IDENTITY = ProcessIdentity(Kind.GATEWAY)
THROUGH = "This inventory runs without an assistant."  # an answer that needs no member
HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Place:
    """A folder with an authority and a gateway's certificate."""

    folder: PkiFolder

    @classmethod
    def make(cls, path: Path, hosts: tuple[str, ...] = HERE, days: int = 1) -> "Place":
        """Make both."""
        made = cls(PkiFolder(path))
        made.folder.make("an authority")
        made.folder.issue(IDENTITY, hosts, days)
        return made

    @property
    def ca_file(self) -> Path:
        """Whom a client trusts."""
        return self.folder.trusted_path

    @property
    def files(self) -> TlsFiles:
        """What the gateway has."""
        certificate = self.folder.certificate_path(IDENTITY)
        return TlsFiles(certificate=certificate, key=certificate.with_suffix(".key"))


@asynccontextmanager
async def gateway(files: TlsFiles | None) -> AsyncIterator[str]:
    """Run a gateway's server without members; give its address."""
    address = f"127.0.0.1:{free_port()}"
    api = cast("Api", SimpleNamespace(handlers=tuple, gate=SimpleNamespace(admitted=open_gate)))
    tls = server_tls_in(files) if files is not None else None
    served = GatewayServer({address: tls}, api, Assistant(""), Faults())
    await served.start()
    stopped = asyncio.Event()
    serving = asyncio.ensure_future(served.serve_until(stopped))
    try:
        yield address
    finally:
        stopped.set()
        await serving


async def answer(
    address: str, ca_file: Path | None = None, *, insecure: bool = False
) -> InventoryError:
    """Return what a client is told."""
    async with AsyncInventory(address, timeout=1, insecure=insecure, ca_file=ca_file) as inventory:
        with pytest.raises(InventoryError) as told:
            await inventory.ask("what?")
    return told.value


def told(
    files: TlsFiles | None, ca_file: Path | None = None, *, insecure: bool = False
) -> InventoryError:
    """Run a gateway and a client; return what the client is told."""

    async def work() -> InventoryError:
        async with gateway(files) as address:
            return await answer(address, ca_file, insecure=insecure)

    return asyncio.run(asyncio.wait_for(work(), 30))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Make what is as it should be."""
    return Place.make(tmp_path_factory.mktemp("good") / "pki")


def test_the_right_authority(good: Place) -> None:
    """Lets the client through, on this machine too."""
    error = told(good.files, good.ca_file)
    assert isinstance(error, Refused)
    assert str(error) == THROUGH


@pytest.mark.parametrize("insecure", [False, True])
def test_plain_text_on_this_machine(*, insecure: bool) -> None:
    """Needs no word, and takes one."""
    assert str(told(None, insecure=insecure)) == THROUGH


def expect(error: InventoryError, trouble: TlsTrouble) -> None:
    """Check that a client was told why nobody was reached."""
    assert isinstance(error, Unavailable)
    assert error.details[TLS] == trouble
    assert str(error) == SENTENCES[trouble]


def test_the_wrong_authority(good: Place, tmp_path: Path) -> None:
    """Vouches for nobody."""
    other = Place.make(tmp_path / "other")
    expect(told(good.files, other.ca_file), TlsTrouble.UNTRUSTED)


def test_another_name(tmp_path: Path) -> None:
    """Is another gateway's."""
    place = Place.make(tmp_path / "pki", ("elsewhere.example",))
    expect(told(place.files, place.ca_file), TlsTrouble.OTHER_NAME)


def test_a_certificate_that_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused by the client."""
    monkeypatch.setattr(authority, "EARLIER", dt.timedelta(days=9))
    place = Place.make(tmp_path / "pki", days=-1)
    expect(told(place.files, place.ca_file), TlsTrouble.EXPIRED)


def test_tls_to_plain_text(good: Place) -> None:
    """Is told what the gateway speaks."""
    expect(told(None, good.ca_file), TlsTrouble.PLAIN_TEXT)


def test_plain_text_to_tls(good: Place) -> None:
    """Is told what the gateway may speak."""
    expect(told(good.files), TlsTrouble.CLOSED)
    expect(told(good.files, insecure=True), TlsTrouble.CLOSED)


def test_a_gateway_elsewhere_is_called_by_tls() -> None:
    """A password leaves by plain text only where a program says so."""

    def speaks_tls(address: str, *, insecure: bool = False) -> bool:
        return AsyncInventory(address, insecure=insecure)._shared._tls is not None

    for address in ("inventory.example:443", "10.0.0.1:50051", "dns:///inventory.example:443"):
        assert speaks_tls(address)
        assert not speaks_tls(address, insecure=True)
    for address in ("127.0.0.1:50051", "[::1]:50051", "localhost:50051", "unix:///tmp/inventory"):
        assert not speaks_tls(address)


def test_a_ca_file_that_cannot_be_used(good: Place, tmp_path: Path) -> None:
    """Is refused where the client is made, and so is a CA file for plain text."""
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (nonsense, tmp_path / "nowhere", tmp_path, fifo):
        with pytest.raises(ValueError, match=str(path)):
            AsyncInventory("127.0.0.1:1", ca_file=path)
    with pytest.raises(ValueError, match="insecure"):
        AsyncInventory("127.0.0.1:1", insecure=True, ca_file=good.ca_file)


async def serial_of(address: str, place: Place) -> int:
    """Return the number of the certificate that a fresh connection is shown."""
    context = ssl.create_default_context(cafile=place.ca_file)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return int(found, 16)


def test_certificates_change_under_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole rotation of authority and certificate costs no client an error."""
    monkeypatch.setattr(wire.tls, "LOOK_SECONDS", 0)
    place = Place.make(tmp_path / "pki")

    async def work() -> None:
        async with (
            gateway(place.files) as address,
            AsyncInventory(address, timeout=5, ca_file=place.ca_file) as inventory,
        ):
            ended = asyncio.Event()
            answers: list[str] = []

            async def ask_on() -> None:
                while not ended.is_set():
                    try:
                        await inventory.ask("what?")
                    except InventoryError as error:
                        answers.append(str(error))

            asking = asyncio.ensure_future(ask_on())
            serials = [await serial_of(address, place)]
            steps = []
            for _ in RotationStep:
                steps.append(place.folder.rotate(1))
                serials.append(await serial_of(address, place))
                assert str(await answer(address, place.ca_file)) == THROUGH
            ended.set()
            await asking
            assert steps == list(RotationStep)
            assert serials[0] == serials[1] != serials[2] == serials[3]
            assert set(answers) == {THROUGH}

    asyncio.run(asyncio.wait_for(work(), 30))


def test_files_that_do_not_fit_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key without its certificate, nonsense and a missing file are not taken over."""
    monkeypatch.setattr(wire.tls, "LOOK_SECONDS", 0)
    place, other = Place.make(tmp_path / "pki"), Place.make(tmp_path / "other")
    certificate, key = place.files.certificate, place.files.key
    assert certificate is not None
    assert key is not None
    assert other.files.key is not None
    contents = (other.files.key.read_bytes(), b"nonsense", None)

    async def work() -> None:
        async with gateway(place.files) as address:
            serial = await serial_of(address, place)
            for content in contents:
                key.unlink(missing_ok=True)
                if content is not None:
                    key.write_bytes(content)
                assert await serial_of(address, place) == serial
                assert str(await answer(address, place.ca_file)) == THROUGH

    asyncio.run(asyncio.wait_for(work(), 30))


async def run_cli(place: Place | None, *options: str) -> tuple[int, str]:
    """Ask by the command line; return its exit status and what it says."""
    async with gateway(place.files if place is not None else None) as address:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "inventory_cli", "--address", address, "--timeout", "1",
            *options, "ask", "what?",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"INVENTORY_TOKEN_FILE": "/nonexistent/token"},
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


@pytest.mark.slow
def test_the_command_line(good: Place, tmp_path: Path) -> None:
    """Its exit statuses, and what it says is to be done."""
    other = Place.make(tmp_path / "other")
    mine, foreign = (("--ca-file", str(place.ca_file)) for place in (good, other))
    runs = (
        (good, mine, 1, THROUGH),
        (None, ("--insecure",), 1, THROUGH),
        (good, foreign, 4, "--ca-file FILE"),
        (good, (), 4, "--ca-file FILE COMMAND"),
        (None, mine, 4, "--insecure COMMAND"),
        (None, ("--insecure", *mine), 2, "insecure"),
    )

    async def work() -> list[tuple[int, str]]:
        return await asyncio.gather(*(run_cli(place, *options) for place, options, *_ in runs))

    for (status, said), (*_, status_expected, words) in zip(
        asyncio.run(asyncio.wait_for(work(), 120)), runs, strict=True
    ):
        assert status == status_expected, said
        assert words in said
