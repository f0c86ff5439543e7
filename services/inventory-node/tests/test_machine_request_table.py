"""Exactly once: a retry is answered from memory, wherever that memory is by then."""

from pathlib import Path

import pytest
from google.rpc import status_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import Machine, MutationOutcome, RefusedCommand, request_table
from inventory_node.machine.request_table import bucket_of
from sim.machines import (
    CUSTOMER,
    SECOND_CUSTOMER,
    START_MS,
    Hand,
    by,
    open_database,
    order,
    result_of,
    started,
    uuid7,
)
from wire.errors import Reason, details_of, reason_of

DAY_MS = 24 * 3_600 * 1_000


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


@pytest.mark.parametrize(
    ("request_id", "bucket"),
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
def test_a_uuid7_tells_its_second(request_id: str, bucket: int) -> None:
    """Only the canonical form of RFC 9562 is one; everything else has no time of its own."""
    assert bucket_of(request_id) == bucket


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

    def test_a_retry_comes_before_authority(self, request_id: str) -> None:
        """The token has ended since; the outcome is still told."""
        hand = started()
        first = hand.apply(by(CUSTOMER, order(request_id)))
        assert hand.apply(by(CUSTOMER, order(request_id), epoch=7)) == first

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
        assert not hand.machine._requests._timed
        assert not hand.machine._requests._named
        assert hand.apply(by(CUSTOMER, order(request_id))) == first
        database.close()


def test_a_day_later_an_id_with_a_time_is_refused_and_not_run_again() -> None:
    """Its outcome is unknown, and the refusal says so."""
    hand = started()
    request_id = uuid7(START_MS, 1)
    on_hand(hand, order(request_id))
    hand.stamp_ms += DAY_MS
    assert on_hand(hand, order(request_id)) == 99
    hand.stamp_ms += 1_000
    assert reason(hand, order(request_id)) is Reason.REQUEST_ID_EXPIRED
    assert reason(hand, order(uuid7(START_MS - DAY_MS, 2))) is Reason.REQUEST_ID_EXPIRED
    assert on_hand(hand, order(uuid7(hand.stamp_ms, 3))) == 98


def test_an_id_without_a_time_holds_while_it_is_kept() -> None:
    """After that nobody can tell that it came before."""
    hand = started()
    on_hand(hand, order("a"))
    hand.stamp_ms += DAY_MS
    assert on_hand(hand, order("a")) == 99
    hand.stamp_ms += 1_000
    assert on_hand(hand, order("a")) == 98


def test_an_id_from_a_clock_far_ahead_is_refused() -> None:
    """Five minutes are allowed, by the log's time; the floor could not tell of later ones."""
    hand = started()
    assert on_hand(hand, order(uuid7(START_MS + 300_000, 1))) == 99
    assert reason(hand, order(uuid7(START_MS + 301_000, 2))) is Reason.REQUEST_ID_IN_FUTURE
    hand.stamp_ms += 1_000
    assert on_hand(hand, order(uuid7(START_MS + 301_000, 2))) == 98


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


def test_over_the_size_the_oldest_second_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size wins over the 24 hours; newer ids are still known."""
    monkeypatch.setattr(request_table, "KEPT_MAX", 2)
    hand = started()
    ids = [uuid7(START_MS + 1_000 * number, number) for number in range(3)]
    for request_id in ids:
        on_hand(hand, order(request_id))
    hand.stamp_ms += 1
    assert reason(hand, order(ids[0])) is Reason.REQUEST_ID_EXPIRED
    assert on_hand(hand, order(ids[1])) == 98
    assert on_hand(hand, order(ids[2])) == 97


def test_an_entry_forgets_a_bounded_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long silence the next entries share the work."""
    monkeypatch.setattr(request_table, "FORGOTTEN_PER_ENTRY_MAX", 2)
    hand = started()
    for number in range(5):
        hand.stamp_ms += 1_000
        on_hand(hand, order(f"a{number}"))
    hand.stamp_ms += 10 * DAY_MS
    totals = []
    for _ in range(4):
        hand.apply()
        totals.append(hand.machine._requests.total)
    assert totals == [3, 1, 0, 0]


def test_a_forgotten_id_is_forgotten_whether_or_not_the_database_is_told(tmp_path: Path) -> None:
    """A member that flushed the deletion and one that did not must do the same with it."""
    outcomes = []
    for name in ("early", "late"):
        database = open_database(tmp_path / f"{name}.db")
        hand = started(database)
        on_hand(hand, order("a"))
        hand.flush(database)
        hand.stamp_ms += DAY_MS + 1_000
        hand.apply()  # forgets
        if name == "early":
            hand.flush(database)
        outcomes.append(hand.apply(by(CUSTOMER, order("a"))))
        hand.flush(database)
        assert Machine(database).applied_index == hand.machine.applied_index
        outcomes.append([MutationOutcome(database.pin().sha256().encode())])
        database.close()
    assert outcomes[:2] == outcomes[2:]


def test_no_second_at_or_below_the_floor_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids from clocks ahead can push the floor past the log's time; the next one stands above."""
    monkeypatch.setattr(request_table, "KEPT_MAX", 1)
    hand = started()
    for number in (1, 2):
        on_hand(hand, order(uuid7(START_MS + 200_000 + number * 1_000, number)))
    hand.apply()
    floor = hand.machine._requests.floor
    assert floor > hand.stamp_ms // 1_000
    monkeypatch.setattr(request_table, "KEPT_MAX", 9)
    on_hand(hand, order("a"))
    assert min(hand.machine._requests._counts) > floor
    assert on_hand(hand, order("a")) == 97


def test_a_refusal_before_the_rules_is_not_remembered() -> None:
    """An id that was refused for its time may be sent again under a token that holds."""
    hand = started()
    refused = hand.apply(by(99, order("a")))[0]
    assert isinstance(refused, RefusedCommand)
    assert isinstance(result_of(refused), status_pb2.Status)
    assert hand.machine._requests.total == 0
