"""The simulated store: its threads, and the effects of a slow, hung, full or failing disk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from inventory_node.core.events import (
    Copied,
    Event,
    Flushed,
    Installed,
    Staged,
    StoreFailed,
    StoreFull,
)
from inventory_node.machine.changes import Changes
from sim.host import Troubles
from sim.machines import CUSTOMER, order, started
from sim.ports import HANGS_US, SLOW_US_MAX, STORE_US, StorePort
from sim.store import NO_SPACE, SimStore, Thread
from sim.timeline import Timeline
from sim.violation import SafetyViolation

if TYPE_CHECKING:
    from sim.surroundings import ProcessHandle


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SimStore]:
    """Return a store with a first state, flushed."""
    made = SimStore(tmp_path, 0)
    made.flush(first_changes(made), 1)
    assert made.step() == Flushed(1)
    yield made
    made.close()


def first_changes(store: SimStore) -> Changes:
    """Return what a first order leaves to flush."""
    hand = started(store)
    hand.mutate(CUSTOMER, order("a"))
    changes = hand.machine.take_changes()
    assert changes is not None
    return changes


def copy_of(store: SimStore) -> tuple[Copied, bytes]:
    """Copy the state."""
    store.copy(2)
    made = store.step()
    assert isinstance(made, Copied)
    return made, Path(made.path).read_bytes()


class TestJobs:
    """What waits, and for whom."""

    def test_threads_do_not_wait_for_each_other(self, store: SimStore) -> None:
        """Each thread does its own jobs in order."""
        store.copy(2)
        store.hash(3)
        store.copy(4)
        hashed = store.step(Thread.HASHER)
        assert hashed is not None
        first, second = store.step(Thread.COPIER), store.step(Thread.COPIER)
        assert isinstance(first, Copied)
        assert isinstance(second, Copied)
        assert (first.ticket, second.ticket, store.jobs) == (2, 4, 0)

    def test_without_space_nothing_is_written(self, store: SimStore) -> None:
        """A flush and a copy report the lack of space; a chunk is refused, and staged chunks go."""
        made, data = copy_of(store)
        store.stage(made.header, 0, data[:100], 3)
        assert store.step() == Staged(3, complete=False, problem="")
        store.is_full = True
        store.flush(Changes(header=store.header()), 4)
        store.copy(5)
        store.stage(made.header, 100, data[100:], 6)
        assert store.step() == StoreFull(4)
        copied = store.step()
        assert isinstance(copied, Copied)
        assert copied.path == ""
        assert store.step() == Staged(6, complete=False, problem=NO_SPACE)

    def test_too_little_space_is_enough_for_a_flush(self, store: SimStore) -> None:
        """And not for a snapshot."""
        store.is_short = True
        store.flush(Changes(header=store.header()), 4)
        store.copy(5)
        assert store.step() == Flushed(4)
        copied = store.step()
        assert isinstance(copied, Copied)
        assert copied.path == ""

    def test_the_switch_waits_for_space(self, store: SimStore) -> None:
        """The switch stays a job until there is space."""
        made, data = copy_of(store)
        store.stage(made.header, 0, data, 3)
        assert store.step() == Staged(3, complete=True, problem="")
        store.is_full = True
        store.install(made.header.meta, 4)
        assert store.step() is None
        assert store.jobs == 1
        store.is_full = False
        assert store.step() == Installed(4)


class Machine:
    """A process as far as its store's port is concerned."""

    def __init__(self, store: SimStore) -> None:
        """Note when events come."""
        self.timeline = Timeline()
        self.troubles = Troubles()
        self.came: list[tuple[int, Event]] = []
        process = SimpleNamespace(
            name="node-1",
            random=Random(1),
            host=SimpleNamespace(troubles=self.troubles),
            later=self._later,
            deliver=lambda event: self.came.append((self.timeline.now_us, event)),
        )
        self.port = StorePort(cast("ProcessHandle", process), store)

    def _later(self, delay_us: int, action: Callable[[], None]) -> None:
        self.timeline.after(delay_us, action)

    def flushed_at(self, store: SimStore, ticket: int) -> int:
        """Flush, and return when that is done."""
        self.port.flush(Changes(header=store.header()), ticket)
        self.timeline.run_until(self.timeline.now_us + 2 * SLOW_US_MAX)
        at_us, event = self.came[-1]
        assert event == Flushed(ticket)
        return at_us


class TestTime:
    """What writes takes the disk's time."""

    def test_a_slow_disk_is_slow_for_the_database(self, store: SimStore) -> None:
        """Up to a bound."""
        machine = Machine(store)
        machine.troubles.disk_factor = 10_000
        assert SLOW_US_MAX <= machine.flushed_at(store, 2) <= SLOW_US_MAX + 500

    def test_a_hung_disk_hangs_for_what_writes(self, store: SimStore) -> None:
        """A hash is read from the page cache."""
        machine = Machine(store)
        machine.troubles.disk_hangs = 1
        machine.port.copy(2)
        machine.port.hash(3)
        machine.timeline.run_until(10 * STORE_US[1])
        assert [type(event).__name__ for _, event in machine.came] == ["Hashed"]
        machine.troubles.disk_hangs = 0
        machine.timeline.run_until(machine.timeline.now_us + HANGS_US + 500)
        assert [type(event).__name__ for _, event in machine.came] == ["Hashed", "Copied"]

    def test_a_failure_that_no_fault_picked_is_found(
        self, store: SimStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lack of space is no failure: a member that took it for a failure would end."""
        machine = Machine(store)
        failed = StoreFailed("OSError: No space left on device")
        monkeypatch.setattr("sim.store.copy_pinned", lambda *_: failed)
        machine.port.copy(2)
        with pytest.raises(SafetyViolation, match="No space left"):
            machine.timeline.run_until(10 * STORE_US[1])

    def test_a_transaction_that_a_fault_picked_fails(self, store: SimStore) -> None:
        """The next transaction fails, whatever other jobs are under way, and later ones do not."""
        machine = Machine(store)
        machine.troubles.store_fails = True
        machine.port.hash(2)
        machine.port.flush(Changes(header=store.header()), 3)
        machine.timeline.run_until(10 * STORE_US[1])
        assert any(isinstance(event, StoreFailed) for _, event in machine.came)
        assert not machine.troubles.store_fails
