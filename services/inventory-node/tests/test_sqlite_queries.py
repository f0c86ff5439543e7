"""Questions put to the database: who may ask, what comes back, and how pages hang together."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.type import money_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import inventory_pb2
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    WATCHER,
    open_database,
    order,
    place,
    usd,
)
from sim.query_asker import Asker
from wire.errors import Reason

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    """Return an asker over an empty database."""
    database = open_database(tmp_path / "state.db")
    yield Asker(database)
    database.close()


def names(response: inventory_pb2.GetAllItemsResponse) -> list[str]:
    """Return what a page shows."""
    return [item.name for item in response.items]


class TestItems:
    """GetAllItems."""

    @pytest.mark.parametrize(
        ("order_by", "expected"),
        [
            ("", ["Item 1", "Item 2", "Item 3", "apple", "Zebra"]),
            ("id desc", ["Zebra", "apple", "Item 3", "Item 2", "Item 1"]),
            ("name", ["apple", "Item 1", "Item 2", "Item 3", "Zebra"]),
            ("price", ["Item 2", "Zebra", "apple", "Item 1", "Item 3"]),
            ("price desc", ["Item 3", "Item 1", "apple", "Zebra", "Item 2"]),
            ("quantity", ["apple", "Zebra", "Item 1", "Item 2", "Item 3"]),
        ],
    )
    @pytest.mark.parametrize("size", [1, 2, 5, 0])
    def test_pages_put_together_are_the_whole(
        self, asker: Asker, order_by: str, expected: list[str], size: int
    ) -> None:
        """Each item once, in order, ties by id, whatever the size of a page."""
        asker.add_items(("apple", 700, 0), ("Zebra", 700, 4))
        if order_by == "price":
            expected = ["Item 2", "apple", "Zebra", "Item 1", "Item 3"]
        if order_by == "price desc":
            expected = ["Item 3", "Item 1", "Zebra", "apple", "Item 2"]
        seen: list[str] = []
        token = ""
        while True:
            page = asker.ask("get_all_items", order_by=order_by, page_size=size, page_token=token)
            seen += names(page)
            assert page.revision == asker.hand.machine.applied_index
            token = page.next_page_token
            if not token:
                break
            assert len(page.items) == size
        assert seen == expected

    def test_filters_are_inclusive_and_hold_together(self, asker: Asker) -> None:
        """Every bound that is given has to hold."""
        wanted = inventory_pb2.ItemFilter
        found = asker.ask("get_all_items", filter=wanted(price_max=usd(1_250)))
        assert names(found) == ["Item 1", "Item 2"]
        found = asker.ask("get_all_items", filter=wanted(price_min=usd(1_250)))
        assert names(found) == ["Item 1", "Item 3"]
        asker.hand.mutate(CUSTOMER, order("a", 1, 60))
        found = asker.ask("get_all_items", filter=wanted(quantity_max=40))
        assert names(found) == ["Item 1"]
        found = asker.ask("get_all_items", filter=wanted(quantity_min=41, name_contains="TEM 3"))
        assert names(found) == ["Item 3"]
        found = asker.ask("get_all_items", filter=wanted(quantity_max=0))
        assert names(found) == []

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("Öl", "öL"),
            ("Öl", "O\u0308L"),
            ("Чай", "чАЙ"),
            ("Überwurf", "u\u0308BER"),
            ("Cre\u0300me", "crème"),
            ("Cre\u0300me", "\u00c8ME"),
            ("Straße", "STRASS"),
            ("two\u00a0words", "two  words"),
        ],
    )
    def test_a_name_is_found_in_any_case_and_form(self, asker: Asker, name: str, part: str) -> None:
        """And shown as it came."""
        asker.add_items((name, 1, 1))
        found = asker.ask("get_all_items", filter=inventory_pb2.ItemFilter(name_contains=part))
        assert names(found) == [name]

    def test_names_are_sorted_in_the_form_in_which_they_are_compared(self, asker: Asker) -> None:
        """Neither case nor composition parts what belongs together; ties go by id."""
        given = ["öl", "Zebra", "O\u0308L", "ofen", "Чай", "ÖL", "чайник"]
        asker.add_items(*((name, 1, 1) for name in given))
        shown = names(asker.ask("get_all_items", order_by="name"))
        expected = ["ofen", "Zebra", "öl", "O\u0308L", "ÖL", "Чай", "чайник"]
        assert [name for name in shown if name in given] == expected

    @pytest.mark.parametrize("text", ["%", "_", "'", '"', "*", "\\"])
    def test_a_filter_is_text_and_no_pattern(self, asker: Asker, text: str) -> None:
        """What SQL would read as more is found as itself alone."""
        asker.add_items((f"a{text}b", 1, 1))
        found = asker.ask("get_all_items", filter=inventory_pb2.ItemFilter(name_contains=text))
        assert names(found) == [f"a{text}b"]

    def test_prices_of_the_filter_may_be_out_of_all_bounds(self, asker: Asker) -> None:
        """They compare as what they are; SQLite's integers are never left."""
        most = money_pb2.Money(currency_code="USD", units=2**63 - 1, nanos=990_000_000)
        least = money_pb2.Money(currency_code="USD", units=-(2**63), nanos=0)
        wanted = inventory_pb2.ItemFilter
        assert len(asker.ask("get_all_items", filter=wanted(price_max=most)).items) == 3
        assert len(asker.ask("get_all_items", filter=wanted(price_min=least)).items) == 3
        assert len(asker.ask("get_all_items", filter=wanted(price_min=most)).items) == 0
        assert len(asker.ask("get_all_items", filter=wanted(price_max=least)).items) == 0

    def test_prices_of_the_filter_are_in_the_clusters_currency(self, asker: Asker) -> None:
        """Another currency is refused, not compared."""
        price = money_pb2.Money(currency_code="EUR", units=1)
        wanted = inventory_pb2.ItemFilter(price_min=price)
        assert asker.ask("get_all_items", filter=wanted) is Reason.CURRENCY_MISMATCH
        wanted.price_min.currency_code, wanted.price_min.nanos = "USD", 1
        assert asker.ask("get_all_items", filter=wanted) is Reason.INVALID_FIELD

    def test_deleted_items_are_not_listed(self, asker: Asker) -> None:
        """GetItem alone finds them."""
        request = inventory_pb2.DeleteItemRequest(request_id="a", item_id=2)
        asker.hand.mutate(PRODUCER, inventory_pb2.Mutation(delete_item=request))
        assert names(asker.ask("get_all_items")) == ["Item 1", "Item 3"]
        stats = asker.ask("list_item_stats").stats
        assert [one.item_id for one in stats] == [1, 3]
        assert asker.ask("get_item_stats", item_id=2).stats.item_id == 2

    @pytest.mark.parametrize("order_by", ["weight", "price down", "price desc, name", "desc"])
    def test_an_unknown_order_is_refused(self, asker: Asker, order_by: str) -> None:
        """Nothing of it reaches the statement."""
        assert asker.ask("get_all_items", order_by=order_by) is Reason.INVALID_FIELD


