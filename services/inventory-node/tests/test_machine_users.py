"""Who may do what: role and epoch are looked up in the state, whatever a request says."""

import itertools
from dataclasses import replace

import pytest
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.machine import AdminOutcome, MutationOutcome, RefusedCommand
from inventory_node.machine.changes import Changes
from inventory_node.machine.records import UserRecord
from inventory_node.machine.users import check_query
from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    WATCHER,
    Hand,
    adjust,
    by,
    first_state,
    order,
    place,
    started,
    usd,
)
from wire.errors import Reason, details_of, reason_of
from wire.text import folded

Administration = log_pb2.Administration
ALL = (CUSTOMER, PRODUCER, ADMIN, WATCHER)


def administer(
    hand: Hand, user_id: int, administration: Administration, epoch: int = 1
) -> log_pb2.AdministrationOutcome | Reason | None:
    """Apply an administration; return its outcome, or the reason of its refusal."""
    command = log_pb2.Command(
        user_id=user_id, epoch=epoch, session_id=user_id, administration=administration
    )
    applied = hand.apply(command)[0]
    if isinstance(applied, AdminOutcome):
        return log_pb2.AdministrationOutcome.FromString(applied.outcome)
    assert isinstance(applied, RefusedCommand)
    return reason_of(status_pb2.Status.FromString(applied.status))


def create(
    request_id: str, name: str, role: auth_pb2.Role.ValueType = auth_pb2.ROLE_CUSTOMER
) -> Administration:
    """Return a user's creation."""
    user = log_pb2.NewUser(name=name, folded_name=folded(name), role=role)
    user.password_hash = "hash"  # noqa: S105 - of nothing
    return Administration(request_id=request_id, create_user=log_pb2.CreateUser(user=user))


def set_password(request_id: str, user_id: int) -> Administration:
    """Return a change of a password."""
    request = log_pb2.SetPassword(user_id=user_id, password_hash="other")  # noqa: S106 - of nothing
    return Administration(request_id=request_id, set_password=request)


def disable(request_id: str, user_id: int) -> Administration:
    """Return a user's end."""
    return Administration(
        request_id=request_id, disable_user=auth_pb2.DisableUserRequest(user_id=user_id)
    )


def mutations() -> list[inventory_pb2.Mutation]:
    """Return one of each kind, with ids that are all different."""
    number = itertools.count()
    add = inventory_pb2.AddItemRequest(request_id=f"m{next(number)}", name="Desk", price=usd(1))
    item = inventory_pb2.Item(id=2, name="Lamp")
    update = inventory_pb2.UpdateItemRequest(request_id=f"m{next(number)}", item=item)
    count = inventory_pb2.SetStockRequest(request_id=f"m{next(number)}", item_id=2, quantity=9)
    delete = inventory_pb2.DeleteItemRequest(request_id=f"m{next(number)}", item_id=3)
    return [
        order(f"m{next(number)}"),
        place(f"m{next(number)}", (1, 1)),
        inventory_pb2.Mutation(add_item=add),
        inventory_pb2.Mutation(update_item=update),
        adjust(f"m{next(number)}", 1, 1),
        inventory_pb2.Mutation(set_stock=count),
        inventory_pb2.Mutation(delete_item=delete),
    ]


@pytest.mark.parametrize("user_id", ALL)
@pytest.mark.parametrize("mutation", mutations(), ids=lambda one: one.WhichOneof("operation"))
def test_each_role_makes_its_mutations_and_no_others(
    user_id: int, mutation: inventory_pb2.Mutation
) -> None:
    """Customers and admins order; producers and admins keep the items; machines change nothing."""
    ordering = mutation.WhichOneof("operation") in ("order_item", "place_order")
    allowed = user_id in ((CUSTOMER, ADMIN) if ordering else (PRODUCER, ADMIN))
    status = started().mutate(user_id, mutation)
    if allowed:
        assert isinstance(status, inventory_pb2.Outcome)
    else:
        assert isinstance(status, status_pb2.Status)
        assert reason_of(status) is Reason.ROLE_NOT_ALLOWED


def test_a_role_cannot_be_taken_from_a_request() -> None:
    """The predecessor believed the role that a request carried; here no field could carry one."""
    fields = {field.name for field in log_pb2.Command.DESCRIPTOR.fields}
    assert fields == {
        "user_id", "epoch", "session_id", "mutation", "administration", "probe", "source",
    }  # fmt: skip
    for kind in inventory_pb2.Mutation.DESCRIPTOR.fields:
        assert kind.message_type is not None
        assert "role" not in {field.name for field in kind.message_type.fields}


