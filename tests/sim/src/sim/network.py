"""What lies between processes: delays, losses, partitions; streams that break, and come back.

Members' messages are carried as datagrams that may be lost, doubled and overtaken: consensus must
stand that, although the real streams keep order. Links between gateway and members keep order and
lose nothing until they break, as gRPC streams do.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from random import Random

from sim.timeline import Timeline

KEEPALIVE_US = 500_000  # after which an end of a silent link takes it for broken
RECONNECT_US = 100_000


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is, besides partitions."""

    delay_us_min: int = 50
    delay_us_max: int = 1_500
    lost_per_mille: int = 5
    doubled_per_mille: int = 5
    late_per_mille: int = 10  # delivered up to 50 ms late
    late_us_max: int = 50_000


class Network:
    """Delivers what processes say to each other.

    - Nothing passes from a name to another while that direction is cut, also what was under way.
    """

    def __init__(self, timeline: Timeline, random: Random, weather: Weather) -> None:
        """Start with nothing cut."""
        self._timeline = timeline
        self._random = random
        self.weather = weather
        self._cut: set[tuple[str, str]] = set()

    def cut(self, senders: Iterable[str], recipients: Iterable[str]) -> None:
        """Let nothing pass from any of `senders` to any of `recipients`."""
        recipients = tuple(recipients)
        self._cut.update((a, b) for a in senders for b in recipients if a != b)

    def heal(self) -> None:
        """End every partition."""
        self._cut.clear()

    def passes(self, sender: str, recipient: str) -> bool:
        """Tell whether that direction is open."""
        return (sender, recipient) not in self._cut

    def delay_us(self) -> int:
        """Draw how long something takes."""
        weather = self.weather
        if self._random.randrange(1000) < weather.late_per_mille:
            return self._random.randrange(weather.delay_us_max, weather.late_us_max)
        return self._random.randrange(weather.delay_us_min, weather.delay_us_max)

    def send(self, sender: str, recipient: str, arrive: Callable[[], None]) -> None:
        """Carry a datagram: `arrive` is called never, once or twice."""
        draw = self._random.randrange(1000)
        if draw < self.weather.lost_per_mille:
            return
        copies = 2 if draw >= 1000 - self.weather.doubled_per_mille else 1
        for _ in range(copies):
            self._timeline.after(
                self.delay_us(), lambda: arrive() if self.passes(sender, recipient) else None
            )


@dataclass(slots=True)
class End:
    """One end of a link: who it is, and what it hears."""

    name: str
    closed: Callable[[], None]
    open: bool = True
    last_arrival_us: int = 0  # what is sent later arrives later


class Link:
    """A stream between two processes, both ways.

    - What arrives at an end arrives in the order in which it was sent, each once.
    - A closed end hears nothing more, and hears of its closing once.
    """

    def __init__(self, network: Network, timeline: Timeline, client: End, server: End) -> None:
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
        """Let both ends find out."""
        for end in (self.client, self.server):
            self._timeline.after(delay_us, partial(self._close, end))

    def _close(self, end: End) -> None:
        if end.open:
            end.open = False
            end.closed()
