"""Histories for a state machine, drawn by hypothesis: batches of commands, at times apart.

Ids are few, so that retries and reuse are frequent. Times, quantities and prices stand at the edges
of what the rules tell apart, and one to each side of them.
"""

from hashlib import sha256
from typing import TypeVar

from google.type import money_pb2
from hypothesis import strategies as st
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from raft.messages import Entry
from wire import money
from wire.text import folded

from sim.machines import (
    ADMIN,
    CUSTOMER,
    PRODUCER,
    SECOND_CUSTOMER,
    START_MS,
    STOCK,
    WATCHER,
    adjust,
    by,
    entry,
    first_state,
    order,
    place,
    uuid7,
)

T = TypeVar("T")
Command = log_pb2.Command
Mutation = inventory_pb2.Mutation
History = list[tuple[int, list[Command]]]  # milliseconds since the entry before, and its commands

ITEMS = 5
SECOND_MS, HOUR_MS, DAY_MS = 1_000, 3_600_000, 86_400_000
DAY_SECONDS, AHEAD_SECONDS = 86_400, 10
PERIOD_MS = 6 * HOUR_MS  # of the request table
IDLE_MS = 30 * DAY_MS  # of a session
LIFE_MS = PERIOD_MS + DAY_MS + AHEAD_SECONDS * SECOND_MS  # from a period's begin to its end
PRICES = (0, 1, 1_250, 10**9, 10**9 + 1, 10**12, 10**12 + 1)
QUANTITIES = (0, 1, 2, STOCK - 1, STOCK, STOCK + 1, 10**9 - STOCK, 10**9 - 1, 10**9)
NAMES = ("ann", "Ann", "Öl", "O\u0308L", "health", "bob")