@pytest.mark.parametrize(
    ("user_id", "epoch"), [(CUSTOMER, 0), (CUSTOMER, 2), (99, 1), (0, 0), (0, 1), (-1, 1)]
)
def test_a_token_of_another_epoch_or_of_nobody_does_not_hold(user_id: int, epoch: int) -> None:
    """Nor does the cluster itself order: user 0 is for administration alone."""
    hand = started()
    status = hand.mutate(user_id, order("a"), epoch)
    assert isinstance(status, status_pb2.Status)
    assert reason_of(status) is Reason.TOKEN_INVALID
    assert isinstance(hand.mutate(CUSTOMER, order("a")), inventory_pb2.Outcome)


def test_a_refusal_for_want_of_authority_is_not_remembered() -> None:
    """The same request may go through after the user was let in again."""
    hand = started()
    command = by(CUSTOMER, order("a"), epoch=2)
    assert isinstance(hand.apply(command)[0], RefusedCommand)
    administer(hand, ADMIN, set_password("b", CUSTOMER))
    assert isinstance(hand.apply(command)[0], MutationOutcome)


def test_a_password_ends_the_tokens_of_its_user_alone() -> None:
    """Each user may set its own; another's takes an admin."""
    hand = started()
    assert administer(hand, CUSTOMER, set_password("a", SECOND_CUSTOMER)) is (
        Reason.ROLE_NOT_ALLOWED
    )
    outcome = administer(hand, CUSTOMER, set_password("b", CUSTOMER))
    assert isinstance(outcome, log_pb2.AdministrationOutcome)
    assert outcome.user.id == CUSTOMER
    old = hand.mutate(CUSTOMER, order("c"))
    assert isinstance(old, status_pb2.Status)
    assert reason_of(old) is Reason.TOKEN_INVALID
    assert isinstance(hand.mutate(CUSTOMER, order("d"), epoch=2), inventory_pb2.Outcome)
    assert isinstance(hand.mutate(SECOND_CUSTOMER, order("e")), inventory_pb2.Outcome)
    assert administer(hand, ADMIN, set_password("f", 99)) is Reason.USER_NOT_FOUND


def test_users_are_made_by_admins_with_names_and_ids_of_their_own() -> None:
    """A name is never used again, not even a disabled user's."""
    hand = started()
    assert administer(hand, PRODUCER, create("a", "new")) is Reason.ROLE_NOT_ALLOWED
    outcome = administer(hand, ADMIN, create("b", "new"))
    assert isinstance(outcome, log_pb2.AdministrationOutcome)
    assert (outcome.user.id, outcome.user.name) == (6, "new")
    assert outcome.user.create_time.ToMilliseconds() == START_MS
    administer(hand, ADMIN, disable("c", 6))
    assert administer(hand, ADMIN, create("d", "new")) is Reason.USER_EXISTS
    assert administer(hand, ADMIN, create("e", "newer")) != outcome
    hand.seat(7)
    assert isinstance(hand.mutate(7, order("f")), inventory_pb2.Outcome)


def test_a_disabled_user_is_at_an_end() -> None:
    """Its tokens do not hold, and its credential is not shown."""
    hand = started()
    assert isinstance(
        administer(hand, ADMIN, disable("a", CUSTOMER)), log_pb2.AdministrationOutcome
    )
    for epoch in (1, 2):
        status = hand.mutate(CUSTOMER, order(f"b{epoch}"), epoch)
        assert isinstance(status, status_pb2.Status)
        assert reason_of(status) is Reason.TOKEN_INVALID
    assert not credential(hand, "customer").HasField("user")
    assert administer(hand, ADMIN, disable("c", 99)) is Reason.USER_NOT_FOUND


def test_the_last_admin_stays() -> None:
    """While there are others, any may go."""
    hand = started()
    assert administer(hand, ADMIN, disable("a", ADMIN)) is Reason.LAST_ADMIN
    for name in ("root", "chief"):
        administer(hand, ADMIN, create(name, name, auth_pb2.ROLE_ADMIN))
    hand.seat(6, 7)
    for admin in (ADMIN, 6):
        outcome = administer(hand, admin, disable("b", admin))
        assert isinstance(outcome, log_pb2.AdministrationOutcome)
    assert administer(hand, 7, disable("c", 7)) is Reason.LAST_ADMIN


