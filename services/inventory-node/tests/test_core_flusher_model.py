"""Flushes, against a model that knows only when each entry was applied, taken and made durable."""

import random
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from inventory_node.core.node import NodeSettings
from inventory_node.core.write.flusher import Flusher, LogTail
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Header
from raft.messages import Entry, EntryKind

if TYPE_CHECKING:
    from inventory_node.machine import Machine
    from inventory_node.ports import Store

SETTINGS = replace(
    NodeSettings(name="a", member_id=1, cluster_id="c", members={1: "a"}),
    flush_commands_max=5,
    flush_age_ticks_max=4,
    full_retry_ticks=3,
    flush_hung_ticks=6,
    log_tail_entries=3,
    log_tail_bytes=100,
)
START = 7  # the applied index of the state at the start


class HandMachine:
    """A machine that knows how far it is, and what was taken of it."""

    def __init__(self, start: int) -> None:
        """Begin with a state that is all durable."""
        self.applied_index = self.taken_index = start
        self.durable = 0  # how often changes became durable

    def take_changes(self) -> Changes | None:
        """Return what was applied since the last take, as the machine does."""
        if self.taken_index == self.applied_index:
            return None
        self.taken_index = self.applied_index
        return Changes(header=Header(applied_index=self.applied_index))

    def flushed(self) -> None:
        """Count."""
        self.durable += 1


class HandStore:
    """A database that keeps what it is given."""

    def __init__(self) -> None:
        """Begin with nothing given."""
        self.flushes: list[tuple[int, int]] = []  # the index and the ticket of each try
        self.hashes: list[int] = []  # the ticket of each

    def flush(self, changes: Changes, ticket: int) -> None:
        """Keep a try."""
        self.flushes.append((changes.header.applied_index, ticket))

    def hash(self, ticket: int) -> None:
        """Keep a hash."""
        self.hashes.append(ticket)


class FlushModel:
    """A flusher, and instants in ticks since the start."""

    def __init__(self, start: int = START) -> None:
        """Begin with a state that is all durable."""
        self.machine, self.store = HandMachine(start), HandStore()
        self.flusher = Flusher(
            SETTINGS,
            cast("Machine", self.machine),
            cast("Store", self.store),
            LogTail(SETTINGS, ()),
        )
        self.now = 0
        self.unflushed: list[tuple[int, int]] = []  # commands and the instant of each entry
        self.hurried = 0
        self.durable = start
        self.outstanding: int | None = None  # the index that it makes durable
        self.began: int | None = None  # the try under way
        self.until: int | None = None  # the end of the backoff
        self.slow_until = 0
        self.is_full = False
        self.checkpoints = [0]  # that were applied and not given up
        self.waits = self.is_hash_due = False
        self.tries: list[int] = []
        self.sizes: list[int] = []  # of the entries that the log still holds
        self.hashes: list[int] = []
        self.finished = 0

    def do(self, what: str, number: int) -> None:
        """Let one thing happen, where it can."""
        match what:
            case "apply" if not self.waits and not self.flusher.held:
                self.apply(number)
            case "checkpoint" if not self.waits and not self.flusher.held:
                self.apply(1)
                self.flusher.checkpoint()
                if not self.is_full:
                    self.waits = True
                    self.checkpoints.append(self.machine.applied_index)
            case "hurry":
                self.hurried = max(self.hurried, self.machine.applied_index - number)
                self.flusher.hurry(self.machine.applied_index - number)
            case "tick":
                self.tick()
            case "full" | "done" if self.outstanding is not None:
                self.end(self.outstanding, is_done=what == "done")
            case "cut":
                self.cut(number)
            case "hold" if self.outstanding is None and not self.waits:
                self.flusher.held = True
            case "replace" if self.flusher.held:
                self.replace()
            case _:
                pass  # there is nothing to which it could happen
        self.start()

    def apply(self, commands: int) -> None:
        """Apply an entry."""
        self.machine.applied_index += 1
        self.sizes.append(33 * commands)
        entry = Entry(self.machine.applied_index, 1, EntryKind.COMMAND, bytes(33 * commands))
        self.flusher.applied(entry, commands)
        self.unflushed.append((max(1, commands), self.now))

    def cut(self, behind: int) -> None:
        """Give up what the log need not hold, with a pin or none."""
        pinned = None if behind == 0 else self.machine.applied_index - 3 * behind
        first, index = self.machine.applied_index - len(self.sizes), 0
        while self.sizes and is_long(self.sizes):
            if first + 1 > min(self.durable, self.durable if pinned is None else pinned):
                break
            first = index = first + 1
            del self.sizes[0]
        assert self.flusher.release_log(pinned) == index

    def tick(self) -> None:
        """Let a tick pass: a backoff may be over, and a try may have become slow."""
        self.flusher.tick()
        self.now += 1
        if self.until == self.now and self.outstanding is not None:
            self.tries.append(self.outstanding)
            self.began, self.until = self.now, None
        if self.age > SETTINGS.flush_hung_ticks // 2:
            self.slow_until = self.now + 6 * SETTINGS.flush_hung_ticks

    def end(self, index: int, *, is_done: bool) -> None:
        """End the try under way; the end of any other job changes nothing."""
        ticket = self.store.flushes[-1][1]
        self.flusher.full(ticket + 1)
        assert not self.flusher.finished(ticket - 1)
        if self.began is None:
            return
        self.began = None
        if is_done:
            assert self.flusher.finished(ticket)
            assert not self.flusher.finished(ticket)
            self.durable, self.outstanding, self.is_full = index, None, False
            self.hashes += [ticket] * self.is_hash_due
            self.finished += 1
            self.is_hash_due = False
            return
        self.flusher.full(ticket)
        self.until, self.is_full = self.now + SETTINGS.full_retry_ticks, True
        if self.waits:
            self.waits = False
            self.checkpoints.pop()

    def replace(self) -> None:
        """Go on from the state of a snapshot."""
        self.machine.applied_index += 10
        self.machine.taken_index = self.durable = self.machine.applied_index
        self.flusher.replaced()
        assert self.flusher.held is False
        self.unflushed.clear()
        self.sizes.clear()
        self.checkpoints = [0]

    def start(self) -> None:
        """Begin a flush if one is due."""
        self.flusher.start()
        if self.outstanding is not None or self.flusher.held or not self.unflushed:
            return
        many = sum(commands for commands, _ in self.unflushed) >= SETTINGS.flush_commands_max
        old = self.now - self.unflushed[0][1] >= SETTINGS.flush_age_ticks_max
        if many or old or self.hurried > self.durable or self.waits:
            self.unflushed.clear()
            self.outstanding, self.began = self.machine.applied_index, self.now
            self.tries.append(self.outstanding)
            self.is_hash_due, self.waits = self.waits, False

    @property
    def age(self) -> int:
        """The ticks of the try under way."""
        return 0 if self.began is None else self.now - self.began

    def check(self) -> None:
        """Compare the flusher with the instants."""
        flusher, is_idle = self.flusher, self.outstanding is None
        is_durable = is_idle and not self.unflushed
        assert [index for index, _ in self.store.flushes] == self.tries
        assert (self.store.hashes, self.machine.durable) == (self.hashes, self.finished)
        assert flusher.durable_index == self.durable
        assert flusher.idle is is_idle
        assert flusher.is_full is self.is_full
        assert flusher.is_durable is is_durable
        assert flusher.is_at_rest is (is_durable or self.is_full or flusher.held)
        assert not is_durable or self.durable == self.machine.applied_index
        assert flusher.blocks_apply is self.waits
        assert flusher.checkpoint_index == self.checkpoints[-1]
        assert flusher.hangs is (self.age > SETTINGS.flush_hung_ticks)
        assert flusher.is_slow is (self.slow_until > self.now)


