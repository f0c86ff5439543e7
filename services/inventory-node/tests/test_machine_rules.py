"""What comes of each mutation: the outcome, or the refusal with its reason."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.rpc import status_pb2
from google.type import money_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import Machine, RefusedCommand
from inventory_node.machine.changes import Changes, HourlySales, Level, Movement
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRICES_MINOR,
    PRODUCER,
    START_MS,
    STOCK,
    Hand,
    adjust,
    by,
    open_database,
    order,
    place,
    started,
    usd,
)
from wire.errors import Reason, details_of, reason_of

Outcome = inventory_pb2.Outcome
Mutation = inventory_pb2.Mutation


def taken(outcome: Outcome | status_pb2.Status) -> Outcome:
    """Return an outcome that is no refusal."""
    assert isinstance(outcome, Outcome), outcome
    return outcome


def refused(outcome: Outcome | status_pb2.Status) -> Reason | None:
    """Return the reason of a refusal."""
    assert isinstance(outcome, status_pb2.Status), outcome
    return reason_of(outcome)


def add(request_id: str, **fields: object) -> Mutation:
    """Return an added item; fields over those of a plain one."""
    plain = {"name": "Desk", "price": usd(100), "quantity": 5} | fields
    return Mutation(add_item=inventory_pb2.AddItemRequest(request_id=request_id, **plain))


def update(request_id: str, *mask: str, **fields: object) -> Mutation:
    """Return an update of item 1."""
    item = inventory_pb2.Item(id=1, **fields)  # type: ignore[arg-type]  # checked by protobuf
    request = inventory_pb2.UpdateItemRequest(request_id=request_id, item=item)
    if mask:
        request.update_mask.paths.extend(mask)
    return Mutation(update_item=request)


def delete(request_id: str, item_id: int = 1) -> Mutation:
    """Return a deletion."""
    return Mutation(
        delete_item=inventory_pb2.DeleteItemRequest(request_id=request_id, item_id=item_id)
    )


def set_stock(request_id: str, quantity: int, expected: int | None = None) -> Mutation:
    """Return a count of item 1."""
    request = inventory_pb2.SetStockRequest(
        request_id=request_id, item_id=1, quantity=quantity, expected_quantity=expected
    )
    return Mutation(set_stock=request)


def changes_of(hand: Hand) -> Changes:
    """Return what was changed since this was asked last."""
    changes = hand.machine.take_changes()
    assert changes is not None
    return changes


class TestOrders:
    """Check and take are one step."""

    def test_an_order_takes_stock_and_says_what_is_left(self) -> None:
        """Level, total and revision come from the same step."""
        hand = started()
        response = taken(hand.mutate(CUSTOMER, order("a", 1, 3))).order_item
        assert response.on_hand_after == STOCK - 3
        assert response.total == usd(3 * PRICES_MINOR[0])
        assert response.revision == hand.machine.applied_index == 2

    def test_the_last_one_can_be_taken_and_no_more(self) -> None:
        """Zero is a level; the refusal says what was asked for and what there is."""
        hand = started()
        assert taken(hand.mutate(CUSTOMER, order("a", 1, STOCK))).order_item.on_hand_after == 0
        status = hand.mutate(CUSTOMER, order("b", 1, 1))
        assert refused(status) is Reason.INSUFFICIENT_STOCK
        assert isinstance(status, status_pb2.Status)
        assert details_of(status) == {"item_id": "1", "requested": "1", "available": "0"}

    def test_an_outcome_shares_nothing_with_the_one_before(self) -> None:
        """A total of whole units leaves no cents of an earlier order behind."""
        hand = started()
        assert taken(hand.mutate(CUSTOMER, order("a", 1, 1))).order_item.total == usd(1_250)
        assert taken(hand.mutate(CUSTOMER, order("b", 1, 4))).order_item.total == usd(5_000)
        hand.mutate(PRODUCER, update("c", "price"))
        free = taken(hand.mutate(CUSTOMER, order("d", 1, 1))).order_item.total
        assert free == money_pb2.Money(currency_code="USD")

    def test_all_lines_or_none(self) -> None:
        """A line that cannot be had leaves the others' stock alone."""
        hand = started()
        status = hand.mutate(CUSTOMER, place("a", (1, 1), (2, STOCK + 1)))
        assert refused(status) is Reason.INSUFFICIENT_STOCK
        response = taken(hand.mutate(CUSTOMER, place("b", (1, 2), (3, 1)))).place_order
        assert [line.on_hand_after for line in response.order.lines] == [STOCK - 2, STOCK - 1]
        assert [line.unit_price for line in response.order.lines] == [usd(1_250), usd(99_999)]
        assert response.order.total == usd(2 * 1_250 + 99_999)
        assert response.order.user_id == CUSTOMER
        assert response.order.create_time.ToMilliseconds() == START_MS

    def test_order_ids_ascend_and_are_never_used_again(self) -> None:
        """An order of several lines takes as many ids."""
        hand = started()
        first = taken(hand.mutate(CUSTOMER, place("a", (1, 1), (2, 1)))).place_order.order.id
        second = taken(hand.mutate(CUSTOMER, order("b"))).order_item.order_id
        assert second == first + 2

    def test_a_total_over_the_limit_is_refused(self) -> None:
        """Neither one order nor the sum of an item's orders passes 10^18 minor units."""
        hand = started()
        most = 10**6
        dear = add("a", price=usd(10**12), quantity=10**9)
        item_id = taken(hand.mutate(PRODUCER, dear)).add_item.item.id
        assert refused(hand.mutate(CUSTOMER, order("b", item_id, most + 1))) is (
            Reason.TOTAL_TOO_LARGE
        )
        taken(hand.mutate(CUSTOMER, order("c", item_id, most)))
        assert refused(hand.mutate(CUSTOMER, order("d", item_id, 1))) is Reason.TOTAL_TOO_LARGE
        lines = hand.mutate(CUSTOMER, place("e", (1, 1), (item_id, 1)))
        assert refused(lines) is Reason.TOTAL_TOO_LARGE
        second = add("f", name="Lamp", price=usd(10**12), quantity=10**9)
        item_id = taken(hand.mutate(PRODUCER, second)).add_item.item.id
        taken(hand.mutate(CUSTOMER, place("g", (item_id, most))))

    def test_an_order_of_lines_takes_the_last_one_and_no_more(self) -> None:
        """The refusal says what was asked for and what there is."""
        hand = started()
        response = taken(hand.mutate(CUSTOMER, place("a", (1, STOCK)))).place_order
        [line] = response.order.lines
        assert (line.item_id, line.quantity, line.on_hand_after) == (1, STOCK, 0)
        assert response.revision == hand.machine.applied_index == 2
        status = hand.mutate(CUSTOMER, place("b", (2, 1), (1, 3)))
        assert refused(status) is Reason.INSUFFICIENT_STOCK
        assert isinstance(status, status_pb2.Status)
        assert details_of(status) == {"item_id": "1", "requested": "3", "available": "0"}

    def test_the_ledger_has_a_line_for_each_line_of_an_order(self) -> None:
        """The lines of one order have the order's id; the counts are those of all orders."""
        hand = started()
        assert changes_of(hand).header.orders == 0
        taken(hand.mutate(CUSTOMER, order("a", 1, 3)))
        first, second, third = 4, 5, 6  # ids; the first items took 1 to 3
        changes = changes_of(hand)
        price, other = PRICES_MINOR[0], PRICES_MINOR[1]
        assert changes.movements == [
            Movement(first, first, 1, CUSTOMER, -3, STOCK - 3, price, START_MS)
        ]
        hand.stamp_ms = later_ms = START_MS + 3_600_000
        taken(hand.mutate(CUSTOMER, place("b", (1, 2), (2, 5))))
        changes = changes_of(hand)
        assert changes.header.orders == 2
        assert changes.movements == [
            Movement(second, second, 1, CUSTOMER, -2, STOCK - 5, price, later_ms),
            Movement(third, second, 2, CUSTOMER, -5, STOCK - 5, other, later_ms),
        ]
        assert sorted(changes.levels, key=lambda level: level.item_id) == [
            Level(STOCK - 5, 2, 5, 5 * price, START_MS, later_ms, 1),
            Level(STOCK - 5, 1, 5, 5 * other, later_ms, later_ms, 2),
        ]
        hour = later_ms // 3_600_000
        assert sorted(changes.sales) == [HourlySales(1, hour, 2), HourlySales(2, hour, 5)]
        taken(hand.mutate(CUSTOMER, order("c", 3)))
        assert changes_of(hand).header.orders == 3