def test_an_administration_that_came_before_is_answered_as_before() -> None:
    """A retry makes no second user; another one under the same id is refused."""
    hand = started()
    first = administer(hand, ADMIN, create("a", "new"))
    assert administer(hand, ADMIN, create("a", "new")) == first
    assert administer(hand, ADMIN, create("a", "other")) is Reason.REQUEST_ID_REUSED


def test_a_checkpoint_says_where_it_stands_and_a_retry_hashes_nothing() -> None:
    """Admins and the cluster itself may ask for one."""
    hand = started()
    asked = Administration(request_id="a", checkpoint=log_pb2.Checkpoint())
    assert administer(hand, CUSTOMER, asked) is Reason.ROLE_NOT_ALLOWED
    command = log_pb2.Command(user_id=ADMIN, epoch=1, session_id=ADMIN, administration=asked)
    first, again = hand.apply(command)[0], hand.apply(command)[0]
    assert isinstance(first, AdminOutcome)
    assert isinstance(again, AdminOutcome)
    assert (first.checkpoint, again.checkpoint) == (True, False)
    assert first.outcome == again.outcome
    assert log_pb2.AdministrationOutcome.FromString(first.outcome).checkpoint_index == 3
    own = hand.apply(log_pb2.Command(administration=asked))[0]
    assert isinstance(own, AdminOutcome)
    assert own.checkpoint


def test_only_the_first_initialize_changes_anything() -> None:
    """A leader that did not know of it proposes again; a user may not at all."""
    hand = started()
    again = hand.apply(first_state())[0]
    assert isinstance(again, AdminOutcome)
    assert not log_pb2.AdministrationOutcome.FromString(again.outcome).initialized
    assert hand.machine.cluster_id == "cluster"
    command = first_state()
    command.user_id, command.epoch, command.session_id = ADMIN, 1, ADMIN
    assert isinstance(hand.apply(command)[0], RefusedCommand)
    assert isinstance(Hand().apply(command)[0], RefusedCommand)


def test_a_name_stands_once_in_the_first_state() -> None:
    """Of two users whose names read the same, the first is made."""
    command = first_state()
    new = command.administration.initialize.users.add(name="ADMIN", folded_name="admin")
    new.role = auth_pb2.ROLE_CUSTOMER
    hand = Hand()
    hand.apply(command)
    assert credential(hand, "admin").user.id == ADMIN
    outcome = administer(hand, ADMIN, create("a", "new"))
    assert isinstance(outcome, log_pb2.AdministrationOutcome)
    assert outcome.user.id == 6


def with_health() -> tuple[Hand, int]:
    """Return a machine that knows the machine user `health`, and its id."""
    hand = started()
    administer(hand, ADMIN, create("a", "health", auth_pb2.ROLE_MACHINE))
    hand.seat(6)
    return hand, 6


def probe(user_id: int, epoch: int = 1) -> log_pb2.Command:
    """Return a probe."""
    return log_pb2.Command(user_id=user_id, epoch=epoch, session_id=user_id, probe=log_pb2.Probe())


def test_a_probe_is_for_admins_and_the_machine_user_health() -> None:
    """No other machine, no customer of that name elsewhere, not the cluster, no old token."""
    hand, health = with_health()
    for user_id in (ADMIN, health):
        [applied] = hand.apply(probe(user_id))
        assert isinstance(applied, AdminOutcome)
        outcome = log_pb2.AdministrationOutcome.FromString(applied.outcome)
        assert outcome.revision == hand.machine.applied_index
        assert outcome.WhichOneof("result") is None
        assert not applied.checkpoint
    for user_id in (CUSTOMER, PRODUCER, WATCHER):
        [refused] = hand.apply(probe(user_id))
        assert isinstance(refused, RefusedCommand)
        status = status_pb2.Status.FromString(refused.status)
        assert reason_of(status) is Reason.ROLE_NOT_ALLOWED
    for user_id, epoch in ((0, 0), (health, 2), (99, 1)):
        [refused] = hand.apply(probe(user_id, epoch))
        assert isinstance(refused, RefusedCommand)
        status = status_pb2.Status.FromString(refused.status)
        assert reason_of(status) is Reason.TOKEN_INVALID


