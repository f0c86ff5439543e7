"""The loop that the package's docstring shows runs as it stands there."""

import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import raft
from raft import RaftSettings, RawNode, Restored
from raft.messages import Configuration, Entry, EntryKind, HardState, Message, SnapshotMeta
from raft.ready import Ready

Settle = Callable[[RawNode], list[Ready]]
Event = str | bytes | Message

TICKS_MAX = 20


def loop_of_the_manual() -> str:
    """Return the indented lines of the package's docstring behind "The loop"."""
    assert raft.__doc__
    lines = raft.__doc__.split("The loop, for one member:\n\n")[1].splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:end]))


class LoopCaller:
    """The functions that the loop calls: a caller of member 1 in a cluster of three."""

    def __init__(self, others: dict[int, RawNode], settle: Settle) -> None:
        """Begin with ticks until an election, and one proposal after the election."""
        self.others = others
        self.settle = settle
        self.events: deque[Event] = deque(["tick"] * TICKS_MAX)
        self.proposals: deque[Event] = deque([b"x"])
        self.disk: list[HardState | SnapshotMeta | Entry] = []
        self.applied: list[Entry] = []

    def next_event(self) -> Event | None:
        """Return messages and ticks first, then the proposal."""
        queue = self.events or self.proposals
        return queue.popleft() if queue else None

    def hand_over(self, node: RawNode, event: Event) -> None:
        """Call the method that fits the event."""
        match event:
            case "tick":
                node.tick()
            case bytes():
                node.propose([event])
            case str():
                raise AssertionError(event)
            case _:
                node.step(event)

    def send(self, messages: Iterable[Message]) -> None:
        """Let the recipient process each message, and queue the replies as events."""
        for message in messages:
            other = self.others[message.recipient]
            other.step(message)
            for ready in self.settle(other):
                for reply in (*ready.at_once, *ready.after_sync):
                    if reply.recipient == 1:
                        self.events.appendleft(reply)

    def write_and_sync(
        self,
        hard_state: HardState | None,
        install: SnapshotMeta | None,
        entries: tuple[Entry, ...],
    ) -> None:
        """Append to a list instead of a disk."""
        self.disk.extend(part for part in (hard_state, install, *entries) if part is not None)

    def apply(self, entries: Sequence[Entry]) -> int:
        """Keep the entries; return the index of the last entry."""
        self.applied.extend(entries)
        return entries[-1].index


def test_the_loop_of_the_manual_elects_commits_and_applies(
    make: Callable[..., RawNode], settle: Settle
) -> None:
    """Member 1 is elected, appends the empty entry and a proposal, and applies both."""
    caller = LoopCaller({member: make(member) for member in (2, 3)}, settle)
    settings = RaftSettings(
        id=1,
        election_timeout_ticks_min=10,
        election_timeout_ticks_max=20,
        heartbeat_ticks=1,
        entries_per_append_max=8,
        bytes_per_append_max=1 << 20,
        appends_in_flight_max=4,
        random=lambda _: 0,
    )
    restored = Restored(
        hard_state=HardState(0, 0),
        configuration=Configuration(frozenset({1, 2, 3})),
        base_index=0,
        base_term=0,
        entries=(),
        applied_index=0,
    )
    names = ("next_event", "hand_over", "send", "write_and_sync", "apply")
    scope = {name: getattr(caller, name) for name in names}
    scope |= {"RawNode": RawNode, "settings": settings, "restored": restored}
    exec(loop_of_the_manual(), scope)  # noqa: S102 - the code is the package's own
    entries = [Entry(1, 1, EntryKind.NOOP, b""), Entry(2, 1, EntryKind.COMMAND, b"x")]
    assert caller.applied == entries
    assert caller.disk == [HardState(1, 1), *entries]
