"""The store's threads: jobs end as events, in order, and a thread never ends in silence."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2
from inventory_node.core import events
from inventory_node.machine.changes import Changes, Movement
from inventory_node.machine.records import Header
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime import store as store_module
from inventory_node.runtime.sqlite import Database, Pinned
from inventory_node.runtime.store import SqliteStore, Worker
from raft.messages import Configuration, SnapshotMeta
from sim.machines import ADMIN, CUSTOMER, Hand, order, started

TIMEOUT_SECONDS = 20
SWITCH_SECONDS = 0.3  # in which a switch that waits for nothing is done


class Bench:
    """A store, a machine over it, and the events that came."""

    def __init__(self, folder: Path, installed_index: int = 0) -> None:
        """Open it."""
        folder.mkdir(exist_ok=True)
        self.events: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
        self.store = SqliteStore(folder, installed_index, self.events.put)
        self.hand = Hand(self.store)
        self.ticket = 0

    def next(self) -> events.Event:
        """Wait for the next event."""
        return self.events.get(timeout=TIMEOUT_SECONDS)

    def flush(self) -> None:
        """Flush what was applied and wait for it."""
        changes = self.hand.machine.take_changes()
        assert changes is not None
        self.ticket += 1
        self.store.flush(changes, self.ticket)
        assert self.next() == events.Flushed(self.ticket)
        self.hand.machine.flushed()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench with the first state and one order, flushed."""
    made = Bench(tmp_path / "data")
    made.hand = started(made.store)
    made.hand.mutate(CUSTOMER, order("a", 1, 7))
    made.flush()
    yield made
    made.store.close()


def list_users(user_id: int) -> forward_pb2.Question:
    """Return a question of the admin's."""
    question = forward_pb2.Question(user_id=user_id, epoch=1, session_id=user_id)
    question.query.list_users.SetInParent()
    return question


def test_each_kind_of_work_has_a_named_thread(bench: Bench) -> None:
    """A hung disk, a long query and a copy can be told apart from outside."""
    assert bench.hand.machine.applied_index == 2
    names = {thread.name for thread in threading.enumerate()}
    assert {"inventory-flush", "inventory-read", "inventory-copy", "inventory-hash"} <= names


def test_flushes_end_in_their_order(bench: Bench) -> None:
    """The state is what the last one left."""
    for number in range(5):
        bench.hand.mutate(CUSTOMER, order(f"b{number}"))
        changes = bench.hand.machine.take_changes()
        assert changes is not None
        bench.store.flush(changes, 10 + number)
    assert [bench.next() for _ in range(5)] == [events.Flushed(10 + number) for number in range(5)]
    assert bench.store.header().applied_index == 7
    item = bench.store.item(1)
    assert item is not None
    assert item.quantity == 88


def test_questions_are_answered_together(bench: Bench) -> None:
    """One event for all of them."""
    bench.store.answer([(1, list_users(ADMIN)), (2, list_users(CUSTOMER))])
    answered = bench.next()
    assert isinstance(answered, events.Answered)
    first, second = answered.answers
    assert len(auth_pb2.ListUsersResponse.FromString(first.response).users) == 5
    assert second.error


