"""The gateways' links: requests in as events, replies out."""

from collections.abc import Callable

import structlog
from inventory.raft.v1 import forward_pb2
from link.connection import Link
from link.errors import FrameError, LinkError
from link.frames import FrameKind
from link.hello import parsed

from inventory_node.core import events

REQUESTS_MAX = 2_048  # of one frame; a gateway sends a quarter

Post = Callable[[events.Event], None]

_log = structlog.get_logger()


class GatewaySession:
    """One gateway's link: a `LinkUser`.

    - Replies to a gateway that does not read are bounded as every link's frames are. Past the bound
      the link ends, so that the gateway repeats its requests.
    """

    def __init__(self, number: int, gateways: "Gateways") -> None:
        """Belong to `gateways` under a number."""
        self._number = number
        self._gateways = gateways
        self._link: Link | None = None

    def __len__(self) -> int:
        """How many frames wait."""
        return self._link.waiting_frames if self._link is not None else 0

    def reply(self, response: forward_pb2.ForwardResponse) -> None:
        """Gather a frame for the end of the turn."""
        if self._link is not None:
            self._link.send(FrameKind.RESPONSE, response.SerializeToString())

    def flush(self) -> None:
        """Write what was gathered."""
        if self._link is not None:
            self._link.flush()

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link
        self._gateways.opened(self._number, self)

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows REQUEST alone
        request = parsed(forward_pb2.ForwardRequest, payload)
        count = len(request.proposals) + len(request.questions)
        if count > REQUESTS_MAX:
            raise FrameError(f"a frame carries {count} requests")
        self._gateways.received(self._number, request)

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        _log.debug("gateway_lost", session=self._number, reason=str(error))
        self._gateways.closed(self._number)


class Gateways:
    """The gateway-facing half of the transport port.

    - A session's number is never used again: a reply to an ended session reaches nobody.
    """

    def __init__(self, post: Post) -> None:
        """Start with no session."""
        self._post = post
        self._sessions: dict[int, GatewaySession] = {}
        self._replied: set[int] = set()  # sessions with frames of this turn
        self._last = 0
        self.proposals = 0
        self.questions = 0

    @property
    def waiting_frames(self) -> list[int]:
        """How many frames wait, for each session."""
        return [len(session) for session in list(self._sessions.values())]

    def session(self) -> GatewaySession:
        """Return the user of another gateway's link."""
        self._last += 1
        return GatewaySession(self._last, self)

    def reply(self, session: int, response: forward_pb2.ForwardResponse) -> None:
        """Answer on a session, with the next `flush`; nothing happens when the session is gone."""
        known = self._sessions.get(session)
        if known is not None:
            known.reply(response)
            self._replied.add(session)

    def flush(self) -> None:
        """Send a turn's replies."""
        for number in self._replied:
            session = self._sessions.get(number)
            if session is not None:
                session.flush()
        self._replied.clear()

    # Called by the sessions.

    def opened(self, number: int, session: GatewaySession) -> None:
        """Have a session."""
        self._sessions[number] = session
        self._post(events.SessionOpened(number))

    def received(self, number: int, request: forward_pb2.ForwardRequest) -> None:
        """Take a session's requests."""
        self.proposals += len(request.proposals)
        self.questions += len(request.questions)
        self._post(events.Forwarded(number, request))

    def closed(self, number: int) -> None:
        """Have a session no more."""
        del self._sessions[number]
        self._post(events.SessionClosed(number))