def often(*weighted: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """Draw from one of (weight, strategy)s; `one_of` would draw from each as often."""
    choices = [one for weight, one in weighted for _ in range(weight)]
    return st.sampled_from(choices).flatmap(lambda one: one)


users = st.sampled_from((CUSTOMER, SECOND_CUSTOMER, PRODUCER, PRODUCER, ADMIN, ADMIN, WATCHER, 6))
epochs = st.sampled_from((1, 1, 1, 1, 1, 2))
item_ids = st.sampled_from((1, 1, 2, 3, 4, ITEMS))
quantities = st.one_of(st.sampled_from(QUANTITIES), st.integers(0, 60))
orderable = quantities.filter(bool)

_edges = (-DAY_SECONDS, 0, AHEAD_SECONDS)
timed_ids = st.builds(
    uuid7,
    st.sampled_from(
        [START_MS + (edge + side) * SECOND_MS for edge in _edges for side in (-1, 0, 1)]
        + [START_MS + DAY_MS, START_MS + DAY_MS + 9_000, START_MS + 999, START_MS + 2_000]
    ),
    st.integers(0, 1),
)
named_ids = st.sampled_from([f"id-{number}" for number in range(8)])
fresh_ids = st.uuids(version=4).map(str)
request_ids = often((7, fresh_ids), (2, named_ids), (2, timed_ids))
prices = often(
    (6, st.sampled_from(PRICES).map(lambda minor: money.from_minor(minor, "USD", 2))),
    (2, st.sampled_from((0, 5)).map(lambda minor: money.from_minor(minor, "EUR", 2))),
    (1, st.just(money.from_minor(1, "USD", 3))),
    (1, st.just(money_pb2.Money(units=1))),
)


def add(
    request_id: str, name: str, description: str, price: money_pb2.Money, quantity: int
) -> Mutation:
    """Return an added item."""
    request = inventory_pb2.AddItemRequest(
        request_id=request_id,
        name=name,
        description=description,
        price=price,
        quantity=quantity,
    )
    return Mutation(add_item=request)


def update(
    request_id: str,
    item: inventory_pb2.Item,
    mask: list[str] | None,
) -> Mutation:
    """Return an update of the item's fields that a mask names; None: no mask."""
    request = inventory_pb2.UpdateItemRequest(request_id=request_id, item=item)
    if mask is not None:
        request.update_mask.paths.extend(mask)
    return Mutation(update_item=request)


def delete(request_id: str, item_id: int) -> Mutation:
    """Return a deletion."""
    request = inventory_pb2.DeleteItemRequest(request_id=request_id, item_id=item_id)
    return Mutation(delete_item=request)


def set_level(request_id: str, item_id: int, quantity: int, expected: int | None) -> Mutation:
    """Return a count of stock; None: whatever the level was."""
    request = inventory_pb2.SetStockRequest(
        request_id=request_id, item_id=item_id, quantity=quantity, expected_quantity=expected
    )
    return Mutation(set_stock=request)


def create(
    request_id: str, name: str, role: int, *, must_change: bool = False
) -> log_pb2.Administration:
    """Return a user's creation."""
    user = log_pb2.NewUser(name=name, folded_name=folded(name), password_hash=f"hash {request_id}")
    user.role = auth_pb2.Role.ValueType(role)
    user.must_change_password = must_change
    create = log_pb2.CreateUser(user=user)
    return log_pb2.Administration(request_id=request_id, create_user=create)


def set_password(
    request_id: str, user_id: int, *, must_change: bool = False
) -> log_pb2.Administration:
    """Return a change of a password."""
    password = log_pb2.SetPassword(user_id=user_id, password_hash=f"hash {request_id}")
    password.must_change_password = must_change
    return log_pb2.Administration(request_id=request_id, set_password=password)


def disable(request_id: str, user_id: int) -> log_pb2.Administration:
    """Return a user's suspension."""
    disable = auth_pb2.DisableUserRequest(user_id=user_id)
    return log_pb2.Administration(request_id=request_id, disable_user=disable)


def enable(request_id: str, user_id: int) -> log_pb2.Administration:
    """Return the end of a user's suspension."""
    enable = auth_pb2.EnableUserRequest(user_id=user_id)
    return log_pb2.Administration(request_id=request_id, enable_user=enable)


def delete_user(request_id: str, user_id: int) -> log_pb2.Administration:
    """Return a user's end."""
    delete = auth_pb2.DeleteUserRequest(user_id=user_id)
    return log_pb2.Administration(request_id=request_id, delete_user=delete)


def rename(request_id: str, user_id: int, name: str) -> log_pb2.Administration:
    """Return a change of a user's name."""
    rename = log_pb2.RenameUser(user_id=user_id, name=name, folded_name=folded(name))
    return log_pb2.Administration(request_id=request_id, rename_user=rename)


def change_role(request_id: str, user_id: int, role: int) -> log_pb2.Administration:
    """Return a change of a user's role."""
    change = auth_pb2.ChangeRoleRequest(user_id=user_id, role=auth_pb2.Role.ValueType(role))
    return log_pb2.Administration(request_id=request_id, change_role=change)


def upgrade_hash(request_id: str, replaced: str) -> log_pb2.Administration:
    """Return another hash of the same password."""
    upgrade = log_pb2.UpgradeHash(replaced_hash=replaced, password_hash=f"hash {request_id}")
    return log_pb2.Administration(request_id=request_id, upgrade_hash=upgrade)


def checkpoint(request_id: str) -> log_pb2.Administration:
    """Return a checkpoint."""
    return log_pb2.Administration(request_id=request_id, checkpoint=log_pb2.Checkpoint())


def _hash(name: str) -> bytes:
    return sha256(name.encode()).digest()


def start_session(request_id: str, user_id: int, epoch: int, secret: str) -> log_pb2.Administration:
    """Return a log-in."""
    start = log_pb2.StartSession(
        user_id=user_id,
        epoch=epoch,
        label="label",
        source="192.0.2.1",
        family_hash=_hash("family"),
        secret_hash=_hash(secret),
    )
    return log_pb2.Administration(request_id=request_id, start_session=start)


def refresh_session(
    request_id: str, session: tuple[int, int], family: str, used: str, following: str
) -> log_pb2.Administration:
    """Return a refresh of the (user's, session's) ids."""
    refresh = log_pb2.RefreshSession(
        user_id=session[0],
        session_id=session[1],
        family_hash=_hash(family),
        secret_hash=_hash(used),
        next_secret_hash=_hash(following),
    )
    return log_pb2.Administration(request_id=request_id, refresh_session=refresh)


def end_sessions(request_id: str, user_id: int, session_id: int) -> log_pb2.Administration:
    """Return a log-out: of one session, or for 0 of all."""
    end = auth_pb2.EndSessionsRequest(user_id=user_id, session_id=session_id)
    return log_pb2.Administration(request_id=request_id, end_sessions=end)


def record_audit(request_id: str, kind: str, actor_id: int, count: int) -> log_pb2.Administration:
    """Return two events that a gateway saw."""
    recorded = log_pb2.RecordAudit()
    recorded.events.add(
        kind=kind, outcome="OK", actor_id=actor_id, event_count=count, source="192.0.2.1"
    )
    recorded.events.add(
        kind=kind, outcome="INVALID_CREDENTIALS", actor="nobody \u00d6", event_count=1
    )
    return log_pb2.Administration(request_id=request_id, record_audit=recorded)


def administrate(
    user_id: int, epoch: int, what: log_pb2.Administration, source: str = ""
) -> Command:
    """Return a user's command that administrates."""
    return Command(
        user_id=user_id, epoch=epoch, session_id=user_id, administration=what, source=source
    )


def probe(user_id: int, epoch: int) -> Command:
    """Return a probe."""
    return Command(user_id=user_id, epoch=epoch, session_id=user_id, probe=log_pb2.Probe())


_described = st.builds(
    inventory_pb2.Item,
    id=item_ids,
    name=st.sampled_from(NAMES),
    description=st.sampled_from(("", "long")),
    price=st.none() | prices,
    quantity=st.just(7),  # which no update sets
)
_levels = st.sampled_from((0, 0, 1, STOCK - 1, STOCK))
_expected = st.none() | st.sampled_from((0, 0, 1, STOCK - 1, STOCK))
_lines = st.dictionaries(item_ids, orderable, min_size=1, max_size=3)
_names = st.sampled_from(NAMES)
_masks = st.none() | st.lists(
    st.sampled_from(("name", "description", "price")), min_size=1, max_size=3, unique=True
)
_deltas = st.one_of(
    st.sampled_from(QUANTITIES), st.integers(-60, 60), st.just(-STOCK), st.just(-STOCK - 1)
)
orders = st.one_of(
    st.builds(order, request_ids, item_ids, orderable),
    st.builds(lambda request_id, some: place(request_id, *some.items()), request_ids, _lines),
)
mutations = often(
    (5, orders),
    (2, st.builds(adjust, request_ids, item_ids, _deltas.filter(bool))),
    (4, st.builds(set_level, request_ids, item_ids, _levels, _expected)),
    (3, st.builds(add, request_ids, _names, st.sampled_from(("", "long")), prices, quantities)),
    (4, st.builds(update, request_ids, _described, _masks)),
    (1, st.builds(delete, request_ids, st.sampled_from((2, 4, ITEMS)))),
)
_roles = st.sampled_from(
    (
        auth_pb2.ROLE_ADMIN,
        auth_pb2.ROLE_CUSTOMER,
        auth_pb2.ROLE_MACHINE,
        auth_pb2.ROLE_VIEWER,
    )
)
_rarely = st.sampled_from((False, False, False, True))
_hashes = st.sampled_from(("hash of admin", "hash of customer", "hash id-0", "hash id-1"))
_somebody = st.sampled_from((0, CUSTOMER, ADMIN, WATCHER, SECOND_CUSTOMER, 6, 7, 8))
administrations = often(
    (6, st.builds(create, request_ids, _names, _roles, must_change=_rarely)),
    (2, st.builds(set_password, request_ids, _somebody, must_change=_rarely)),
    (2, st.builds(disable, request_ids, _somebody)),
    (2, st.builds(enable, request_ids, _somebody)),
    (2, st.builds(rename, request_ids, _somebody, _names)),
    (2, st.builds(change_role, request_ids, _somebody, _roles)),
    (2, st.builds(delete_user, request_ids, _somebody)),
    (1, st.builds(upgrade_hash, request_ids, _hashes)),
    (2, st.builds(record_audit, request_ids, st.just("login"), _somebody, st.integers(1, 3))),
    (1, st.builds(checkpoint, request_ids)),
)
_seats = (CUSTOMER, ADMIN, SECOND_CUSTOMER, 6, 7)
_secrets = st.sampled_from(("secret", "secret", "second", "third"))
_sessions = st.sampled_from([*((one, one) for one in _seats), (CUSTOMER, 6), (CUSTOMER, 7)])
sittings = often(
    (4, st.builds(start_session, request_ids, st.sampled_from(_seats), epochs, _secrets)),
    (
        6,
        st.builds(
            refresh_session,
            request_ids,
            _sessions,
            st.sampled_from(("family", "family", "family", "other")),
            _secrets,
            _secrets,
        ),
    ),
    (
        2,
        st.builds(
            end_sessions, request_ids, st.sampled_from(_seats), st.sampled_from((0, *_seats))
        ),
    ),
)
_who = st.sampled_from((0, 0, 0, ADMIN, ADMIN, CUSTOMER, 6))
commands = often(
    (24, st.builds(by, st.just(ADMIN), mutations)),
    (8, st.builds(by, users, mutations, epochs)),
    (10, st.builds(administrate, _who, epochs, administrations, st.sampled_from(("", "::1")))),
    (8, st.builds(administrate, _who, epochs, sittings)),
    (1, st.builds(probe, users, epochs)),
    (1, st.just(first_state())),
)
gaps_ms = st.sampled_from(
    (
        *(0, 0, 0, 1, 999, SECOND_MS, HOUR_MS - 1, HOUR_MS, DAY_MS - 1, DAY_MS, LIFE_MS),
        *(IDLE_MS - 1, IDLE_MS, IDLE_MS + 1),
    )
)
histories = st.lists(
    st.tuples(gaps_ms, st.lists(commands, min_size=1, max_size=8)), min_size=4, max_size=9
)

# Of requests alone, close to each other and to every edge of the memory of requests.
_close_ids = st.one_of(named_ids, timed_ids)
_large = st.builds(
    add,
    _close_ids,
    st.just("large"),
    st.sampled_from(("x" * 400, "x" * 1_200)),  # its outcome takes one slot, or three
    st.just(money.from_minor(1, "USD", 2)),
    st.just(0),
)
_requests = often(
    (
        6,
        st.builds(
            by,
            st.sampled_from((CUSTOMER, CUSTOMER, SECOND_CUSTOMER, ADMIN)),
            st.builds(order, _close_ids, st.just(1), st.sampled_from((1, 1, 1, 2))),
        ),
    ),
    (1, st.builds(by, st.just(ADMIN), _large)),
)
_silences_ms = (PERIOD_MS - SECOND_MS, PERIOD_MS, DAY_MS - 1, DAY_MS, LIFE_MS - SECOND_MS, LIFE_MS)
request_histories = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 0, 1, 999, SECOND_MS, *_silences_ms)),
        st.lists(_requests, min_size=1, max_size=6),
    ),
    min_size=4,
    max_size=9,
)