def is_long(sizes: list[int]) -> bool:
    """Tell whether the tail of a log is over one of its bounds."""
    return len(sizes) > SETTINGS.log_tail_entries or sum(sizes) > SETTINGS.log_tail_bytes


BUSY = ["apply", "apply", "checkpoint", "hurry", "full", "done", "cut", "hold", "replace", "tick"]
QUIET = ["apply", "checkpoint", "full", "done", *["tick"] * 8]


@pytest.mark.parametrize("seed", range(12))
def test_flushes_come_when_they_are_due(seed: int) -> None:
    """One at a time, each of all that was applied; retried while there is no space."""
    draw = random.Random(seed)
    model = FlushModel(start=START if seed % 3 else 0)
    model.check()
    for _ in range(300):
        model.do(draw.choice(QUIET if seed % 2 else BUSY), draw.randrange(4))
        model.check()


def test_a_slow_flush_is_remembered_for_six_times_its_limit() -> None:
    """It took more than half of the limit; every tick of it counts anew."""
    model = FlushModel()
    model.do("apply", 5)
    for _ in range(8):
        model.do("tick", 0)
        model.check()
    model.do("done", 0)
    for _ in range(6 * SETTINGS.flush_hung_ticks + 1):
        model.do("tick", 0)
        model.check()
    assert not model.flusher.is_slow


def test_a_checkpoint_that_finds_no_space_is_given_up() -> None:
    """Before its flush and during it; one that is hashed already stays the last."""
    model = FlushModel()
    for step in (
        "checkpoint",
        "done",
        "apply",
        "hurry",
        "checkpoint",
        "full",
        "checkpoint",
        "tick",
    ):
        model.do(step, 0)
        model.check()
    assert model.flusher.checkpoint_index == START + 1
    assert len(model.store.hashes) == 1


@pytest.mark.parametrize("seed", range(60))
def test_the_log_is_cut_as_far_as_its_bounds_ask_for(seed: int) -> None:
    """And not past what is durable, or pinned."""
    draw = random.Random(seed)
    sizes = [draw.choice([0, 20, 25, 50, 51]) for _ in range(draw.randrange(12))]
    entries = [Entry(n, 1, EntryKind.COMMAND, bytes(size)) for n, size in enumerate(sizes, 1)]
    tail = LogTail(SETTINGS, entries[:4])
    for entry in entries[4:]:
        tail.applied(entry)
    kept = 0  # nothing is kept up to here
    for _ in range(4):
        durable, pinned = draw.randrange(14), draw.choice([None, draw.randrange(14)])
        limit = min(durable, len(sizes), len(sizes) if pinned is None else pinned)
        fits = next(index for index in range(len(sizes) + 1) if not is_long(sizes[index:]))
        index = max(kept, min(limit, fits))
        assert tail.release(durable, pinned) == (index if index > kept else 0)
        kept = index
    tail.clear()
    assert tail.release(100, None) == 0
    for place in range(3):
        tail.applied(Entry(20 + place, 1, EntryKind.COMMAND, bytes(50 * (place > 0))))
        assert tail.release(100, None) == 0, "what was cleared does not count"


@pytest.mark.parametrize("commands", [0, 1])
def test_an_entry_without_commands_counts_as_one(commands: int) -> None:
    """Many of them would have to be replayed all the same."""
    model = FlushModel()
    for _ in range(5):
        assert model.store.flushes == []
        model.do("apply", commands)
    assert len(model.store.flushes) == 1
