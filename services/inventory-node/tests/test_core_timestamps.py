"""The stamps that a leader draws: never less than the log's time, and no leap without trust."""

import random
from collections.abc import Iterable

import pytest
from inventory.raft.v1 import raw_pb2
from inventory_node.core.node import NodeSettings
from inventory_node.core.write.timestamps import TimestampOracle
from raft.messages import Entry, EntryKind
from sim.manual_cluster import HandClock

SETTINGS = NodeSettings(
    name="a", member_id=1, cluster_id="c", members={1: "a"}, clock_leap_ms_max=500
)
NOW_MS = 10_000


def command(stamp_ms: int) -> Entry:
    """Return a command entry with this stamp."""
    batch = raw_pb2.RawBatch(stamp_ms=stamp_ms)
    return Entry(1, 1, EntryKind.COMMAND, batch.SerializeToString())


def oracle(
    snapshot_ms: int = NOW_MS, entries: Iterable[Entry] = ()
) -> tuple[TimestampOracle, HandClock]:
    """Return an oracle over a state and a log, and its clock."""
    clock = HandClock(ms=NOW_MS)
    return TimestampOracle(SETTINGS, clock, snapshot_ms, entries), clock


@pytest.mark.parametrize("seed", range(20))
def test_stamps_never_go_back(seed: int) -> None:
    """Whatever the clock does: a stamp is the clock's, or the latest that the log held."""
    draw = random.Random(seed)
    timestamps, clock = oracle()
    log_ms = NOW_MS
    for _ in range(60):
        ms = draw.randint(-300, 300)
        match draw.choice(["clock", "log", "state", "draw"]):
            case "clock":
                clock.ms += ms
            case "log":
                # A leader's stamps never go back, also where its entries replace another's.
                log_ms += abs(ms)
                timestamps.note([command(log_ms)])
            case "state":
                timestamps.hold()
                timestamps.replaced(log_ms + ms)
                log_ms = max(log_ms, log_ms + ms)
            case _:
                timestamps.clock_skew.found(0)
                log_ms = max(log_ms, clock.now_ms())
                assert timestamps.next_ms() == log_ms


def test_the_log_behind_the_state_counts_from_the_start() -> None:
    """Its newest command; an entry of another kind has no stamp."""
    noop = Entry(3, 1, EntryKind.NOOP, b"\xff")
    entries = [command(NOW_MS + 5), command(NOW_MS + 7), noop]
    timestamps, _ = oracle(NOW_MS - 1, entries)
    assert timestamps.next_ms() == NOW_MS + 7
    timestamps, _ = oracle(NOW_MS + 9, entries)
    assert timestamps.next_ms() == NOW_MS + 9


def test_a_clock_that_is_behind_does_not_stop_the_log() -> None:
    """The log's time goes on by the steady clock while another clock has reached it."""
    timestamps, clock = oracle()
    clock.wrong_ms = -90_000
    clock.ms += 1_000
    assert timestamps.next_ms() == NOW_MS, "nobody else says so"
    timestamps.clock_skew.measured(2, clock.elapsed_ms(), clock.ms)
    clock.ms += 3_000
    assert timestamps.next_ms() == NOW_MS + 3_000
    timestamps.note([command(NOW_MS + 3_500)])
    clock.ms += 1_000
    assert timestamps.next_ms() == NOW_MS + 4_500
    timestamps.clock_skew.measured(2, clock.elapsed_ms(), NOW_MS + 4_600)
    clock.ms += 10
    assert timestamps.next_ms() == NOW_MS + 4_510
    timestamps.note([command(NOW_MS + 4_800)])
    clock.ms += 300
    assert timestamps.next_ms() == NOW_MS + 4_910, "not past what the witness has reached"


def test_a_witness_does_not_drive_the_log() -> None:
    """Another clock that is ahead moves no stamp faster than time goes, nor one that is behind."""
    timestamps, clock = oracle()
    timestamps.clock_skew.found(0)
    timestamps.clock_skew.measured(2, clock.elapsed_ms(), NOW_MS + 60_000)
    clock.ms += 2_000
    assert timestamps.next_ms() == NOW_MS + 2_000
    timestamps, clock = oracle(NOW_MS + 60_000)
    timestamps.clock_skew.measured(2, clock.elapsed_ms(), NOW_MS)
    clock.ms += 2_000
    assert timestamps.next_ms() == NOW_MS + 60_000, "a log that is ahead of all clocks waits"
    timestamps.clock_skew.measured(2, clock.elapsed_ms(), NOW_MS + 90_000)
    clock.ms += 10_001
    assert timestamps.next_ms() == NOW_MS + 60_000, "what was measured long ago counts no more"


def test_a_leap_needs_a_trusted_clock() -> None:
    """Past the log's time by more than allowed; none is drawn by halves."""
    timestamps, clock = oracle()
    clock.ms += 500
    assert timestamps.next_ms() == NOW_MS + 500
    clock.ms += 501
    assert timestamps.next_ms() is None
    clock.ms -= 1
    assert timestamps.next_ms() == NOW_MS + 1_000, "the refusal has moved nothing"
    clock.ms += 501
    timestamps.clock_skew.found(0)
    assert timestamps.next_ms() == NOW_MS + 1_501


@pytest.mark.parametrize("state_ms", [NOW_MS - 50, NOW_MS + 50])
def test_while_a_snapshot_is_installed_no_stamp_is_drawn(state_ms: int) -> None:
    """Its state holds the log's time, which may be later than that of the log before it."""
    timestamps, _ = oracle(NOW_MS)
    timestamps.clock_skew.found(0)
    timestamps.hold()
    assert timestamps.next_ms() is None
    timestamps.replaced(state_ms)
    assert timestamps.next_ms() == max(NOW_MS, state_ms)