def test_a_probe_leaves_nothing_behind() -> None:
    """No row of any table, no request that is remembered, no counter; only the log is longer."""
    hand, health = with_health()
    before = hand.machine.take_changes()
    hand.apply(probe(health), probe(ADMIN), probe(CUSTOMER))
    after = hand.machine.take_changes()
    assert before is not None
    assert after is not None
    index = before.header.applied_index + 1
    assert after == Changes(header=replace(before.header, applied_index=index))


def test_health_may_probe_and_read_who_it_is_and_nothing_else() -> None:
    """Whoever steals its key learns nothing of the business, and cannot even change the key."""
    hand, health = with_health()
    user = user_of(hand, health)
    kinds = [field.name for field in forward_pb2.Query.DESCRIPTOR.fields]
    assert [kind for kind in kinds if check_query(user, kind) is None] == ["get_current_user"]
    query = forward_pb2.Query(get_item=inventory_pb2.GetItemRequest(item_id=1))
    question = forward_pb2.Question(user_id=health, epoch=1, session_id=health, query=query)
    assert isinstance(hand.machine.answer(question), RefusedCommand)
    assert administer(hand, health, set_password("b", health)) is Reason.ROLE_NOT_ALLOWED
    assert administer(hand, WATCHER, set_password("c", WATCHER)) is Reason.ROLE_NOT_ALLOWED
    other = administer(hand, ADMIN, set_password("d", WATCHER))
    assert isinstance(other, log_pb2.AdministrationOutcome)
    for mutation in mutations():
        status = hand.mutate(health, mutation)
        assert isinstance(status, status_pb2.Status)
        assert reason_of(status) is Reason.ROLE_NOT_ALLOWED


def test_a_machine_sees_items_and_totals_and_nobodys_orders() -> None:
    """Metrics are of the business, not of its customers."""
    hand, _ = with_health()
    user = user_of(hand, WATCHER)
    kinds = {field.name for field in forward_pb2.Query.DESCRIPTOR.fields}
    assert {kind for kind in kinds if check_query(user, kind) is None} == {
        "get_current_user", "get_item", "get_all_items", "get_item_stats", "list_item_stats",
        "get_inventory_stats", "list_sessions",
    }  # fmt: skip


def user_of(hand: Hand, user_id: int) -> UserRecord:
    """Return a user who is there."""
    user = hand.machine._cache.user(user_id)
    assert user is not None
    return user


def credential(hand: Hand, name: str) -> forward_pb2.Credential:
    """Ask for a credential as the gateway does."""
    query = forward_pb2.Query(get_credential=forward_pb2.GetCredential(folded_name=name))
    answer = hand.machine.answer(forward_pb2.Question(query=query))
    assert isinstance(answer, MutationOutcome)
    return forward_pb2.Credential.FromString(answer.outcome)


@pytest.mark.parametrize("other", ["Öl", "öl", "ÖL", "O\u0308L"])
def test_a_login_name_is_taken_in_every_case_and_form(other: str) -> None:
    """Nobody can pass for somebody else by a name that reads the same; each form logs in."""
    hand = started()
    made = administer(hand, ADMIN, create("a", "Öl"))
    assert isinstance(made, log_pb2.AdministrationOutcome)
    assert administer(hand, ADMIN, create("b", other)) is Reason.USER_EXISTS
    assert credential(hand, folded(other)).user.name == "Öl"


def test_a_credential_is_shown_to_the_gateway_alone() -> None:
    """No user reads a password's hash, an admin neither."""
    hand = started()
    found = credential(hand, "producer")
    assert (found.user.id, found.epoch, found.password_hash) == (PRODUCER, 1, "hash of producer")
    assert credential(hand, "nobody") == forward_pb2.Credential()
    query = forward_pb2.Query(get_credential=forward_pb2.GetCredential(folded_name="producer"))
    asked = forward_pb2.Question(user_id=ADMIN, epoch=1, session_id=ADMIN, query=query)
    answer = hand.machine.answer(asked)
    assert isinstance(answer, RefusedCommand)
    told = details_of(status_pb2.Status.FromString(answer.status))
    assert told == {"role": "user", "needed": "the gateway itself"}


QUERIES = [field.name for field in forward_pb2.Query.DESCRIPTOR.fields]


@pytest.mark.parametrize("kind", QUERIES)
def test_before_the_first_state_no_question_is_answered(kind: str) -> None:
    """Nobody is unknown and no password wrong: the users are not there yet."""
    question = forward_pb2.Question(user_id=0 if kind == "get_credential" else ADMIN, epoch=1)
    getattr(question.query, kind).SetInParent()
    answer = Hand().machine.answer(question)
    assert isinstance(answer, RefusedCommand)
    status = status_pb2.Status.FromString(answer.status)
    assert reason_of(status) is Reason.NOT_INITIALIZED


