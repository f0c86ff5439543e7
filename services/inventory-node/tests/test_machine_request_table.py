"""Exactly once: a retry is answered from memory, wherever that memory is by then."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from inventory.raft.v1 import log_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import (
    AdminOutcome,
    Applied,
    Machine,
    MutationOutcome,
    RefusedCommand,
    request_table,
)
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import Header, Remembered
from inventory_node.machine.request_table import RequestTable, second_of, slots_of
from sim.machines import (
    ADMIN,
    CUSTOMER,
    SECOND_CUSTOMER,
    START_MS,
    EmptyRecords,
    Hand,
    by,
    open_database,
    order,
    result_of,
    started,
    uuid7,
)
from sim.tables import check_flushed
from wire.errors import Reason, details_of, reason_of

SECOND_MS = 1_000
START = START_MS // SECOND_MS
PERIOD_MS = 6 * 3_600 * SECOND_MS
DAY_MS = 24 * 3_600 * SECOND_MS
LIFE_MS = PERIOD_MS + DAY_MS + 10 * SECOND_MS  # from a period's begin until it is forgotten


def reason(hand: Hand, mutation: inventory_pb2.Mutation, user_id: int = CUSTOMER) -> Reason | None:
    """Apply a mutation that has to be refused; return why."""
    outcome = hand.mutate(user_id, mutation)
    assert isinstance(outcome, status_pb2.Status), outcome
    return reason_of(outcome)


def on_hand(hand: Hand, mutation: inventory_pb2.Mutation) -> int:
    """Apply an order that has to be taken; return what it left."""
    outcome = hand.mutate(CUSTOMER, mutation)
    assert isinstance(outcome, inventory_pb2.Outcome), outcome
    return outcome.order_item.on_hand_after


def squeeze(patch: pytest.MonkeyPatch, **bounds: int) -> None:
    """Let the request table be small."""
    for name, most in bounds.items():
        patch.setattr(request_table, name, most)


def share_of(hand: Hand, user_id: int) -> list[int]:
    """Return the slots of each period of a user."""
    periods = hand.machine._requests._periods.values()
    return [period.slots for period in periods if period.user_id == user_id]


@pytest.mark.parametrize(
    ("request_id", "second"),
    [
        (uuid7(START_MS, 1), START_MS // 1_000),
        (uuid7(START_MS + 999, 2**73), START_MS // 1_000),
        (uuid7(START_MS, 1).upper(), 0),
        (uuid7(START_MS, 1).replace("-", ""), 0),
        ("{" + uuid7(START_MS, 1)[1:-1] + "}", 0),
        ("0190b6a6-8f3c-4a3b-9b3b-3b3b3b3b3b3b", 0),  # version 4
        ("0190b6a6-8f3c-7a3b-0b3b-3b3b3b3b3b3b", 0),  # another variant
        ("order-17", 0),
        ("", 0),
    ],
)
def test_a_uuid7_tells_its_second(request_id: str, second: int) -> None:
    """Only the canonical form of RFC 9562 is one; everything else has no time of its own."""
    assert second_of(request_id) == second


@pytest.mark.parametrize("request_id", ["order-17", uuid7(START_MS, 17)], ids=["named", "uuid7"])
class TestBothKindsOfIds:
    """What holds with and without a time in the id."""

    def test_a_retry_has_the_same_bytes_and_takes_nothing(self, request_id: str) -> None:
        """In the same entry and in a later one."""
        hand = started()
        command = by(CUSTOMER, order(request_id))
        first, again = hand.apply(command, command)
        assert isinstance(first, MutationOutcome)
        hand.stamp_ms += 60_000
        assert hand.apply(command) == [again] == [first]
        assert on_hand(hand, order("other")) == 98

    def test_another_payload_under_the_same_id_is_refused(self, request_id: str) -> None:
        """And changes nothing; the first one's outcome stays."""
        hand = started()
        on_hand(hand, order(request_id, 1, 1))
        assert reason(hand, order(request_id, 1, 2)) is Reason.REQUEST_ID_REUSED
        assert on_hand(hand, order(request_id, 1, 1)) == 99

    def test_an_id_is_a_users_own(self, request_id: str) -> None:
        """Two users may have hit upon the same."""
        hand = started()
        on_hand(hand, order(request_id))
        outcome = hand.mutate(SECOND_CUSTOMER, order(request_id))
        assert isinstance(outcome, inventory_pb2.Outcome)
        assert outcome.order_item.on_hand_after == 98

    def test_a_retry_comes_after_authority(self, request_id: str) -> None:
        """A token that has ended is told no outcome; the next token is told the first one."""
        hand = started()
        first = hand.apply(by(CUSTOMER, order(request_id)))
        hand.machine._cache.user(CUSTOMER).epoch = 2  # type: ignore[union-attr]
        assert reason(hand, order(request_id)) is Reason.TOKEN_INVALID
        assert hand.apply(by(CUSTOMER, order(request_id), epoch=2)) == first

    def test_a_disabled_user_is_told_no_outcome(self, request_id: str) -> None:
        """Neither of a mutation nor of an administration."""
        hand = started()
        password = log_pb2.Administration(request_id=f"{request_id[:-1]}0")
        password.set_password.user_id, password.set_password.password_hash = SECOND_CUSTOMER, "b"
        commands = [
            by(SECOND_CUSTOMER, order(request_id), epoch=2),
            log_pb2.Command(
                user_id=SECOND_CUSTOMER,
                epoch=1,
                session_id=SECOND_CUSTOMER,
                administration=password,
            ),
        ]
        done = hand.apply(*commands[::-1])
        assert [type(one) for one in done] == [AdminOutcome, MutationOutcome]
        disable = log_pb2.Administration(request_id="disable")
        disable.disable_user.user_id = SECOND_CUSTOMER
        hand.apply(log_pb2.Command(administration=disable))
        for command in commands:
            [refused] = hand.apply(command)
            assert isinstance(refused, RefusedCommand)
            status = status_pb2.Status.FromString(refused.status)
            assert reason_of(status) is Reason.TOKEN_INVALID

    def test_a_restart_forgets_no_request(self, request_id: str, tmp_path: Path) -> None:
        """The outcome is in the database, byte for byte."""
        database = open_database(tmp_path / "state.db")
        hand = started(database)
        first = hand.apply(by(CUSTOMER, order(request_id)))
        hand.flush(database)
        again = Hand(database, hand.stamp_ms)
        assert again.apply(by(CUSTOMER, order(request_id))) == first
        assert reason(again, order(request_id, 2)) is Reason.REQUEST_ID_REUSED
        database.close()

    def test_what_was_let_go_from_memory_is_found_in_the_database(
        self, request_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory is bounded; what is remembered is not what is resident."""
        monkeypatch.setattr(request_table, "RESIDENT_MAX", 0)
        database = open_database(tmp_path / "state.db")
        hand = started(database)
        first = hand.apply(by(CUSTOMER, order(request_id)))
        hand.flush(database)
        assert not hand.machine._requests._shares[CUSTOMER].records
        assert hand.apply(by(CUSTOMER, order(request_id))) == first
        database.close()


def test_an_id_with_a_time_is_refused_once_it_is_forgotten_and_not_run_again() -> None:
    """Its outcome is unknown, and the refusal says so."""
    hand = started()
    request_id = uuid7(START_MS, 1)
    on_hand(hand, order(request_id))
    hand.stamp_ms += LIFE_MS - 1
    assert on_hand(hand, order(request_id)) == 99
    hand.stamp_ms += 1
    assert reason(hand, order(request_id)) is Reason.REQUEST_ID_EXPIRED
    assert on_hand(hand, order(uuid7(hand.stamp_ms, 3))) == 98


def test_an_unknown_id_that_is_over_a_day_old_is_refused() -> None:
    """Whether or not anything was forgotten; a day old is not too old."""
    hand = started()
    assert reason(hand, order(uuid7(START_MS - DAY_MS - 1, 2))) is Reason.REQUEST_ID_EXPIRED
    assert on_hand(hand, order(uuid7(START_MS - DAY_MS, 2))) == 99


def test_an_id_without_a_time_holds_while_it_is_kept() -> None:
    """After that nobody can tell that it came before."""
    hand = started()
    on_hand(hand, order("a"))
    hand.stamp_ms += LIFE_MS - 1
    assert on_hand(hand, order("a")) == 99
    hand.stamp_ms += 1
    assert on_hand(hand, order("a")) == 98


def test_a_period_ends_after_six_hours() -> None:
    """The last request of a period is kept for a day, like the first of the next."""
    hand = started()
    on_hand(hand, order("a"))
    hand.stamp_ms += PERIOD_MS - 1
    on_hand(hand, order("b"))
    hand.stamp_ms += 1
    on_hand(hand, order("c"))
    assert [share_of(hand, CUSTOMER)] == [[2, 1]]
    hand.stamp_ms += DAY_MS + 10 * SECOND_MS
    hand.apply()
    assert share_of(hand, CUSTOMER) == [1]


def test_an_id_from_a_clock_far_ahead_is_refused() -> None:
    """Ten seconds are allowed, by the log's time; the refusal tells how far the clock is ahead."""
    hand = started()
    assert on_hand(hand, order(uuid7(START_MS + 10_999, 1))) == 99
    refused = hand.mutate(CUSTOMER, order(uuid7(START_MS + 20_000, 2)))
    assert isinstance(refused, status_pb2.Status)
    assert "a time 20 seconds ahead of the inventory's" in refused.message
    assert reason(hand, order(uuid7(START_MS + 11_000, 2))) is Reason.REQUEST_ID_IN_FUTURE
    hand.stamp_ms += 1_000
    assert on_hand(hand, order(uuid7(START_MS + 11_000, 2))) == 98


def test_a_refused_time_is_told_with_how_far_it_is_off() -> None:
    """Also of the latest time that an id can carry, which is no date of Python's."""
    hand = started()
    slow = hand.mutate(CUSTOMER, order(uuid7(START_MS - 90_000_000, 1)))
    assert isinstance(slow, status_pb2.Status)
    assert "a time 25 hours behind the inventory's" in slow.message
    details = details_of(slow)
    assert int(details["inventory_time"]) - int(details["id_time"]) == 90_000
    fast = hand.mutate(CUSTOMER, order(uuid7(2**48 - 1, 1)))
    assert isinstance(fast, status_pb2.Status)
    assert "days ahead of the inventory's" in fast.message


def test_when_the_table_is_full_who_keeps_most_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size wins over the 24 hours; newer ids are still known, and another user's too."""
    squeeze(monkeypatch, KEPT_MAX=3, PERIOD_SLOTS_MIN=1)
    hand = started()
    ids = [uuid7(START_MS + 1_000 * number, number) for number in range(3)]
    for request_id in ids:
        on_hand(hand, order(request_id))
    first = hand.apply(by(SECOND_CUSTOMER, order(ids[0])))
    assert isinstance(first[0], MutationOutcome)
    hand.stamp_ms += 1
    assert reason(hand, order(ids[0])) is Reason.REQUEST_ID_EXPIRED
    assert on_hand(hand, order(ids[1])) == 98
    assert on_hand(hand, order(ids[2])) == 97
    assert hand.apply(by(SECOND_CUSTOMER, order(ids[0]))) == first


def test_who_holds_a_whole_share_forgets_before_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within one entry; an id of the same second as a forgotten one is refused too."""
    squeeze(monkeypatch, SHARE_MAX=2, PERIOD_SLOTS_MIN=1)
    hand = started()
    ids = [uuid7(START_MS + 1_000 * number, number) for number in range(4)]
    hand.apply(*(by(CUSTOMER, order(request_id)) for request_id in ids))
    for request_id in (ids[0], ids[1], uuid7(START_MS + 1_000, 9)):
        assert reason(hand, order(request_id)) is Reason.REQUEST_ID_EXPIRED
    assert on_hand(hand, order(ids[3])) == 96
    assert share_of(hand, CUSTOMER) == [0, 1, 1]


def test_an_entry_forgets_a_bounded_number_of_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long silence the next entries share the work."""
    squeeze(monkeypatch, FORGOTTEN_PER_ENTRY_MAX=2, PERIOD_SLOTS_MIN=1)
    hand = started()
    for number in range(5):
        hand.stamp_ms += 1_000
        on_hand(hand, order(f"a{number}"))
    hand.stamp_ms += 10 * DAY_MS
    totals = []
    for _ in range(4):
        hand.apply()
        totals.append(hand.machine._requests.slots)
    assert totals == [3, 1, 0, 0]


def test_a_forgotten_id_is_forgotten_whether_or_not_the_database_is_told(tmp_path: Path) -> None:
    """A member that flushed the deletion and one that did not must do the same with it."""
    outcomes = []
    for name in ("early", "late"):
        database = open_database(tmp_path / f"{name}.db")
        hand = started(database)
        on_hand(hand, order("a"))
        hand.flush(database)
        hand.stamp_ms += LIFE_MS
        hand.apply()  # forgets
        if name == "early":
            hand.flush(database)
        outcomes.append(hand.apply(by(CUSTOMER, order("a"))))
        hand.flush(database)
        assert Machine(database).applied_index == hand.machine.applied_index
        outcomes.append([MutationOutcome(database.pin().sha256().encode())])
        database.close()
    assert outcomes[:2] == outcomes[2:]


def test_a_refusal_before_the_rules_is_not_remembered() -> None:
    """An id that was refused for its time may be sent again under a token that holds."""
    hand = started()
    refused = hand.apply(by(99, order("a")))[0]
    assert isinstance(refused, RefusedCommand)
    assert isinstance(result_of(refused), status_pb2.Status)
    assert hand.machine._requests.slots == 0


@pytest.mark.parametrize(("size", "slots"), [(0, 1), (511, 1), (512, 2), (1_024, 3)])
def test_a_large_outcome_takes_more_slots(size: int, slots: int) -> None:
    """So the bound in slots is one in bytes, too."""
    assert slots_of(b"x" * size) == slots


class Archive(EmptyRecords):
    """Records of requests that were flushed."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.requests: dict[int, dict[str, Remembered]] = {}

    def flush(self, table: RequestTable) -> None:
        """Keep what a table remembered, without what it forgot."""
        changes = Changes(header=Header())
        table.take(changes)
        for one in changes.requests:
            self.requests.setdefault(one.period, {})[one.request_id] = one
        for number in changes.forgotten_periods:
            self.requests.pop(number, None)
        table.flushed()

    def request(self, periods: Sequence[int], request_id: str) -> Remembered | None:
        """Return a request of one of the periods."""
        found = (self.requests[number].get(request_id) for number in periods)
        return next((one for one in found if one is not None), None)


class Crowd:
    """Users whose requests a table remembers, with everything that each of them ever asked for."""

    def __init__(self) -> None:
        """Begin with an empty table."""
        self.archive = Archive()
        self.table = RequestTable(self.archive, 1)
        self.now = START
        self.asked: dict[int, list[str]] = {}

    def ask(self, user_id: int, count: int, ahead: int = 0) -> None:
        """Ask as many requests of a user, whose clock is `ahead` by some seconds.

        From the first one on that may have been forgotten, all of them are refused.
        """
        asked = self.asked.setdefault(user_id, [])
        for _ in range(count):
            request_id = uuid7((self.now + ahead) * SECOND_MS, len(asked))
            if self.is_known(user_id, request_id) is None:
                break
            second = self.now + ahead
            self.table.remember(
                self.now,
                second,
                user_id,
                request_id,
                digest=b"",
                outcome=b"outcome",
                administration=False,
            )
            asked.append(request_id)

    def is_known(self, user_id: int, request_id: str) -> bool | None:
        """Tell whether a request is remembered; None where it may have been forgotten."""
        second = second_of(request_id)
        if self.table.find(second, user_id, request_id) is not None:
            return True
        return None if second <= self.table.floor_of(user_id, self.now) else False

    def go_on(self, seconds: int) -> None:
        """Let time go on, and the table forget."""
        self.now += seconds
        self.table.forget(self.now * SECOND_MS)

    def newest_known(self, user_id: int) -> int:
        """Return how many of the newest requests of a user are known without a gap."""
        asked = self.asked[user_id]
        known = 0
        while known < len(asked) and self.is_known(user_id, asked[-1 - known]):
            known += 1
        return known


bursts = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 200), st.integers(0, 10), st.integers(0, 3)),
    max_size=30,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(bursts=bursts)
def test_each_user_keeps_an_equal_part_whatever_the_others_ask(
    bursts: list[tuple[int, int, int, int]],
) -> None:
    """Less a period. Nothing that was asked for runs anew, and the table keeps to its bounds."""
    with pytest.MonkeyPatch.context() as patch:
        squeeze(patch, KEPT_MAX=640, SHARE_MAX=300, PERIOD_SLOTS_MIN=2, PERIOD_SLOTS_MAX=16)
        squeeze(patch, RESIDENT_MAX=100)
        crowd = Crowd()
        for user_id, count, ahead, seconds in bursts:
            floors = {one: crowd.table.floor_of(one, crowd.now) for one in crowd.asked}
            crowd.ask(user_id, count, ahead)
            crowd.go_on(seconds)
            crowd.archive.flush(crowd.table)
            assert crowd.table.resident_slots <= 100
            assert crowd.table.slots <= 640
            for one, asked in crowd.asked.items():
                share = crowd.table._shares[one]
                assert share.slots <= 300
                assert crowd.table.floor_of(one, crowd.now) >= floors.get(one, 0)
                least = min(300, 630 // len(crowd.asked)) - 16
                assert crowd.newest_known(one) >= min(len(asked), least)
                by_age = crowd.now - 86_401
                assert len(asked) > least or crowd.table.floor_of(one, crowd.now) == by_age
                assert all(crowd.is_known(one, request_id) is not False for request_id in asked)


@pytest.mark.slow
@pytest.mark.long
def test_a_flood_by_one_user_is_that_users_own_loss() -> None:
    """A million orders in a minute, with ids as far ahead as may be: others lose nothing."""
    flooder, others = 1, range(2, 12)
    crowd = Crowd()
    for _ in range(60):
        for user_id in others:
            crowd.ask(user_id, 5)
        crowd.ask(flooder, 17_500, ahead=10)
        crowd.go_on(1)
        crowd.archive.flush(crowd.table)
    for user_id in others:
        assert crowd.newest_known(user_id) == 300
        assert crowd.table.floor_of(user_id, crowd.now) == crowd.now - 86_401
    assert 250_000 - 4_096 <= crowd.newest_known(flooder) <= 250_000
    assert crowd.table.resident_slots <= request_table.RESIDENT_MAX


def test_periods_grow_with_the_share_of_their_user() -> None:
    """From 16 slots to an eighth of the share, and to 4,096 slots; the bounds are api.md's."""
    crowd = Crowd()
    crowd.ask(1, 45_000)
    sizes = [period.slots for period in crowd.table._shares[1].periods]
    assert sizes[:8] == [16] * 8
    for place, size in enumerate(sizes[8:-1], start=8):
        assert size == min(4_096, -(-sum(sizes[:place]) // 7))
    assert sizes[-2] == 4_096
    document = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    assert f"no more than {request_table.SHARE_MAX:,}" in document
    assert f"All users together have {request_table.KEPT_MAX:,} requests kept" in document
    assert (request_table.SPARE_PART, request_table.RESIDENT_MAX) == (64, 200_000)
    assert request_table.FORGOTTEN_PER_ENTRY_MAX == 8


@pytest.mark.parametrize("flush_every", [1, 3])
def test_whatever_is_forgotten_memory_and_tables_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush_every: int
) -> None:
    """By share, by size and by age, each before and after a restart."""
    squeeze(monkeypatch, SHARE_MAX=9, KEPT_MAX=13, PERIOD_SLOTS_MIN=2, RESIDENT_MAX=5)
    database = open_database(tmp_path / "state.db")
    hand = started(database)
    asked: list[tuple[int, str, list[Applied]]] = []
    for number in range(60):
        user_id = (CUSTOMER, CUSTOMER, SECOND_CUSTOMER, ADMIN)[number % 4]
        request_id = uuid7(hand.stamp_ms, number) if number % 5 else f"id-{number}"
        asked.append((user_id, request_id, hand.apply(by(user_id, order(request_id)))))
        hand.stamp_ms += (0, 999, 2_000, LIFE_MS // 3)[number % 4 if number < 50 else 0]
        if number % flush_every == 0:
            hand.flush(database)
            check_flushed(hand.machine, database)
            assert hand.machine._requests.resident_slots <= 5
        if number % 7 == 0:
            hand.flush(database)
            hand = Hand(database, hand.stamp_ms)
        hand.apply()
        assert hand.machine._requests.slots <= 13
    hand.flush(database)
    for user_id, request_id, first in asked[-5:]:
        assert hand.apply(by(user_id, order(request_id))) == first
    database.close()


def test_a_share_and_the_table_may_be_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits to the last slot is kept; one more forgets, and periods are counted from 1."""
    squeeze(monkeypatch, SHARE_MAX=4, KEPT_MAX=6, PERIOD_SLOTS_MIN=1)
    crowd = Crowd()
    crowd.ask(1, 4)
    crowd.ask(2, 2)
    crowd.go_on(1)
    assert [crowd.newest_known(user_id) for user_id in (1, 2)] == [4, 2]
    assert [*crowd.table._periods] == [1, 2, 3, 4, 5, 6]
    crowd.ask(2, 1)
    crowd.go_on(1)
    assert [crowd.newest_known(user_id) for user_id in (1, 2)] == [3, 3]
    crowd.ask(1, 5)
    assert crowd.newest_known(1) == 4


def test_a_table_that_is_just_full_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more, and a 64th part is free."""
    squeeze(monkeypatch, KEPT_MAX=64, PERIOD_SLOTS_MIN=1, PERIOD_SLOTS_MAX=1)
    crowd = Crowd()
    for asked, kept in ((64, 64), (1, 63), (1, 64)):
        crowd.ask(1, asked)
        crowd.go_on(1)
        assert crowd.table.slots == kept


def test_a_large_oldest_period_is_not_held_against_its_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who holds most keeps little without it, and another user keeps more."""
    squeeze(monkeypatch, KEPT_MAX=9, PERIOD_SLOTS_MIN=5)
    crowd = Crowd()
    crowd.ask(1, 6)
    monkeypatch.setattr(request_table, "PERIOD_SLOTS_MIN", 1)
    crowd.ask(2, 4)
    crowd.go_on(1)
    assert [crowd.newest_known(user_id) for user_id in (1, 2)] == [6, 3]


def test_memory_keeps_what_it_may_and_drops_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    """22 slots; with one more, the oldest go until 15 are left."""
    squeeze(monkeypatch, RESIDENT_MAX=22, PERIOD_SLOTS_MIN=1, PERIOD_SLOTS_MAX=1)
    crowd = Crowd()
    for count, resident in ((22, 22), (1, 15), (7, 22), (2, 15)):
        crowd.ask(1, count)
        crowd.archive.flush(crowd.table)
        assert crowd.table.resident_slots == resident


def test_memory_drops_nothing_that_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two takes are outstanding, and only what the first one has is durable."""
    squeeze(monkeypatch, RESIDENT_MAX=0, PERIOD_SLOTS_MIN=1)
    table, changes = RequestTable(EmptyRecords(), 1), [Changes(header=Header()) for _ in range(2)]
    for number, change in enumerate(changes):
        table.remember(START, 0, 1, f"id-{number}", digest=b"", outcome=b"", administration=False)
        table.take(change)
    table.flushed()
    assert (table.find(0, 1, "id-0"), table.resident_slots) == (None, 1)
    assert table.find(0, 1, "id-1") is not None


def test_an_empty_table_forgets_in_time() -> None:
    """Its first look at the time, in the middle of a second, delays nothing."""
    crowd = Crowd()
    crowd.table.forget(START_MS + 999)
    crowd.ask(1, 1)
    crowd.table.forget(START_MS + LIFE_MS)
    assert crowd.table.slots == 0