class TestPageTokens:
    """A token is the caller's bytes, until it proves to be ours."""

    def token(self, asker: Asker, order_by: str = "") -> str:
        """Return the token of a second page."""
        page = asker.ask("get_all_items", page_size=1, order_by=order_by)
        assert page.next_page_token
        return str(page.next_page_token)

    def test_a_token_belongs_to_its_question(self, asker: Asker) -> None:
        """Another order, filter or kind of question refuses it; another size does not."""
        token = self.token(asker)
        assert len(asker.ask("get_all_items", page_size=2, page_token=token).items) == 2
        wanted = inventory_pb2.ItemFilter(name_contains="Item")
        refused = asker.ask("get_all_items", page_token=token, order_by="id desc")
        assert refused is Reason.INVALID_PAGE_TOKEN
        refused = asker.ask("get_all_items", page_token=token, filter=wanted)
        assert refused is Reason.INVALID_PAGE_TOKEN
        assert asker.ask("list_users", page_token=token) is Reason.INVALID_PAGE_TOKEN
        users = asker.ask("list_users", page_size=1).next_page_token
        assert asker.ask("list_orders", page_token=users) is Reason.INVALID_PAGE_TOKEN

    @pytest.mark.parametrize("order_by", ["", "name", "price"])
    @pytest.mark.parametrize("size", range(40))
    def test_a_forged_token_never_ends_the_thread_that_reads(
        self, asker: Asker, order_by: str, size: int
    ) -> None:
        """What SQLite could not compare is refused; what it can is a place like any other."""
        known = base64.urlsafe_b64decode(self.token(asker, order_by))[:8]
        for filling in (b"\0", b"\x7f", b"\xff"):
            forged = base64.urlsafe_b64encode(known + filling * size).decode()
            answer = asker.ask("get_all_items", page_token=forged, order_by=order_by)
            is_page = isinstance(answer, inventory_pb2.GetAllItemsResponse)
            assert is_page or answer is Reason.INVALID_PAGE_TOKEN

    @pytest.mark.parametrize("token", ["x", "ü", "e30=", "bnVsbA==", "W10=", "WzFd", "[" * 4_000])
    def test_noise_is_refused(self, asker: Asker, token: str) -> None:
        """Neither base64 nor a place."""
        assert asker.ask("get_all_items", page_token=token) is Reason.INVALID_PAGE_TOKEN
        deep = base64.urlsafe_b64encode(token.encode()).decode()
        assert asker.ask("get_all_items", page_token=deep) is Reason.INVALID_PAGE_TOKEN