# Of two items whose orders come to the largest totals that may be, and one minor unit more.
_sums = st.sampled_from((1, 10**6, 10**9 - 1, 10**9))
_costs = st.sampled_from((1, 10**9 - 1, 10**9, 10**9 + 1, 10**12))


def _treasure(costs: tuple[int, int], batches: list[list[Command]]) -> History:
    added = [
        by(PRODUCER, add(f"add {number}", "Dear", "", money.from_minor(cost, "USD", 2), 10**9))
        for number, cost in enumerate(costs)
    ]
    return [(0, added), *((1, batch) for batch in batches)]


def _pair(request_id: str, first: int, second: int) -> Mutation:
    return place(request_id, (4, first), (5, second))


_dear_orders = often(
    (1, st.builds(order, fresh_ids, st.sampled_from((4, 5)), _sums)),
    (
        2,
        st.builds(
            lambda name, one, other: place(name, (4, one), (5, other)), fresh_ids, _sums, _sums
        ),
    ),
    (1, st.builds(set_level, fresh_ids, st.sampled_from((4, 5)), st.just(10**9), st.none())),
)
_bought = st.builds(by, st.just(ADMIN), _dear_orders)
rich_histories = st.builds(
    _treasure,
    st.tuples(_costs, _costs),
    st.lists(
        st.lists(st.builds(by, st.just(ADMIN), _dear_orders), min_size=1, max_size=4), max_size=4
    ),
)


def entries_of(history: History) -> list[Entry]:
    """Return the log of a history, which begins with the first state."""
    stamp_ms = START_MS
    made = [entry(1, stamp_ms, first_state())]
    for gap_ms, batch in history:
        stamp_ms += gap_ms
        made.append(entry(len(made) + 1, stamp_ms, *batch))
    return made
