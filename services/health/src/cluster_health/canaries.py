"""Writes that change nothing and linearizable reads, through the gateway as clients make them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from inventory_client import AsyncInventory, ClientCertificate, InventoryError, MachineCertificate
from pki.identities import Kind, ProcessIdentity
from service.settings import TlsSettings

from cluster_health.facts import Canary
from cluster_health.metrics import CanaryCounts

USERNAME = "health"
GATEWAY_NAME = ProcessIdentity(Kind.GATEWAY).dns_name
CANARY_SECONDS = 2.0
CALL_SECONDS_MAX = 3.0
LEARN_SECONDS = 5.0

_log = structlog.get_logger()


class Canaries:
    """Tries again and again, and keeps what became of the newest try of each kind.

    - A try begins every CANARY_SECONDS, or when the one before has ended.
    - `addresses` are the members' as the gateway last had them, by name.
    """

    def __init__(self, gateway: str, settings: TlsSettings, counts: CanaryCounts) -> None:
        """Try as the machine user `health`, which the certificate of these settings names."""
        self._inventory = AsyncInventory(
            gateway,
            MachineCertificate(USERNAME),
            CALL_SECONDS_MAX,
            ignore_proxy=True,
            ca_file=settings.tls_trusted_file,
            certificate=ClientCertificate(
                settings.tls_certificate_file, settings.tls_key_file, GATEWAY_NAME
            ),
        )
        self._counts = counts
        self.writes: Canary | None = None
        self.reads: Canary | None = None
        self.addresses: dict[str, str] = {}

    async def run(self) -> None:
        """Go on for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(CANARY_SECONDS, self.write))
            group.create_task(self._again(CANARY_SECONDS, self.read))
            group.create_task(self._again(LEARN_SECONDS, self.learn))

    async def close(self) -> None:
        """End the connection."""
        await self._inventory.close()

    async def write(self) -> None:
        """Commit an entry that changes nothing."""
        self.writes = await self._try("write", self._inventory.probe)

    async def read(self) -> None:
        """Read who this is, linearizably."""
        self.reads = await self._try("read", self._inventory.current_user)

    async def learn(self) -> None:
        """Ask the gateway where the members are: some may have joined since the first ones."""
        try:
            status = await self._inventory.status()
        except InventoryError:
            return
        self.addresses = {one.name: one.address for one in status.members if one.address}

    async def _again(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            started = time.monotonic()
            await work()
            await asyncio.sleep(max(0.0, seconds - (time.monotonic() - started)))

    async def _try(self, what: str, call: Callable[[], Awaitable[object]]) -> Canary:
        started = time.monotonic()
        ok, why = True, ""
        try:
            await call()
        except InventoryError as error:
            ok, why = False, str(error)
            _log.warning("canary_failed", canary=what, why=why)
        seconds = time.monotonic() - started
        self._counts.count(what, seconds, ok=ok)
        return Canary(ok, seconds, why)