class TestOrders:
    """GetOrder and ListOrders."""

    @pytest.fixture
    def placed(self, asker: Asker) -> list[int]:
        """Place four orders, the second and fourth by the second customer; return their ids."""
        hand = asker.hand
        ids = []
        for number, user_id in enumerate((CUSTOMER, SECOND_CUSTOMER) * 2):
            hand.stamp_ms += 1_000
            outcome = hand.mutate(user_id, place(f"o{number}", (1, number + 1), (3, 1)))
            assert isinstance(outcome, inventory_pb2.Outcome)
            ids.append(outcome.place_order.order.id)
        return ids

    def test_an_order_is_what_its_outcome_said(self, asker: Asker, placed: list[int]) -> None:
        """Lines, total, user and time, and the prices of that time whatever came later."""
        retry = asker.hand.mutate(CUSTOMER, place("o2", (1, 3), (3, 1)))
        assert isinstance(retry, inventory_pb2.Outcome)
        item = inventory_pb2.Item(id=1, price=usd(9))
        update = inventory_pb2.UpdateItemRequest(request_id="u", item=item)
        asker.hand.mutate(PRODUCER, inventory_pb2.Mutation(update_item=update))
        found = asker.ask("get_order", CUSTOMER, order_id=placed[2])
        assert found.order == retry.place_order.order
        assert found.revision == asker.hand.machine.applied_index

    def test_an_order_is_shown_to_its_user_and_to_keepers(
        self, asker: Asker, placed: list[int]
    ) -> None:
        """For another customer it is as if it were not there; a machine sees no order at all."""
        for user_id in (CUSTOMER, PRODUCER, ADMIN):
            assert asker.ask("get_order", user_id, order_id=placed[0]).order.user_id == CUSTOMER
        refused = (SECOND_CUSTOMER, Reason.ORDER_NOT_FOUND), (WATCHER, Reason.ROLE_NOT_ALLOWED)
        for user_id, reason in refused:
            assert asker.ask("get_order", user_id, order_id=placed[0]) is reason

    @pytest.mark.parametrize("order_id", [1, 5, 10**6, 2**63 - 1])
    def test_an_order_that_is_not_there_is_not_found(
        self, asker: Asker, placed: list[int], order_id: int
    ) -> None:
        """An item's first stock and the second line of an order are no orders."""
        assert placed[0] + 1 == 5
        assert asker.ask("get_order", order_id=order_id) is Reason.ORDER_NOT_FOUND

    def test_orders_are_listed_newest_first(self, asker: Asker, placed: list[int]) -> None:
        """A customer sees its own; page by page it is the whole."""
        assert [one.id for one in asker.ask("list_orders").orders] == placed[::-1]
        own = asker.ask("list_orders", CUSTOMER).orders
        assert [one.id for one in own] == [placed[2], placed[0]]
        page = asker.ask("list_orders", page_size=3)
        assert [one.id for one in page.orders] == placed[:0:-1]
        rest = asker.ask("list_orders", page_size=3, page_token=page.next_page_token)
        assert [one.id for one in rest.orders] == placed[:1]
        assert not rest.next_page_token


