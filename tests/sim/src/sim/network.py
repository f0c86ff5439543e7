"""The network between processes: delays, losses, partitions, and links that break.

Members' messages are carried as datagrams that may be lost, doubled and overtaken: consensus must
stand that, although the real streams keep order. Links between gateway and members keep order and
lose nothing until they break, as real links do.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from functools import partial
from random import Random

from sim.coverage import Coverage
from sim.timeline import Timeline

KEEPALIVE_US = 500_000  # after which an end of a silent link takes it for broken
RECONNECT_US = 100_000

Cut = frozenset[tuple[str, str]]  # (sender, recipient)s


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConditions:
    """How bad the network is, besides partitions."""

    delay_us_min: int = 50
    delay_us_max: int = 1_500
    lost_per_mille: int = 5
    doubled_per_mille: int = 5
    late_per_mille: int = 10  # delivered up to `late_us_max` later still
    late_us_max: int = 50_000


FINE = NetworkConditions()


class SimNetwork:
    """Delivers what processes say to each other.

    - Nothing passes from a name to another while that direction is cut, also what was under way.
    - Cuts and storms add up; each ends by itself.
    """

    def __init__(
        self,
        timeline: Timeline,
        random: Random,
        coverage: Coverage | None = None,
        conditions: NetworkConditions = FINE,
    ) -> None:
        """Start with nothing cut."""
        self._timeline = timeline
        self._random = random
        self._coverage = coverage if coverage is not None else Coverage()
        self._usual = self.conditions = conditions
        self._storms: list[NetworkConditions] = []
        self._cut: Counter[tuple[str, str]] = Counter()
        self._sent = 0
        self._newest: dict[tuple[str, str], int] = {}  # of the datagrams that arrived

    def cut(self, senders: Iterable[str], recipients: Iterable[str]) -> Cut:
        """Cut each direction from `senders` to `recipients`; whoever cuts owes the `mend`."""
        recipients = tuple(recipients)
        made = frozenset((a, b) for a in senders for b in recipients if a != b)
        self._cut.update(made)
        return made

    def mend(self, cut: Cut) -> None:
        """End a partition."""
        self._cut.subtract(cut)

    def storm(self, conditions: NetworkConditions) -> None:
        """Add a storm with these conditions; whoever begins a storm owes the `calm`."""
        self._storms.append(conditions)
        self._weather()

    def calm(self, conditions: NetworkConditions) -> None:
        """End a storm."""
        self._storms.remove(conditions)
        self._weather()

    def _weather(self) -> None:
        """Set the conditions to the worst of all storms."""
        all_of_it = [self._usual, *self._storms]
        names = [field.name for field in fields(NetworkConditions)]
        worst = {name: max(getattr(one, name) for one in all_of_it) for name in names}
        self.conditions = NetworkConditions(**worst)

    def heal(self) -> None:
        """End every partition and every storm."""
        self._cut.clear()
        self._storms.clear()
        self._weather()

    def heal_among(self, names: Collection[str]) -> None:
        """End every storm, and every cut between these names; other cuts stay."""
        for sender, recipient in list(self._cut):
            if sender in names and recipient in names:
                del self._cut[sender, recipient]
        self._storms.clear()
        self._weather()

    def passes(self, sender: str, recipient: str) -> bool:
        """Tell whether the direction from one name to another is open."""
        return self._cut[sender, recipient] <= 0

    def delay_us(self) -> int:
        """Draw how long something takes."""
        conditions = self.conditions
        if self._random.randrange(1000) < conditions.late_per_mille:
            return conditions.delay_us_max + self._random.randrange(conditions.late_us_max)
        return self._random.randrange(conditions.delay_us_min, conditions.delay_us_max)

    def send(self, sender: str, recipient: str, arrive: Callable[[], None]) -> None:
        """Carry a datagram: `arrive` is called never, once or twice."""
        draw = self._random.randrange(1000)
        if draw < self.conditions.lost_per_mille:
            self._coverage["messages lost"] += 1
            return
        copies = 1
        if draw >= 1000 - self.conditions.doubled_per_mille:
            self._coverage["messages doubled"] += 1
            copies = 2
        self._sent += 1
        for _ in range(copies):
            self._timeline.after(
                self.delay_us(), partial(self._arrive, sender, recipient, self._sent, arrive)
            )

    def _arrive(self, sender: str, recipient: str, number: int, arrive: Callable[[], None]) -> None:
        if not self.passes(sender, recipient):
            self._coverage["messages cut off"] += 1
            return
        newest = self._newest.get((sender, recipient), 0)
        if number < newest:
            self._coverage["messages overtaken"] += 1
        self._newest[sender, recipient] = max(newest, number)
        arrive()


@dataclass(slots=True)
class End:
    """One end of a link: the name of the process, and what the link calls there."""

    name: str
    closed: Callable[[], None]
    open: bool = True
    last_arrival_us: int = 0  # what is sent later arrives later


class SimLink:
    """A stream between two processes, both ways.

    - What arrives at an end arrives in the order in which it was sent, each once.
    - A closed end hears nothing more, and hears of its closing once.
    """

    def __init__(self, network: SimNetwork, timeline: Timeline, client: End, server: End) -> None:
        """Open it at both ends."""
        self._network = network
        self._timeline = timeline
        self.client = client
        self.server = server

    def to_server(self, arrive: Callable[[], None]) -> None:
        """Send from the client's end."""
        self._send(self.client, self.server, arrive)

    def to_client(self, arrive: Callable[[], None]) -> None:
        """Send from the server's end."""
        self._send(self.server, self.client, arrive)

    def _send(self, sender: End, recipient: End, arrive: Callable[[], None]) -> None:
        if not sender.open:
            return
        at = max(self._timeline.now_us + self._network.delay_us(), recipient.last_arrival_us)
        recipient.last_arrival_us = at

        def arrives() -> None:
            if not self._network.passes(sender.name, recipient.name):
                self.break_after(KEEPALIVE_US)
            elif recipient.open:
                arrive()

        self._timeline.after(at - self._timeline.now_us, arrives)

    def break_after(self, delay_us: int) -> None:
        """Close the link after a delay; both ends hear of it."""
        for end in (self.client, self.server):
            self._timeline.after(delay_us, partial(self._close, end))

    def _close(self, end: End) -> None:
        if end.open:
            end.open = False
            end.closed()
