"""A link to every member, kept open: requests go out, replies and leadership come back.

If the leader is alive and only the way to it is cut, another member relays the gateway's link to
the leader until the leader can be reached straight again. Each further try goes by the next member,
since the member tried before may be cut off from the leader as well.
"""

import asyncio
import platform
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog
from inventory.raft.v1 import forward_pb2, link_pb2, membership_pb2
from link.asking import LinkAsker, Questions
from link.carrying import dial_through
from link.connection import Link
from link.dialing import dial
from link.errors import FrameError, LinkError
from link.frames import FrameKind
from link.hello import Introduction, parsed
from link.purposes import Purpose
from pki.contexts import PkiContexts
from service.tasks import until_first
from wire.addresses import is_address, is_name

from gateway.router import Router

RECONNECT_SECONDS = 0.1
ASK_SECONDS_MAX = 1.0
CONNECT_SECONDS_MAX = 2.0
STRAIGHT_SECONDS_MAX = 0.3  # then a detour is tried

_log = structlog.get_logger()


def introduction(
    contexts: PkiContexts, purpose: Purpose.ValueType, recipient: str, relay_to: str = ""
) -> Introduction:
    """Return what this gateway says as it calls the member `recipient`."""
    return Introduction(
        contexts=contexts,
        purpose=purpose,
        caller=link_pb2.Caller(name=platform.node()),
        recipient=recipient,
        relay_to=relay_to,
    )


class LeaderSession:
    """One link for requests to a member, straight or relayed: a `LinkUser`.

    - The router knows the link from the member's first frame on, which says whom it follows.
    """

    def __init__(
        self, member: str, by: str, router: Router, schedule_pump: Callable[[], None]
    ) -> None:
        """Carry requests to `member`; `by`: the relaying member, empty for none."""
        self._link: Link | None = None
        self.is_known = False  # to the router
        self.by = by
        self._member = member
        self._router = router
        self._schedule_pump = schedule_pump

    def send(self, frame: forward_pb2.ForwardRequest) -> None:
        """Send a frame; the router bounds how many frames there are."""
        if self._link is not None:
            self._link.send(FrameKind.REQUEST, frame.SerializeToString())
            self._link.flush()

    def close(self) -> None:
        """End the link."""
        if self._link is not None:
            self._link.close()

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows RESPONSE alone
        response = parsed(forward_pb2.ForwardResponse, payload)
        for located in response.leadership.members:
            if not is_name(located.name) or not is_address(located.address):
                raise FrameError("a member has no name or address that can be used")
        if not self.is_known:
            self.is_known = True
            self._router.link_opened(self._member)
            _log.info("link_opened", member=self._member, by=self.by)
        self._router.response_received(self._member, response)
        self._schedule_pump()

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        self._link = None
        if self.is_known:
            self.is_known = False
            self._router.link_closed(self._member)
            self._schedule_pump()
            _log.info("link_closed", member=self._member, reason=str(error))


