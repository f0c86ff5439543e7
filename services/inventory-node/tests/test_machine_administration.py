"""What becomes of a user: enabled, renamed, deleted, given another role or another password."""

from pathlib import Path

import pytest
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import AdminOutcome, MutationOutcome, RefusedCommand
from inventory_node.machine.users import check_query
from sim import histories
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    WATCHER,
    Hand,
    entry,
    first_state,
    open_database,
    order,
    started,
)
from sim.tables import check_flushed
from sim.watched_machine import WatchedMachine
from wire.errors import Reason, reason_of
from wire.text import folded

Administration = log_pb2.Administration
VIEWER = auth_pb2.ROLE_VIEWER


def administer(
    hand: Hand, user_id: int, administration: Administration, epoch: int = 1
) -> auth_pb2.User | Reason | None:
    """Apply an administration; return the user that it leaves, or the reason of its refusal."""
    [applied] = hand.apply(histories.administrate(user_id, epoch, administration))
    if isinstance(applied, AdminOutcome):
        return log_pb2.AdministrationOutcome.FromString(applied.outcome).user
    assert isinstance(applied, RefusedCommand)
    return reason_of(status_pb2.Status.FromString(applied.status))


def changed(hand: Hand, administration: Administration) -> auth_pb2.User:
    """Have an admin make a change that is not refused; return the user that it leaves."""
    user = administer(hand, ADMIN, administration)
    assert isinstance(user, auth_pb2.User)
    return user


def ordered(hand: Hand, request_id: str, user_id: int, epoch: int = 1) -> Reason | None:
    """Order one; return the reason of the refusal, None where there is none."""
    outcome = hand.mutate(user_id, order(request_id), epoch)
    return None if isinstance(outcome, inventory_pb2.Outcome) else reason_of(outcome)


def credential(hand: Hand, name: str) -> forward_pb2.Credential:
    """Ask for a credential as the gateway does."""
    query = forward_pb2.Query(get_credential=forward_pb2.GetCredential(folded_name=folded(name)))
    answer = hand.machine.answer(forward_pb2.Question(query=query))
    assert isinstance(answer, MutationOutcome)
    return forward_pb2.Credential.FromString(answer.outcome)


def hash_of(hand: Hand, name: str) -> str:
    """Return the hash of a user's password."""
    return credential(hand, name).password_hash


def test_a_user_who_is_enabled_logs_in_again_and_old_tokens_stay_ended() -> None:
    """Disabling ended them; enabling twice changes nothing."""
    hand = started()
    changed(hand, histories.disable("a", CUSTOMER))
    assert ordered(hand, "b", CUSTOMER) is Reason.TOKEN_INVALID
    for request_id in ("c", "d"):
        assert not changed(hand, histories.enable(request_id, CUSTOMER)).disabled
    assert ordered(hand, "e", CUSTOMER) is Reason.TOKEN_INVALID
    assert ordered(hand, "f", CUSTOMER, epoch=2) is None
    assert credential(hand, "customer").epoch == 2


def test_a_renamed_user_is_the_same_user() -> None:
    """It logs in by the other name alone; its tokens hold on, and the old name is free."""
    hand = started()
    assert changed(hand, histories.rename("a", CUSTOMER, "Ann")).name == "Ann"
    assert ordered(hand, "b", CUSTOMER) is None
    assert not credential(hand, "customer").HasField("user")
    assert credential(hand, "ANN").user.id == CUSTOMER
    other = histories.create("c", "customer", auth_pb2.ROLE_CUSTOMER)
    assert changed(hand, other).id == 6
    assert changed(hand, histories.rename("d", CUSTOMER, "ANN")).name == "ANN"
    assert administer(hand, ADMIN, histories.rename("e", CUSTOMER, "Customer")) is (
        Reason.USER_EXISTS
    )
    assert administer(hand, ADMIN, histories.rename("f", 99, "Bob")) is Reason.USER_NOT_FOUND


