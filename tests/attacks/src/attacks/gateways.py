"""A gateway in a stranger's hands: it sends a member more commands than the member can propose."""

import asyncio
import base64
import json
import time
from collections import Counter

import uuid_utils
from chaos.callers import opening
from inventory.raft.v1 import forward_pb2, link_pb2, raw_pb2
from inventory.v1 import inventory_pb2
from link.connection import Link
from link.dialing import dial
from link.errors import LinkError
from link.frames import FrameKind
from link.hello import parsed
from pki.contexts import PkiFiles

COMMANDS_PER_FRAME = 512
COMMANDS_IN_FLIGHT = 40 * COMMANDS_PER_FRAME  # more than a leader lets wait
DIAL_SECONDS_MAX = 5.0


def _frame(token: str, item: int) -> bytes:
    """Return a frame of orders by the user of a token."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    frame = forward_pb2.ForwardRequest()
    for number in range(COMMANDS_PER_FRAME):
        order = inventory_pb2.Mutation()
        order.order_item.request_id = str(uuid_utils.uuid7())
        order.order_item.item_id, order.order_item.quantity = item, 1
        command = raw_pb2.RawCommand(
            user_id=int(claims["sub"]), epoch=claims["epoch"], mutation=order.SerializeToString()
        )
        frame.proposals.add(id=number + 1, command=command.SerializeToString())
    return frame.SerializeToString()


class FloodingGateway:
    """Keeps COMMANDS_IN_FLIGHT commands unanswered on one link: a `LinkUser`.

    It sends the same frame again and again: what counts is that every command enters the log.
    """

    def __init__(self, token: str, item: int, counts: Counter[str]) -> None:
        """Order as the user of a token."""
        self._frame = _frame(token, item)
        self._counts = counts
        self._link: Link | None = None
        self._unanswered = 0

    def _fill(self) -> None:
        if self._link is None:
            return
        while self._unanswered <= COMMANDS_IN_FLIGHT - COMMANDS_PER_FRAME:
            self._link.send(FrameKind.REQUEST, self._frame)
            self._unanswered += COMMANDS_PER_FRAME
        self._link.flush()

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link
        self._fill()

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind
        for reply in parsed(forward_pb2.ForwardResponse, payload).replies:
            self._unanswered -= 1
            what = forward_pb2.Retry.Name(reply.retry) if reply.retry else "answered"
            self._counts[what] += 1
        self._fill()

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        del error
        self._link = None


async def flood(
    name: str, address: str, files: PkiFiles, user: FloodingGateway, until: float
) -> None:
    """Flood one member until the time is over."""
    introduction = opening(name, files, link_pb2.PURPOSE_GATEWAY)
    link, _ = await dial(address, introduction, user, DIAL_SECONDS_MAX)
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    link.close()