@pytest.mark.parametrize(
    "command",
    [
        *(log_pb2.Command(mutation=mutation) for mutation in mutations()),
        log_pb2.Command(administration=create("a", "Ann")),
        log_pb2.Command(administration=set_password("a", ADMIN)),
        log_pb2.Command(administration=Administration(checkpoint=log_pb2.Checkpoint())),
        log_pb2.Command(probe=log_pb2.Probe()),
    ],
    ids=lambda command: command.WhichOneof("kind") or "",
)
def test_before_the_first_state_no_command_is_taken(command: log_pb2.Command) -> None:
    """No token is called invalid for that, and nothing is remembered."""
    command.user_id, command.epoch, command.session_id = ADMIN, 1, ADMIN
    hand = Hand()
    [refused] = hand.apply(command)
    assert isinstance(refused, RefusedCommand)
    assert reason_of(status_pb2.Status.FromString(refused.status)) is Reason.NOT_INITIALIZED


def test_reads_by_id_are_answered_from_memory_at_the_applied_revision() -> None:
    """An order shows in the next read though nothing was flushed."""
    hand = started()
    hand.mutate(CUSTOMER, order("a", 1, 3))
    query = forward_pb2.Query(get_item=inventory_pb2.GetItemRequest(item_id=1))
    answer = hand.machine.answer(
        forward_pb2.Question(user_id=WATCHER, epoch=1, session_id=WATCHER, query=query)
    )
    assert isinstance(answer, MutationOutcome)
    response = inventory_pb2.GetItemResponse.FromString(answer.outcome)
    assert (response.item.quantity, response.revision) == (97, 2)
    query.get_item.item_id = 9
    answer = hand.machine.answer(
        forward_pb2.Question(user_id=CUSTOMER, epoch=1, session_id=CUSTOMER, query=query)
    )
    assert isinstance(answer, RefusedCommand)
    assert reason_of(status_pb2.Status.FromString(answer.status)) is Reason.ITEM_NOT_FOUND
    who = forward_pb2.Query(get_current_user=auth_pb2.GetCurrentUserRequest())
    answer = hand.machine.answer(
        forward_pb2.Question(user_id=ADMIN, epoch=1, session_id=ADMIN, query=who)
    )
    assert isinstance(answer, MutationOutcome)
    assert auth_pb2.GetCurrentUserResponse.FromString(answer.outcome).user.name == "admin"
    answer = hand.machine.answer(
        forward_pb2.Question(user_id=ADMIN, epoch=9, session_id=ADMIN, query=who)
    )
    assert isinstance(answer, RefusedCommand)


def test_what_takes_a_query_is_left_to_the_store() -> None:
    """A list is not answered from memory."""
    query = forward_pb2.Query(list_orders=inventory_pb2.ListOrdersRequest())
    asked = forward_pb2.Question(user_id=ADMIN, epoch=1, session_id=ADMIN, query=query)
    assert started().machine.answer(asked) is None


@pytest.mark.parametrize(
    ("user_id", "query", "role", "needed"),
    [
        (CUSTOMER, "list_users", "customer", "admin"),
        (CUSTOMER, "get_item_stats", "customer", "producer or admin or machine or viewer"),
        (6, "get_item", "of health", "another user"),
        (ADMIN, "get_credential", "admin", "the gateway itself"),
    ],
)
def test_who_may_not_ask_is_told_whom_it_takes(
    user_id: int, query: str, role: str, needed: str
) -> None:
    """In words, not in names of the schema."""
    hand, _ = with_health()
    refused = check_query(user_of(hand, user_id), query)
    assert refused is not None
    assert details_of(refused) == {"role": role, "needed": needed}


@pytest.mark.parametrize("name", [field.name for field in forward_pb2.Query.DESCRIPTOR.fields])
def test_every_query_has_its_roles(name: str) -> None:
    """A query that is added without saying who may ask it fails here."""
    refused = check_query(user_of(started(), CUSTOMER), name)
    everybody = {
        "get_all_items", "get_item", "get_order", "list_orders", "get_current_user",
        "list_sessions",
    }  # fmt: skip
    assert (refused is None) == (name in everybody)
