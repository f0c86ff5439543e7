"""Whoever reaches a member's port: with a stolen certificate, with none, or in a member's place."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pkitest
import pytest
from chaos.callers import opening
from chaos.cluster import ProcessCluster
from chaos.nodes import Nodes
from inventory.raft.v1 import link_pb2
from inventory_cli.up.layout import Layout
from inventory_client import Inventory, InventoryError, Refused
from link.asking import Questions
from link.dialing import dial
from link.errors import LinkRefused, TlsFailed
from link.frames import MAGIC, FrameDecoder, FrameKind
from link.purposes import Purpose
from pki.contexts import PkiContexts, PkiFiles
from pki.identities import parse_identity

pytestmark = pytest.mark.slow
SECONDS_MAX = 30.0
CONNECTIONS = 5
PAUSE_SECONDS = 0.5  # there are 150 units


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Run a member that is a cluster by itself."""
    with Nodes(tmp_path) as cluster:
        cluster.start("node-0", INVENTORY_NODE_MEMBERS=f"node-0={cluster.addresses['node-0']}")
        cluster.leader()
        yield cluster


def call(nodes: Nodes, files: PkiFiles, purpose: Purpose.ValueType, name: str = "") -> None:
    """Open a link to the member, by a name that need not be the certificate's; raise LinkError."""

    async def called() -> None:
        introduction = opening("node-0", files, purpose)
        if name:
            introduction = replace(introduction, caller=link_pb2.Caller(name=name, member_id=1))
        link, _ = await dial(nodes.addresses["node-0"], introduction, Questions(), SECONDS_MAX)
        link.close()

    asyncio.run(called())


def test_a_stolen_gateway_certificate_speaks_no_raft(nodes: Nodes) -> None:
    """Nor takes a snapshot, nor carries another's bytes; what it is for, it may."""
    call(nodes, nodes.gateway, link_pb2.PURPOSE_GATEWAY)
    for purpose in (
        link_pb2.PURPOSE_PEER,
        link_pb2.PURPOSE_SNAPSHOT,
        link_pb2.PURPOSE_CARRIED,
        link_pb2.PURPOSE_WATCH,
    ):
        with pytest.raises(LinkRefused, match="certificate of gateway allows no link"):
            call(nodes, nodes.gateway, purpose, "node-1")
    nodes.until_said("node-0", "certificate of gateway allows no link")


def test_a_member_s_certificate_speaks_for_no_other_member(nodes: Nodes) -> None:
    """Neither under the name of another one, nor as the member that it calls."""
    own = nodes.pki.keep(parse_identity("node-1"))
    for name in ("node-0", "node-2"):
        with pytest.raises(LinkRefused, match="certificate of member node-1 cannot speak for"):
            call(nodes, own, link_pb2.PURPOSE_PEER, name)
    with pytest.raises(LinkRefused, match="allows no link"):
        call(nodes, own, link_pb2.PURPOSE_GATEWAY)


def test_a_certificate_that_is_not_right_gets_nowhere(nodes: Nodes) -> None:
    """Of another cluster's authority, or expired; each line of the log is bounded."""
    foreign = replace(
        pkitest.folder("another").keep(parse_identity("node-1")), trusted=nodes.pki.trusted_path
    )
    nodes.pki.issue(parse_identity("node-2"), days=0)
    expired = nodes.pki.files(parse_identity("node-2"))
    for _ in range(20):
        for files in (foreign, expired):
            with pytest.raises(TlsFailed, match="does not accept this end or its certificate"):
                call(nodes, files, link_pb2.PURPOSE_PEER)
    said = nodes.said("node-0")
    assert 0 < said.count("caller_refused") < 10
    assert "not accepted here" in said