class TestItems:
    """Ids are the machine's, prices are whole minor units, deletion archives."""

    def test_item_ids_ascend_and_a_deleted_one_is_not_used_again(self) -> None:
        """Deleting the newest item gives its id to nobody."""
        hand = started()
        first = taken(hand.mutate(PRODUCER, add("a"))).add_item.item
        assert (first.id, first.quantity, first.price) == (4, 5, usd(100))
        shown = taken(hand.mutate(PRODUCER, delete("b", 4))).delete_item.item
        assert shown.delete_time.ToMilliseconds() == START_MS
        assert taken(hand.mutate(PRODUCER, add("c"))).add_item.item.id == 5

    def test_an_update_changes_what_its_mask_names(self) -> None:
        """What the mask names is taken, empty too; what it does not name stays (AIP-134)."""
        hand = started()
        item = taken(hand.mutate(PRODUCER, update("a", "name", name="Lamp", price=usd(7))))
        assert (item.update_item.item.name, item.update_item.item.price) == ("Lamp", usd(1_250))
        item = taken(hand.mutate(PRODUCER, update("b", description="Bright")))
        assert (item.update_item.item.name, item.update_item.item.description) == ("Lamp", "Bright")
        item = taken(hand.mutate(PRODUCER, update("c", "description")))
        assert item.update_item.item.description == ""

    def test_an_update_never_sets_a_quantity(self) -> None:
        """The predecessor took 0 for both nothing and zero."""
        hand = started()
        item = taken(hand.mutate(PRODUCER, update("a", name="Lamp", quantity=7)))
        assert item.update_item.item.quantity == STOCK

    def test_stock_is_adjusted_by_a_delta(self) -> None:
        """Up and down, not below nothing and not over the limit."""
        hand = started()
        assert taken(hand.mutate(PRODUCER, adjust("a", 1, 10))).adjust_stock.on_hand_after == 110
        assert taken(hand.mutate(PRODUCER, adjust("b", 1, -110))).adjust_stock.on_hand_after == 0
        assert refused(hand.mutate(PRODUCER, adjust("c", 1, -1))) is Reason.INSUFFICIENT_STOCK
        taken(hand.mutate(PRODUCER, adjust("d", 1, 10**9)))
        assert refused(hand.mutate(PRODUCER, adjust("e", 1, 1))) is Reason.QUANTITY_TOO_LARGE

    def test_stock_is_set_if_it_is_what_was_expected(self) -> None:
        """Compare and set; without an expectation it is just set, zero too."""
        hand = started()
        status = hand.mutate(PRODUCER, set_stock("a", 7, expected=STOCK + 1))
        assert refused(status) is Reason.QUANTITY_CHANGED
        assert isinstance(status, status_pb2.Status)
        assert details_of(status) == {"item_id": "1", "expected": "101", "actual": "100"}
        assert taken(hand.mutate(PRODUCER, set_stock("b", 7, expected=STOCK))).set_stock == (
            inventory_pb2.SetStockResponse(item_id=1, on_hand_after=7, revision=3)
        )
        assert taken(hand.mutate(PRODUCER, set_stock("c", 0))).set_stock.on_hand_after == 0
        assert refused(hand.mutate(PRODUCER, set_stock("d", 1, expected=1))) is (
            Reason.QUANTITY_CHANGED
        )
        assert taken(hand.mutate(PRODUCER, set_stock("e", 1, expected=0))).set_stock.item_id == 1

    def test_a_changed_item_says_when_and_at_which_revision(self) -> None:
        """An addition, an update and a deletion show the item as it is from then on."""
        hand = started()
        changes_of(hand)
        added = taken(hand.mutate(PRODUCER, add("a"))).add_item
        assert added.revision == 2
        assert changes_of(hand).movements == [Movement(4, 0, 4, PRODUCER, 5, 5, 0, START_MS)]
        hand.stamp_ms = later_ms = START_MS + 1_000
        updated = taken(hand.mutate(PRODUCER, update("b", name="Lamp"))).update_item
        assert updated.revision == 3
        assert updated.item.create_time.ToMilliseconds() == START_MS
        assert updated.item.update_time.ToMilliseconds() == later_ms
        assert len(changes_of(hand).items) == 1
        deleted = taken(hand.mutate(PRODUCER, delete("c"))).delete_item
        assert deleted.revision == 4
        assert deleted.item.price == usd(PRICES_MINOR[0])
        assert len(changes_of(hand).items) == 1

    def test_the_ledger_has_a_line_for_each_change_of_stock(self) -> None:
        """By whom and when; no order has the line, and a count that changes nothing has none."""
        hand = started()
        changes_of(hand)
        hand.stamp_ms = later_ms = START_MS + 1_000
        adjusted = taken(hand.mutate(PRODUCER, adjust("a", 1, -10))).adjust_stock
        assert adjusted == inventory_pb2.AdjustStockResponse(
            item_id=1, on_hand_after=STOCK - 10, revision=2
        )
        taken(hand.mutate(PRODUCER, set_stock("b", 7)))
        taken(hand.mutate(PRODUCER, set_stock("c", 7)))
        assert changes_of(hand).movements == [
            Movement(4, 0, 1, PRODUCER, -10, STOCK - 10, 0, later_ms),
            Movement(5, 0, 1, PRODUCER, 7 - (STOCK - 10), 7, 0, later_ms),
        ]

    def test_a_refused_adjustment_says_how_much_there_is(self) -> None:
        """The refusal of a level over the limit says what the level would be."""
        hand = started()
        status = hand.mutate(PRODUCER, adjust("a", 1, -STOCK - 3))
        assert refused(status) is Reason.INSUFFICIENT_STOCK
        assert isinstance(status, status_pb2.Status)
        assert details_of(status) == {"item_id": "1", "requested": "103", "available": "100"}
        status = hand.mutate(PRODUCER, adjust("b", 1, 10**9))
        assert refused(status) is Reason.QUANTITY_TOO_LARGE
        assert isinstance(status, status_pb2.Status)
        assert details_of(status) == {"item_id": "1", "quantity": "1000000100"}
        assert "1000000000 is the most" in status.message

    def test_a_refused_price_says_what_a_price_may_be(self) -> None:
        """The currency, the decimals or the limit."""
        euros = money_pb2.Money(currency_code="EUR", units=1)
        fine = money_pb2.Money(currency_code="USD", nanos=1)
        for price, details, words in (
            (euros, {"expected": "USD", "actual": "EUR"}, "in EUR"),
            (fine, {"digits": "2"}, "at most 2 decimals"),
            (usd(10**12 + 1), {"field": "price"}, "must be at most 1000000000000 minor units"),
        ):
            status = started().mutate(PRODUCER, add("a", price=price))
            assert isinstance(status, status_pb2.Status)
            assert details_of(status) == details
            assert words in status.message

    def test_a_deleted_item_is_named_by_its_refusal(self) -> None:
        """By its id."""
        hand = started()
        taken(hand.mutate(PRODUCER, delete("a")))
        status = hand.mutate(CUSTOMER, order("b", 1))
        assert isinstance(status, status_pb2.Status)
        assert details_of(status) == {"item_id": "1"}

    def test_a_member_that_starts_again_keeps_its_currency(self, tmp_path: Path) -> None:
        """The currency and its decimals are read from the database."""
        database = open_database(tmp_path / "state.db")
        hand = started(database)
        hand.flush(database)
        again = Hand(database)
        updated = taken(again.mutate(PRODUCER, update("a", price=usd(99)))).update_item
        assert updated.item.price == usd(99)
        assert taken(again.mutate(CUSTOMER, order("b", 1, 2))).order_item.total == usd(198)
        database.close()


