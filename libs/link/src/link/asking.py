"""Questions with one answer each, over a link that is kept while it is used."""

import asyncio
from collections.abc import Callable

from inventory.raft.v1.link_pb2 import LinkAnswer, LinkQuestion

from link.connection import Link
from link.dialing import dial
from link.errors import FrameError, LinkBroken, LinkError, LinkLate
from link.frames import FrameKind
from link.hello import Introduction, parsed

IDLE_SECONDS_MAX = 5.0  # then the link is closed
QUESTIONS_MAX = 64  # without an answer, on one link
ANSWER_SECONDS_MAX = 600.0

Reply = Callable[[LinkAnswer], None]
Forget = Callable[[], None]
Answer = Callable[[LinkQuestion, Reply], Forget]  # may reply at once, later, or never


class Questions:
    """The caller's side of one link for questions: a `LinkUser`.

    - Each question ends once: answered, late, or with the link.
    """

    def __init__(self) -> None:
        """Start without a question."""
        self.link: Link | None = None
        self._last = 0
        self._waiting: dict[int, asyncio.Future[LinkAnswer]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no question waits for its answer."""
        return not self._waiting

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self.link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows ANSWER alone
        answer = parsed(LinkAnswer, payload)
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkBroken(str(error)))

    async def ask(self, question: LinkQuestion, seconds: float) -> LinkAnswer:
        """Send a question on the open link and wait for the answer; raise LinkError."""
        link = self.link
        if link is None or not link.is_open:
            raise LinkBroken("the link is closed")
        self._last += 1
        question.id, question.timeout_ms = self._last, int(seconds * 1_000)
        answer: asyncio.Future[LinkAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[question.id] = answer
        try:
            link.send(FrameKind.QUESTION, question.SerializeToString())
            link.flush()
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise LinkLate(seconds) from error
        finally:
            del self._waiting[question.id]


class LinkAsker:
    """Asks one member questions.

    - A link is opened for the first question, and closed after `IDLE_SECONDS_MAX` without one.
    """

    def __init__(self, address: str, introduction: Callable[[], Introduction]) -> None:
        """Ask at host:port; `introduction` is asked anew for each link."""
        self.address = address
        self.cluster_id = ""  # as the member said it at the last hello
        self._introduction = introduction
        self._questions = Questions()
        self._opening = asyncio.Lock()
        self._closing: asyncio.TimerHandle | None = None

    async def ask(self, question: LinkQuestion, seconds: float) -> LinkAnswer:
        """Return the answer; raise LinkRefused if the member refuses the link, or LinkError."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        try:
            async with asyncio.timeout(seconds):
                await self._open(seconds)
                return await self._questions.ask(question, seconds)
        except TimeoutError as error:
            raise LinkLate(seconds) from error
        finally:
            self._close_when_idle()

    async def _open(self, seconds: float) -> None:
        """Have an open link; callers wait for the same one."""
        async with self._opening:
            link = self._questions.link
            if link is None or not link.is_open:
                self._questions = Questions()
                _, self.cluster_id = await dial(
                    self.address, self._introduction(), self._questions, seconds
                )

    def _close_when_idle(self) -> None:
        if self._questions.is_idle and self._closing is None:
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(IDLE_SECONDS_MAX, self._close_if_idle)

    def _close_if_idle(self) -> None:
        self._closing = None
        if self._questions.is_idle:
            self.close()

    def close(self) -> None:
        """Close the link; questions without an answer end."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._questions.link is not None:
            self._questions.link.close()


class Answers:
    """The member's side of one link for questions: a `LinkUser`.

    - At most `QUESTIONS_MAX` questions wait for an answer.
    - A question that is late, or whose caller is gone, is forgotten; so is its answer.
    """

    def __init__(self, answer: Answer) -> None:
        """Have each question answered by `answer`."""
        self._answer = answer
        self._link: Link | None = None
        self._waiting: dict[int, tuple[Forget, asyncio.TimerHandle]] = {}

    def opened(self, link: Link) -> None:
        """See `LinkUser.opened`."""
        self._link = link

    def received(self, kind: FrameKind, payload: bytes) -> None:
        """See `LinkUser.received`."""
        del kind  # the purpose allows QUESTION alone
        question = parsed(LinkQuestion, payload)
        if question.id in self._waiting or len(self._waiting) >= QUESTIONS_MAX:
            raise FrameError(f"question {question.id} is asked twice, or one too many")
        seconds = min(question.timeout_ms / 1_000, ANSWER_SECONDS_MAX)
        late = asyncio.get_running_loop().call_later(seconds, self._forget, question.id)
        self._waiting[question.id] = _forget_nothing, late
        forget = self._answer(question, lambda answer: self._reply(question.id, answer))
        if question.id in self._waiting:
            self._waiting[question.id] = forget, late

    def writable(self) -> None:
        """See `LinkUser.writable`."""

    def closed(self, error: LinkError) -> None:
        """See `LinkUser.closed`."""
        del error
        for number in list(self._waiting):
            self._forget(number)

    def _reply(self, number: int, answer: LinkAnswer) -> None:
        known = self._waiting.pop(number, None)
        if known is None or self._link is None:
            return
        known[1].cancel()
        answer.id = number
        self._link.send(FrameKind.ANSWER, answer.SerializeToString())
        self._link.flush()

    def _forget(self, number: int) -> None:
        forget, late = self._waiting.pop(number)
        late.cancel()
        forget()


def _forget_nothing() -> None:
    """Do nothing: the question was answered at once."""