class TestStats:
    """What was sold, by the log's time."""

    def test_units_are_counted_in_the_days_before_the_logs_time(self, asker: Asker) -> None:
        """To the hour: an hour belongs to the days as a whole."""
        hand = asker.hand
        for number, (days, units) in enumerate(((31, 1), (29, 2), (6, 4), (0, 8))):
            hand.stamp_ms = START_MS + (31 - days) * DAY_MS
            hand.seat(CUSTOMER, WATCHER)  # idle for 30 days, a session ends
            hand.mutate(CUSTOMER, order(f"a{number}", 1, units))
        stats = asker.ask("get_item_stats", WATCHER, item_id=1).stats
        assert stats.units_sold_last_day == 8
        assert stats.units_sold_last_7_days == 12
        assert stats.units_sold_last_30_days == 14
        assert (stats.units_sold, stats.order_count, stats.quantity) == (15, 4, 85)
        assert stats.revenue == usd(15 * 1_250)
        assert stats.first_order_time.ToMilliseconds() == START_MS
        assert stats.last_order_time.ToMilliseconds() == hand.stamp_ms
        assert stats.as_of_time.ToMilliseconds() == hand.stamp_ms
        assert stats.create_time.ToMilliseconds() == START_MS

    def test_an_item_that_was_never_ordered_has_no_times(self, asker: Asker) -> None:
        """Absent is not 1970."""
        stats = asker.ask("get_item_stats", item_id=2).stats
        assert not stats.HasField("first_order_time")
        assert not stats.HasField("last_order_time")
        assert stats.revenue == usd(0)
        assert asker.ask("get_item_stats", item_id=9) is Reason.ITEM_NOT_FOUND

    def test_item_stats_are_listed_in_their_order(self, asker: Asker) -> None:
        """By units and by revenue, page by page."""
        asker.hand.mutate(CUSTOMER, place("a", (1, 2), (2, 50), (3, 1)))
        found = asker.ask("list_item_stats", order_by="revenue desc", page_size=2)
        assert [one.item_id for one in found.stats] == [3, 1]
        found = asker.ask(
            "list_item_stats",
            order_by="revenue desc",
            page_size=2,
            page_token=found.next_page_token,
        )
        assert [one.item_id for one in found.stats] == [2]
        found = asker.ask("list_item_stats", order_by="units_sold")
        assert [one.item_id for one in found.stats] == [3, 1, 2]

    def test_the_whole_is_the_sum_of_its_parts(self, asker: Asker) -> None:
        """Low is few and not none; deleted items count in what was sold alone."""
        asker.add_items(("few", 100, 10), ("none", 100, 0), ("gone", 5, 1))
        asker.hand.mutate(CUSTOMER, place("a", (1, 1), (2, 3)))
        asker.hand.mutate(CUSTOMER, order("b", 6, 1))
        request = inventory_pb2.DeleteItemRequest(request_id="c", item_id=6)
        asker.hand.mutate(PRODUCER, inventory_pb2.Mutation(delete_item=request))
        stats = asker.ask("get_inventory_stats")
        assert (stats.item_count, stats.total_quantity) == (5, 99 + 97 + 100 + 10)
        assert stats.stock_value == usd(99 * 1_250 + 97 * 1 + 100 * 99_999 + 10 * 100)
        assert (stats.low_stock_count, stats.out_of_stock_count) == (1, 1)
        assert (stats.order_count, stats.units_sold) == (2, 5)
        assert stats.revenue == usd(1_250 + 3 + 5)
        assert asker.ask("get_inventory_stats", low_stock_threshold=9).low_stock_count == 0

    def test_values_beyond_64_bits_are_summed_right(self, asker: Asker) -> None:
        """A price times a quantity may be 10^21; the sum of many ends at the wire's most."""
        asker.add_items(("dear", 9 * 10**11 - 1, 10**9 - 1))
        expected = (9 * 10**11 - 1) * (10**9 - 1) + 100 * (1_250 + 1 + 99_999)
        shown = asker.ask("get_inventory_stats").stock_value
        assert shown.units * 100 + shown.nanos // 10**7 == expected
        asker.add_items(("dearer", 10**12, 10**9))
        assert asker.ask("get_inventory_stats").stock_value.units == 2**63 - 1

    def test_an_empty_inventory_has_zeroes(self, tmp_path: Path) -> None:
        """Sums over nothing are not NULL."""
        database = open_database(tmp_path / "empty.db")
        asker = Asker(database)
        for number in (1, 2, 3):
            request = inventory_pb2.DeleteItemRequest(request_id=f"d{number}", item_id=number)
            asker.hand.mutate(PRODUCER, inventory_pb2.Mutation(delete_item=request))
        stats = asker.ask("get_inventory_stats")
        assert (stats.item_count, stats.total_quantity, stats.revenue) == (0, 0, usd(0))
        assert asker.ask("get_all_items").currency_code == "USD"
        database.close()