WORK: list[Callable[[str], Mutation]] = [
    lambda request_id: order(request_id, 1, 1),
    lambda request_id: place(request_id, (2, 1), (1, 1)),
    lambda request_id: adjust(request_id, 1, 1),
    lambda request_id: set_stock(request_id, 1),
    lambda request_id: update(request_id, name="Lamp"),
    delete,
]


@pytest.mark.parametrize("make", WORK, ids=["order", "place", "adjust", "set", "update", "delete"])
def test_nothing_is_done_with_an_item_that_is_deleted(make: Callable[[str], Mutation]) -> None:
    """It is there to look at, and not to work with."""
    hand = started()
    taken(hand.mutate(PRODUCER, delete("gone")))
    who = (
        CUSTOMER if make("x").WhichOneof("operation") in ("order_item", "place_order") else PRODUCER
    )
    assert refused(hand.mutate(who, make("a"))) is Reason.ITEM_DELETED


@pytest.mark.parametrize(
    "mutation",
    [order("a", 9), place("a", (1, 1), (9, 1)), adjust("a", 9, 1), delete("a", 9)],
    ids=["order", "place", "adjust", "delete"],
)
def test_an_item_that_is_not_there_is_named(mutation: Mutation) -> None:
    """The refusal says which."""
    customers = ("order_item", "place_order")
    who = CUSTOMER if mutation.WhichOneof("operation") in customers else PRODUCER
    status = started().mutate(who, mutation)
    assert refused(status) is Reason.ITEM_NOT_FOUND
    assert isinstance(status, status_pb2.Status)
    assert details_of(status) == {"item_id": "9"}


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (money_pb2.Money(currency_code="EUR", units=1), Reason.CURRENCY_MISMATCH),
        (money_pb2.Money(currency_code="EUR"), Reason.CURRENCY_MISMATCH),
        (money_pb2.Money(units=1), Reason.CURRENCY_MISMATCH),
        (money_pb2.Money(currency_code="USD", nanos=1), Reason.PRICE_NOT_REPRESENTABLE),
        (money_pb2.Money(currency_code="USD", nanos=5_000_000), Reason.PRICE_NOT_REPRESENTABLE),
        (usd(10**12 + 1), Reason.INVALID_FIELD),
    ],
)
def test_a_price_is_whole_minor_units_of_the_one_currency(
    price: money_pb2.Money, reason: Reason
) -> None:
    """The predecessor kept prices as floats."""
    hand = started()
    assert refused(hand.mutate(PRODUCER, add("a", price=price))) is reason
    assert refused(hand.mutate(PRODUCER, update("b", price=price))) is reason
    assert taken(hand.mutate(PRODUCER, add("c"))).add_item.item.id == 4  # no id was spent