def test_nobody_waits_for_a_hash(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a large state takes minutes: a copy goes ahead of it, and so does the end."""
    monkeypatch.setattr(store_module, "REST_SECONDS", 10 * TIMEOUT_SECONDS)
    bench.store.hash(5)
    bench.store.copy(6)
    copied = bench.next()
    assert isinstance(copied, events.Copied)
    assert copied.ticket == 6
    bench.store.close()
    assert bench.events.empty()


def test_a_hash_is_of_the_state_at_the_call(bench: Bench) -> None:
    """A flush right behind it does not show, though it may be done first."""
    bench.store.hash(5)
    bench.hand.mutate(CUSTOMER, order("b"))
    changes = bench.hand.machine.take_changes()
    assert changes is not None
    bench.store.flush(changes, 6)
    found = {type(one): one for one in (bench.next(), bench.next())}
    hashed = found[events.Hashed]
    assert isinstance(hashed, events.Hashed)
    assert (hashed.ticket, hashed.index, len(hashed.sha256)) == (5, 2, 64)
    bench.store.hash(7)
    later = bench.next()
    assert isinstance(later, events.Hashed)
    assert later.index == 3
    assert later.sha256 != hashed.sha256


def copied(bench: Bench) -> tuple[SnapshotHeader, bytes]:
    """Copy a store's state."""
    bench.store.copy(9)
    event = bench.next()
    assert isinstance(event, events.Copied)
    data = Path(event.path).read_bytes()
    assert event.header.size == len(data)
    return event.header, data


def test_a_copy_of_one_member_becomes_the_state_of_another(bench: Bench, tmp_path: Path) -> None:
    """Copied, staged in chunks, installed; the hashes are equal, and a restart finds it."""
    header, data = copied(bench)
    assert header.meta == SnapshotMeta(2, 1, Configuration(frozenset()))
    other = Bench(tmp_path / "other")
    half = len(data) // 2
    other.store.stage(header, 0, data[:half], 1)
    other.store.stage(header, half, data[half:], 2)
    assert other.next() == events.Staged(1, complete=False, problem="")
    assert other.next() == events.Staged(2, complete=True, problem="")
    other.store.install(header.meta, 3)
    assert other.next() == events.Installed(3)
    other.hand.machine.reload()
    assert other.hand.machine.applied_index == 2
    other.hand.stamp_ms = bench.hand.stamp_ms
    again, first = other.hand.mutate(CUSTOMER, order("a", 1, 7)), bench.hand.applied[-1]
    assert again == bench.hand.mutate(CUSTOMER, order("a", 1, 7))
    assert first == other.hand.applied[-1]
    for one in (bench, other):
        one.flush()
        one.store.hash(4)
    hashes = [bench.next(), other.next()]
    assert hashes[0] == hashes[1]
    other.store.close()
    restarted = Bench(tmp_path / "other", installed_index=2)
    assert restarted.hand.machine.applied_index == 3
    restarted.store.close()


def test_reads_may_go_on_while_a_snapshot_takes_the_place(bench: Bench, tmp_path: Path) -> None:
    """The loop's reads by key never meet a closed database."""
    header, data = copied(bench)
    other = Bench(tmp_path / "other")
    other.store.stage(header, 0, data, 1)
    assert isinstance(other.next(), events.Staged)
    other.store.install(header.meta, 2)
    seen = set()
    while other.events.empty():
        seen.add(other.store.header().applied_index)
    assert other.next() == events.Installed(2)
    assert seen <= {0, 2}
    assert other.store.header().applied_index == 2
    other.store.close()


def told(event: events.Event) -> events.Event:
    """Return an event without the path and the bytes of a copy, which differ between two copies."""
    if isinstance(event, events.Copied):
        return replace(event, path="", header=replace(event.header, sha256=b""))
    return event


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name"), [(Database, "answer"), (Pinned, "sha256"), (Pinned, "copy")]
)
def test_work_under_way_ends_as_if_no_snapshot_took_the_place(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type[Database | Pinned],
    name: str,
) -> None:
    """Questions, hashes and copies that began on the old state never meet a closed database."""
    header, data = copied(bench)
    other = Bench(tmp_path / "other")
    other.store.stage(header, 0, data, 1)
    assert isinstance(other.next(), events.Staged)
    jobs: dict[str, tuple[Callable[[], None], type[events.Event]]] = {
        "answer": (lambda: other.store.answer([(3, list_users(ADMIN))]), events.Answered),
        "sha256": (lambda: other.store.hash(3), events.Hashed),
        "copy": (lambda: other.store.copy(3), events.Copied),
    }
    begin, ended = jobs[name]
    begin()
    undisturbed = told(other.next())
    began, may_end = threading.Event(), threading.Event()
    work = getattr(owner, name)

    def pause(*args: object) -> object:
        began.set()
        assert may_end.wait(TIMEOUT_SECONDS)
        return work(*args)

    monkeypatch.setattr(owner, name, pause)
    begin()
    assert began.wait(TIMEOUT_SECONDS)
    other.store.install(header.meta, 2)
    came: list[events.Event] = []
    with contextlib.suppress(queue.Empty):  # the switch may have to wait for the work
        came.append(other.events.get(timeout=SWITCH_SECONDS))
    may_end.set()
    came += [other.next() for _ in range(2 - len(came))]
    assert {type(event) for event in came} == {ended, events.Installed}
    assert undisturbed in [told(event) for event in came]
    assert other.store.header().applied_index == 2
    other.store.close()


def test_a_flush_that_cannot_be_written_is_a_failure_of_the_store(bench: Bench) -> None:
    """The node stops; nothing of the flush is there."""
    twice = Movement(1, 0, 1, 1, 1, 1, 0, 1)
    bench.store.flush(Changes(header=Header(applied_index=9), movements=[twice, twice]), 2)
    failed = bench.next()
    assert isinstance(failed, events.StoreFailed)
    assert "UNIQUE" in failed.problem
    assert bench.store.header().applied_index == 2


def test_an_install_of_nothing_is_a_failure_of_the_store(bench: Bench) -> None:
    """The message says what to do."""
    bench.store.install(SnapshotMeta(7, 1, Configuration(frozenset())), 2)
    failed = bench.next()
    assert isinstance(failed, events.StoreFailed)
    assert "remove this member's data" in failed.problem


def test_what_nobody_foresaw_stops_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that ended in silence would leave its callers waiting for ever."""
    seen: list[type[BaseException] | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda found: seen.append(found.exc_type))
    came: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
    worker = Worker("inventory-test", came.put)

    def job() -> events.Event:
        raise OverflowError("too large")

    worker.do(job)
    failed = came.get(timeout=TIMEOUT_SECONDS)
    worker.close()
    assert failed == events.StoreFailed("unforeseen OverflowError: too large")
    assert seen == [OverflowError]


def test_close_finishes_what_was_given(tmp_path: Path) -> None:
    """A flush that was asked for is durable afterwards."""
    made = Bench(tmp_path / "data")
    made.hand = started(made.store)
    changes = made.hand.machine.take_changes()
    assert changes is not None
    made.store.flush(changes, 1)
    made.store.close()
    assert made.next() == events.Flushed(1)
    database = Database(tmp_path / "data" / f"state-{0:020}" / "state.db")
    assert database.header().applied_index == 1
    database.close()


def test_threads_end_with_the_store(tmp_path: Path) -> None:
    """Nothing dangles."""
    before = set(threading.enumerate())
    Bench(tmp_path / "data").store.close()
    assert set(threading.enumerate()) <= before