class TestAuthority:
    """A question is judged by the users of the same read transaction."""

    @pytest.mark.parametrize("kind", ["get_item_stats", "list_item_stats", "get_inventory_stats"])
    def test_customers_see_no_statistics(self, asker: Asker, kind: str) -> None:
        """Producers, admins and machines do."""
        assert asker.ask(kind, CUSTOMER) is Reason.ROLE_NOT_ALLOWED
        for user_id in (PRODUCER, ADMIN, WATCHER):
            assert asker.ask(kind, user_id) is not Reason.ROLE_NOT_ALLOWED

    def test_users_are_listed_to_admins(self, asker: Asker) -> None:
        """In the order of their ids, page by page, without their passwords."""
        for user_id in (CUSTOMER, PRODUCER, WATCHER):
            assert asker.ask("list_users", user_id) is Reason.ROLE_NOT_ALLOWED
        page = asker.ask("list_users", page_size=3)
        assert [user.name for user in page.users] == ["customer", "producer", "admin"]
        rest = asker.ask("list_users", page_size=3, page_token=page.next_page_token)
        assert [user.id for user in rest.users] == [4, 5]
        assert b"hash of" not in page.SerializeToString()

    @pytest.mark.parametrize(("user_id", "epoch"), [(CUSTOMER, 2), (99, 1), (0, 0)])
    def test_a_token_that_does_not_hold_sees_nothing(
        self, asker: Asker, user_id: int, epoch: int
    ) -> None:
        """The cluster itself asks for credentials only, and those are answered from memory."""
        assert asker.ask("get_all_items", user_id, epoch) is Reason.TOKEN_INVALID


def test_questions_of_one_batch_are_answered_from_one_state(asker: Asker) -> None:
    """Each has its ticket; a refusal among them harms no other."""
    asker.hand.flush(asker.database)
    questions = []
    for ticket, user_id in ((1, ADMIN), (2, CUSTOMER), (3, ADMIN)):
        question = forward_pb2.Question(user_id=user_id, epoch=1, session_id=user_id)
        question.query.list_users.SetInParent()
        questions.append((ticket, question))
    answers = asker.database.answer(questions)
    assert [(one.ticket, bool(one.response), bool(one.error)) for one in answers] == [
        (1, True, False),
        (2, False, True),
        (3, True, False),
    ]