def test_a_refusal_by_a_rule_is_an_outcome_that_is_kept() -> None:
    """The retry has the same answer though there is enough by then."""
    hand = started()
    first = hand.apply(by(CUSTOMER, order("a", 1, STOCK + 1)))[0]
    assert not isinstance(first, RefusedCommand)
    taken(hand.mutate(PRODUCER, adjust("b", 1, 10)))
    assert hand.apply(by(CUSTOMER, order("a", 1, STOCK + 1)))[0] == first


def test_before_the_first_command_there_is_nobody_to_command() -> None:
    """An entry that comes first by mistake changes nothing."""
    hand = Hand()
    assert refused(hand.mutate(CUSTOMER, order("a"))) is Reason.NOT_INITIALIZED
    assert isinstance(hand.machine, Machine)
    assert not hand.machine.initialized


def test_a_mutation_of_a_later_version_is_refused_and_not_remembered() -> None:
    """An operation that is not known here has no id to be remembered by."""
    assert refused(started().mutate(PRODUCER, Mutation())) is Reason.INVALID_FIELD


@pytest.mark.parametrize("field", ["mutation", "administration"])
def test_an_operation_that_this_build_does_not_know_is_refused(field: str) -> None:
    """Bounds let none pass; one that came all the same changes nothing and is not remembered."""
    command = log_pb2.Command(user_id=ADMIN, epoch=1, session_id=ADMIN)
    getattr(command, field).SetInParent()
    hand = started()
    for _ in range(2):
        [applied] = hand.apply(command)
        assert isinstance(applied, RefusedCommand)
        status = status_pb2.Status.FromString(applied.status)
        assert details_of(status) == {"field": field}
        assert status.message == f"The field {field} holds no operation known here."