class Thief:
    """Listens in a dead member's place, with a certificate of its own, and keeps what comes."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        """Listen on host:port."""
        host, _, port = address.rpartition(":")
        self.heard: list[bytes] = []  # of each connection, in clear
        self._context = context
        self._listener = socket.create_server((host, int(port)))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            heard = b""
            try:
                with self._context.wrap_socket(connection, server_side=True) as held:
                    while data := held.recv(4_096):
                        heard += data
            except OSError:
                connection.close()
            self.heard.append(heard)

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS_MAX)


def kinds_in(heard: bytes) -> list[FrameKind]:
    """Return the kinds of the frames that were said."""
    decoder = FrameDecoder(frozenset(FrameKind))
    decoder.feed(heard.removeprefix(MAGIC))
    kinds = []
    while (frame := decoder.next_frame()) is not None:
        kinds.append(frame[0])
    return kinds


@pytest.mark.parametrize("certificate", ["another authority", "gateway", "node-1"])
def test_who_binds_a_dead_member_s_port_collects_nothing(tmp_path: Path, certificate: str) -> None:
    """Nor does whoever has an admin add a member at an address of their own."""
    with ProcessCluster(tmp_path / "data") as cluster:
        dead = "node-2"
        shown = cluster.watcher.status().members
        address = next(one.address for one in shown if one.name == dead)
        cluster.kill(dead)
        pki = Layout(tmp_path / "data").pki
        files = (
            pkitest.folder("another").keep(parse_identity(dead))
            if certificate == "another authority"
            else pki.files(parse_identity(certificate))
        )
        context = PkiContexts(replace(files, trusted=pki.trusted_path)).server()
        thief = Thief(address, context)
        try:
            with pytest.raises(Refused, match=r"no member answers|answers at the address"):
                cluster.watcher.add_member("node-9", address)
            while len(thief.heard) < CONNECTIONS:
                cluster.watcher.status()
        finally:
            thief.close()
    for heard in thief.heard:
        assert set(kinds_in(heard)) <= {FrameKind.REFUSED}
        assert certificate != "another authority" or not heard


class Load:
    """A customer who orders one unit after the other, in a thread."""

    def __init__(self, address: str) -> None:
        """Order nothing yet."""
        self.errors: list[InventoryError] = []
        self.orders = 0
        self._address = address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._order)

    def _order(self) -> None:
        with Inventory(self._address, auth=("Gayathri", "password1"), timeout=60) as customer:
            while not self._stop.is_set():
                try:
                    customer.order_item(3, 1)
                except InventoryError as error:
                    self.errors.append(error)
                    return
                self.orders += 1
                self._stop.wait(PAUSE_SECONDS)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        """Wait until another order is done, or one has failed."""
        before = self.orders
        while self.orders < before + 2 and not self.errors:
            self._stop.wait(PAUSE_SECONDS)


def test_an_authority_is_rotated_under_load(tmp_path: Path) -> None:
    """No client sees an error, and at the end no old certificate gets in anywhere."""
    with ProcessCluster(tmp_path / "data") as cluster:
        pki = Layout(tmp_path / "data").pki
        old = tmp_path / "old"
        old.mkdir(mode=0o700)
        stolen = {}
        for name in ("gateway", "node-1"):
            files = pki.files(parse_identity(name))
            (old / f"{name}.pem").write_bytes(files.certificate.read_bytes())
            (old / f"{name}.key").touch(0o600)
            (old / f"{name}.key").write_bytes(files.key.read_bytes())
            stolen[name] = PkiFiles(old / f"{name}.pem", old / f"{name}.key", pki.trusted_path)
        with Load(cluster.address) as load:
            for step in range(3):
                pki.rotate()
                # All links to this member are opened anew; node-0 and the gateway go on.
                cluster.kill(f"node-{step % 2 + 1}")
                cluster.start(f"node-{step % 2 + 1}")
                cluster.wait_until_whole()
                load.wait_for_more()
        assert not load.errors
        for member in cluster.watcher.status().members:
            for name, purpose in (
                ("gateway", link_pb2.PURPOSE_GATEWAY),
                ("node-1", link_pb2.PURPOSE_PEER),
            ):
                introduction = opening(member.name, stolen[name], purpose)
                with pytest.raises(TlsFailed, match="does not accept this end"):
                    asyncio.run(dial(member.address, introduction, Questions(), SECONDS_MAX))
            assert member.reachable
