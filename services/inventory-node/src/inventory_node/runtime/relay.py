"""Relay: carries a gateway's link on to a member that the gateway cannot reach itself.

If only the way between two machines is cut, every member is alive and the leader leads, but the
gateway reaches no leader. Any member that the gateway reaches can relay the link. The gateway and
the leader speak TLS inside the relayed bytes (`link.carrying`). So the relaying member can neither
read what they say nor speak as either of them.
"""

import asyncio
from collections.abc import Callable

from inventory.raft.v1 import link_pb2
from link.connection import Link, LinkUser
from link.dialing import dial
from link.errors import FrameError, HelloRefused, LinkError, Reason
from link.frames import FrameKind

from inventory_node.runtime.peers import Local

CONNECT_SECONDS_MAX = 2.0
WAITING_BYTES_MAX = 32 << 10  # the beginning of a handshake has far fewer
RELAYS_MAX = 64  # at a time; more than there are gateways


class RelayEnd:
    """One of a relay's two links: a `LinkUser`. What comes here leaves at the other end.

    - When one link ends, the other ends.
    - What comes before the other link is open waits for it, `WAITING_BYTES_MAX` bytes at most.
    """

    def __init__(self, on_opened: Callable[[], object]) -> None:
        """Call `on_opened` as soon as the link is open."""
        self.other: RelayEnd | None = None
        self.link: Link | None = None
        self.is_over = False
        self._on_opened = on_opened
        self._waiting = b""

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self.link = link
        if self.other is not None and self.other.is_over:
            link.close()
            return
        if self.other is not None and self.other._waiting:  # noqa: SLF001 - the same class
            self.send(self.other._waiting)  # noqa: SLF001 - the same class
            self.other._waiting = b""  # noqa: SLF001 - the same class
        self._on_opened()

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # both purposes allow CARRIED alone
        if self.other is not None and self.other.link is not None:
            self.other.send(payload)
            return
        self._waiting += payload
        if len(self._waiting) > WAITING_BYTES_MAX:
            raise FrameError("too many bytes came before the member was reached")

    def send(self, payload: bytes) -> None:
        """Let bytes leave here."""
        if self.link is not None:
            self.link.send(FrameKind.CARRIED, payload)
            self.link.flush()

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        self.is_over = True
        if self.other is not None:
            self.other.end(str(error))

    def end(self, problem: str) -> None:
        """End this link: the other is gone."""
        if self.link is not None:
            self.link.end(HelloRefused(Reason.REASON_RECIPIENT, f"the relay ends: {problem}"))


class Relays:
    """The links that this member carries on.

    - A relayed link is for no further relay, so there are no circles.
    - At most `RELAYS_MAX` are carried at a time, to members that this member knows by name.
    """

    def __init__(self, own: Local, address_of: Callable[[str], str]) -> None:
        """Carry nothing yet; `address_of` returns a member's address by its name, or nothing."""
        self._own = own
        self._address_of = address_of
        self._group = asyncio.TaskGroup()
        self._count = 0

    async def run(self) -> None:
        """Carry links on, for ever."""
        async with self._group:
            await asyncio.Event().wait()

    def carry(self, hello: link_pb2.LinkHello) -> LinkUser:
        """Return the user of a gateway's link that is to be carried on; raise HelloRefused."""
        address = self._address_of(hello.relay_to)
        if not address:
            raise HelloRefused(
                Reason.REASON_RECIPIENT, f"{hello.relay_to} is no member that is known here"
            )
        if self._count >= RELAYS_MAX:
            raise HelloRefused(Reason.REASON_BUSY, f"{RELAYS_MAX} links are carried on already")
        far = RelayEnd(lambda: None)
        near = RelayEnd(
            lambda: self._group.create_task(self._connect(hello.relay_to, address, near, far))
        )
        near.other, far.other = far, near
        return near

    async def _connect(self, name: str, address: str, near: RelayEnd, far: RelayEnd) -> None:
        """Reach the member, and wait until the relay ends."""
        self._count += 1
        introduction = self._own.introduction(link_pb2.PURPOSE_CARRIED, name)
        try:
            link, _ = await dial(address, introduction, far, CONNECT_SECONDS_MAX)
            await asyncio.shield(link.ended)
        except LinkError as error:
            near.end(f"{name} is not reached from here ({error})")
        finally:
            self._count -= 1