class MemberLink:
    """One member: the link for requests, kept open, and questions."""

    def __init__(self, name: str, address: str, contexts: PkiContexts) -> None:
        """Open nothing before `run`."""
        self.name = name
        self.address = address
        self._contexts = contexts
        self._session: LeaderSession | None = None
        self._asker = LinkAsker(
            address, lambda: introduction(contexts, link_pb2.PURPOSE_QUESTION, name)
        )
        self._detours = 0  # tried since the member was last reached straight

    @property
    def is_straight(self) -> bool:
        """Whether the link is open, and no other member relays it."""
        return self._session is not None and self._session.is_known and not self._session.by

    def send(self, frame: forward_pb2.ForwardRequest) -> None:
        """Send a frame; it is lost without a link."""
        if self._session is not None:
            self._session.send(frame)

    async def run(
        self,
        router: Router,
        schedule_pump: Callable[[], None],
        detours: Callable[[str], "Sequence[MemberLink]"],
    ) -> None:
        """Keep the link open, for ever; `schedule_pump` is called after each run of events.

        `detours` returns, by a member's name, the links of the members that may relay its link.
        """
        while True:
            try:
                await self._open(router, schedule_pump, detours(self.name))
            except LinkError as error:
                _log.debug("link_failed", member=self.name, error=str(error))
            finally:
                self._end_session()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _open(
        self, router: Router, schedule_pump: Callable[[], None], detours: "Sequence[MemberLink]"
    ) -> None:
        """Open the link, straight or relayed by another member, and serve it until it ends."""
        self._session = LeaderSession(self.name, "", router, schedule_pump)
        seconds = STRAIGHT_SECONDS_MAX if detours else CONNECT_SECONDS_MAX
        try:
            own = introduction(self._contexts, link_pb2.PURPOSE_GATEWAY, self.name)
            link, _ = await dial(self.address, own, self._session, seconds)
        except LinkError:
            if not detours:
                raise
        else:
            self._detours = 0
            await wait_for_end(link)
            return
        by = detours[self._detours % len(detours)]
        self._detours += 1
        self._session = LeaderSession(self.name, by.name, router, schedule_pump)
        relay = introduction(self._contexts, link_pb2.PURPOSE_RELAY, by.name, self.name)
        own = introduction(self._contexts, link_pb2.PURPOSE_GATEWAY, self.name)
        link = await dial_through(by.address, relay, own, self._session, CONNECT_SECONDS_MAX)
        await until_first(wait_for_end(link), self._wait_for_straight())

    async def _wait_for_straight(self) -> None:
        """Return once the member can be reached straight."""
        while True:
            question = introduction(self._contexts, link_pb2.PURPOSE_QUESTION, self.name)
            try:
                link, _ = await dial(self.address, question, Questions(), CONNECT_SECONDS_MAX)
            except LinkError:
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                link.close()
                return

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    async def get_member(self) -> forward_pb2.GetMemberResponse | None:
        """Return how the member describes itself; None if it does not answer in time."""
        question = link_pb2.LinkQuestion(get_member=forward_pb2.GetMemberRequest())
        try:
            answer = await self._asker.ask(question, ASK_SECONDS_MAX)
        except LinkError:
            return None
        return answer.get_member if answer.HasField("get_member") else None

    async def change_members(
        self, request: membership_pb2.ChangeRequest, seconds_max: float
    ) -> membership_pb2.ChangeResponse | None:
        """Ask the member to change the members; return None if it does not answer in time."""
        try:
            answer = await self._asker.ask(link_pb2.LinkQuestion(change=request), seconds_max)
        except LinkError:
            return None
        return answer.change if answer.HasField("change") else None

    def close(self) -> None:
        """End the links."""
        self._end_session()
        self._asker.close()


class MemberLinks:
    """The `Links` port: a link to each member.

    - When a member moves to another address, a link to that address replaces its link.
    """

    def __init__(self, members: Mapping[str, str], contexts: PkiContexts) -> None:
        """Open nothing before `run`."""
        self.contexts = contexts
        self.links = {
            name: MemberLink(name, address, contexts) for name, address in members.items()
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begin: Callable[[MemberLink], None] = lambda _: None

    async def run(self, router: Router, schedule_pump: Callable[[], None]) -> None:
        """Keep all links open, for ever."""
        async with asyncio.TaskGroup() as group:

            def detours(member: str) -> list[MemberLink]:
                """Return the links that may relay a link to `member`; none unless it leads."""
                ways = [name for name, link in self.links.items() if link.is_straight]
                return [self.links[name] for name in router.ways_to(member, ways)]

            def begin(link: MemberLink) -> None:
                self._tasks[link.name] = group.create_task(link.run(router, schedule_pump, detours))

            self._begin = begin
            for link in self.links.values():
                begin(link)
            await asyncio.Event().wait()

    def meet(self, members: Mapping[str, str], known: Collection[str]) -> None:
        """See `Links.meet`."""
        for name, address in members.items():
            held = self.links.get(name)
            if held is not None and held.address == address:
                continue
            if held is not None:
                self._end(name)
            self.links[name] = MemberLink(name, address, self.contexts)
            self._begin(self.links[name])
        for name in self.links.keys() - set(known):
            self._end(name)

    def _end(self, name: str) -> None:
        self.links.pop(name).close()
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def send(self, member: str, request: forward_pb2.ForwardRequest) -> None:
        """See `Links.send`."""
        self.links[member].send(request)

    def close(self) -> None:
        """End the links."""
        for link in self.links.values():
            link.close()


async def wait_for_end(link: Link) -> None:
    """Return when a link has ended; raise why."""
    raise await asyncio.shield(link.ended)