def test_another_role_counts_at_once_and_ends_the_tokens_of_before() -> None:
    """The same role again changes nothing."""
    hand = started()
    assert changed(hand, histories.change_role("a", CUSTOMER, VIEWER)).role == VIEWER
    assert ordered(hand, "b", CUSTOMER) is Reason.TOKEN_INVALID
    assert ordered(hand, "c", CUSTOMER, epoch=2) is Reason.ROLE_NOT_ALLOWED
    changed(hand, histories.change_role("d", CUSTOMER, VIEWER))
    assert ordered(hand, "e", CUSTOMER, epoch=2) is Reason.ROLE_NOT_ALLOWED
    changed(hand, histories.change_role("f", CUSTOMER, auth_pb2.ROLE_CUSTOMER))
    assert ordered(hand, "g", CUSTOMER, epoch=3) is None


def test_a_deleted_user_is_at_an_end_and_its_orders_keep_it() -> None:
    """Its id is never used again, its name may be, and no hash of its password is kept."""
    hand = started()
    assert ordered(hand, "a", CUSTOMER) is None
    gone = changed(hand, histories.delete_user("b", CUSTOMER))
    assert gone.HasField("delete_time")
    for epoch in (1, 2):
        assert ordered(hand, f"c{epoch}", CUSTOMER, epoch) is Reason.TOKEN_INVALID
    assert not credential(hand, "customer").HasField("user")
    for number, change in enumerate(
        (histories.delete_user, histories.enable, histories.disable, histories.set_password)
    ):
        assert administer(hand, ADMIN, change(f"d{number}", CUSTOMER)) is Reason.USER_DELETED
    assert administer(hand, ADMIN, histories.rename("e", CUSTOMER, "x")) is Reason.USER_DELETED
    assert administer(hand, ADMIN, histories.change_role("f", CUSTOMER, VIEWER)) is (
        Reason.USER_DELETED
    )
    again = changed(hand, histories.create("g", "customer", auth_pb2.ROLE_CUSTOMER))
    assert again.id == 6
    changes = hand.machine.take_changes()
    assert changes is not None
    assert changes.movements[-1].user_id == CUSTOMER
    [row] = [row for row in changes.users if row[0] == CUSTOMER]
    assert "hash of customer" not in row


@pytest.mark.parametrize(
    "change",
    [
        histories.disable("a", ADMIN),
        histories.delete_user("a", ADMIN),
        histories.change_role("a", ADMIN, VIEWER),
    ],
    ids=lambda change: change.WhichOneof("operation"),
)
def test_the_last_admin_is_neither_disabled_nor_deleted_nor_demoted(change: Administration) -> None:
    """A disabled admin does not count; an enabled one does."""
    hand = started()
    assert administer(hand, ADMIN, change) is Reason.LAST_ADMIN
    changed(hand, histories.create("b", "root", auth_pb2.ROLE_ADMIN))
    hand.seat(6)
    changed(hand, histories.disable("c", 6))
    change.request_id = "d"
    assert administer(hand, ADMIN, change) is Reason.LAST_ADMIN
    changed(hand, histories.enable("e", 6))
    change.request_id = "f"
    assert isinstance(administer(hand, 6, change, epoch=2), auth_pb2.User)
    assert administer(hand, 6, histories.disable("g", 6), epoch=2) is Reason.LAST_ADMIN


def test_users_are_changed_by_admins_alone() -> None:
    """Not even one's own name, role or state."""
    hand = started()
    viewer = changed(hand, histories.create("a", "viewer", VIEWER)).id
    hand.seat(viewer)
    for user_id in (CUSTOMER, PRODUCER, WATCHER, viewer):
        for number, change in enumerate(
            (
                histories.enable(f"b{user_id}", user_id),
                histories.disable(f"c{user_id}", user_id),
                histories.delete_user(f"d{user_id}", user_id),
                histories.rename(f"e{user_id}", user_id, "me"),
                histories.change_role(f"f{user_id}", user_id, auth_pb2.ROLE_ADMIN),
            )
        ):
            refused = administer(hand, user_id, change)
            assert refused is Reason.ROLE_NOT_ALLOWED, (user_id, number)


