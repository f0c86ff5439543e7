"""The commands that wait to be proposed: the gateways take turns, as the users do in a gateway."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inventory_node.core.replies import ReplyAddress

COMMAND_COST = 1_024  # of a command beside its bytes, where lines are compared


class WaitingCommand(NamedTuple):
    """A command that is checked and not yet proposed."""

    asker: ReplyAddress | None  # None: the node's own command
    command: bytes

    @property
    def session(self) -> int | None:
        """The session of the gateway that waits; None for the node itself."""
        return self.asker.session if self.asker is not None else None

    @property
    def cost(self) -> int:
        """What the command takes of what all gateways share."""
        return COMMAND_COST + len(self.command)


class CommandLines:
    """A line of commands for each gateway, and one for the node itself.

    - The commands of one gateway are taken in their order.
    - A gateway without a command has no line.
    - `size` is the bytes of all commands.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._lines: OrderedDict[int | None, deque[WaitingCommand]] = OrderedDict()
        self._costs: dict[int | None, int] = {}
        self._length = 0
        self.size = 0

    def __len__(self) -> int:
        """Return how many commands wait."""
        return self._length

    def __iter__(self) -> Iterator[WaitingCommand]:
        """Yield all commands, line by line."""
        for line in self._lines.values():
            yield from line

    def append(self, waiting: WaitingCommand) -> None:
        """Queue a command after all others of its gateway."""
        self._lines.setdefault(waiting.session, deque()).append(waiting)
        self._count(waiting, 1)

    def put_back(self, taken: Sequence[WaitingCommand]) -> None:
        """Queue commands before all others, in the order in which they were taken."""
        for waiting in reversed(taken):
            self._lines.setdefault(waiting.session, deque()).appendleft(waiting)
            self._lines.move_to_end(waiting.session, last=False)
            self._count(waiting, 1)

    def take(self, commands_max: int, bytes_max: int) -> list[WaitingCommand]:
        """Take the next commands, one of each gateway in turn; a single command always fits."""
        taken: list[WaitingCommand] = []
        left = bytes_max
        while self._lines and len(taken) < commands_max:
            session, line = next(iter(self._lines.items()))
            left -= len(line[0].command)
            if taken and left < 0:
                break
            waiting = line.popleft()
            self._lines.move_to_end(session)
            self._count(waiting, -1)
            taken.append(waiting)
        return taken

    def make_room(self, waiting: WaitingCommand) -> WaitingCommand | None:
        """Take out the newest command of the gateway with the longest line, for another's command.

        None: no gateway's line would still be longer than that of `waiting`.
        """
        costs = {session: cost for session, cost in self._costs.items() if session is not None}
        longest = max(costs, key=costs.__getitem__, default=None)
        own = costs.get(waiting.session, 0) if waiting.session is not None else 0
        if longest is None or costs[longest] <= own + waiting.cost:
            return None
        last = self._lines[longest].pop()
        self._count(last, -1)
        return last

    def clear(self) -> list[WaitingCommand]:
        """Take out all commands."""
        taken = list(self)
        self._lines.clear()
        self._costs.clear()
        self._length = self.size = 0
        return taken

    def _count(self, waiting: WaitingCommand, by: int) -> None:
        session = waiting.session
        self._length += by
        self.size += by * len(waiting.command)
        self._costs[session] = self._costs.get(session, 0) + by * waiting.cost
        if not self._lines[session]:
            del self._lines[session], self._costs[session]