def test_a_viewer_reads_items_and_totals_and_nobodys_orders() -> None:
    """It changes nothing but its own password."""
    hand = started()
    viewer = changed(hand, histories.create("a", "viewer", VIEWER)).id
    hand.seat(viewer)
    user = hand.machine._cache.user(viewer)
    assert user is not None
    kinds = {field.name for field in forward_pb2.Query.DESCRIPTOR.fields}
    assert {kind for kind in kinds if check_query(user, kind) is None} == {
        "get_current_user", "get_item", "get_all_items", "get_item_stats", "list_item_stats",
        "get_inventory_stats", "list_sessions",
    }  # fmt: skip
    assert ordered(hand, "b", viewer) is Reason.ROLE_NOT_ALLOWED
    assert isinstance(administer(hand, viewer, histories.set_password("c", viewer)), auth_pb2.User)


def test_who_must_change_the_password_may_do_nothing_else() -> None:
    """Neither order, nor administrate, nor read, nor probe; its own password ends that."""
    hand = started()
    create = histories.create("a", "new", auth_pb2.ROLE_ADMIN, must_change=True)
    new = changed(hand, create).id
    hand.seat(new)
    assert ordered(hand, "b", new) is Reason.PASSWORD_CHANGE_NEEDED
    for administration in (histories.checkpoint("c"), histories.set_password("d", CUSTOMER)):
        assert administer(hand, new, administration) is Reason.PASSWORD_CHANGE_NEEDED
    [refused] = hand.apply(histories.probe(new, 1))
    assert isinstance(refused, RefusedCommand)
    user = hand.machine._cache.user(new)
    assert user is not None
    kinds = [field.name for field in forward_pb2.Query.DESCRIPTOR.fields]
    assert [kind for kind in kinds if check_query(user, kind) is None] == ["get_current_user"]
    own = administer(hand, new, histories.set_password("e", new, must_change=True))
    assert isinstance(own, auth_pb2.User)
    assert not own.must_change_password
    assert ordered(hand, "f", new, epoch=2) is None
    reset = changed(hand, histories.set_password("g", new, must_change=True))
    assert reset.must_change_password
    assert ordered(hand, "h", new, epoch=3) is Reason.PASSWORD_CHANGE_NEEDED


def test_a_hash_is_upgraded_by_its_user_alone_and_ends_no_token() -> None:
    """A machine's too. A hash that was replaced meanwhile stays."""
    hand = started()
    first = histories.upgrade_hash("a", "hash of customer")
    assert isinstance(administer(hand, CUSTOMER, first), auth_pb2.User)
    assert hash_of(hand, "customer") == "hash a"
    assert isinstance(administer(hand, CUSTOMER, first), auth_pb2.User)
    late = histories.upgrade_hash("b", "hash of customer")
    administer(hand, CUSTOMER, late)
    assert hash_of(hand, "customer") == "hash a"
    assert ordered(hand, "c", CUSTOMER) is None
    changed(hand, histories.set_password("d", CUSTOMER))
    race = histories.upgrade_hash("e", "hash a")
    assert administer(hand, CUSTOMER, race) is Reason.TOKEN_INVALID
    assert hash_of(hand, "customer") == "hash d"
    administer(hand, WATCHER, histories.upgrade_hash("f", "hash of watcher"))
    assert hash_of(hand, "watcher") == "hash f"


def test_names_that_change_hands_are_flushed_and_found(tmp_path: Path) -> None:
    """Two users swap names between two flushes, and a third takes a deleted user's."""
    database = open_database(tmp_path / "state.db")
    try:
        machine = WatchedMachine(database)
        hand = started()
        log = [
            *(entry(1, 1, first_state()),),
            entry(
                2,
                1,
                *(
                    histories.administrate(ADMIN, 1, one)
                    for one in (
                        histories.rename("a", CUSTOMER, "between"),
                        histories.rename("b", SECOND_CUSTOMER, "customer"),
                        histories.rename("c", CUSTOMER, "second customer"),
                        histories.delete_user("d", PRODUCER),
                        histories.create("e", "Producer", auth_pb2.ROLE_PRODUCER),
                    )
                ),
            ),
        ]
        for one in log:
            for applied in machine.apply(one):
                assert isinstance(applied, AdminOutcome)
            changes = machine.take_changes()
            assert changes is not None
            database.flush(changes)
            machine.flushed()
            check_flushed(machine, database)
        machine.reload()
        hand.machine = machine
        assert credential(hand, "customer").user.id == SECOND_CUSTOMER
        assert credential(hand, "second customer").user.id == CUSTOMER
        assert credential(hand, "producer").user.id == 6
    finally:
        database.close()
