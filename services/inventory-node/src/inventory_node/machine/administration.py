"""The rules of administration: the cluster's first state, users, checkpoints."""

from google.rpc import status_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from wire import errors

from inventory_node.errors import StateInvariantViolation
from inventory_node.machine import stock, users
from inventory_node.machine.records import UserRecord
from inventory_node.machine.state_cache import StateCache
from inventory_node.machine.stock import Context

AdministrationOutcome = log_pb2.AdministrationOutcome


def create_user(
    cache: StateCache, request: log_pb2.CreateUser, context: Context
) -> AdministrationOutcome | status_pb2.Status:
    """Add a user; ids and names are never used again."""
    if cache.user_by_name(request.user.folded_name) is not None:
        return errors.user_exists(request.user.name)
    user = add_user(cache, request.user, context.stamp_ms)
    return AdministrationOutcome(user=users.message(user), revision=context.revision)


def add_user(cache: StateCache, new: log_pb2.NewUser, stamp_ms: int) -> UserRecord:
    """Add a user with the next id."""
    user = UserRecord(
        id=cache.next_user_id,
        name=new.name,
        role=new.role,
        epoch=1,
        disabled=False,
        create_ms=stamp_ms,
        password_hash=new.password_hash,
        folded_name=new.folded_name,
    )
    cache.add_user(user)
    cache.admins += user.role == auth_pb2.ROLE_ADMIN
    return user


def set_password(
    cache: StateCache, request: log_pb2.SetPassword, context: Context
) -> AdministrationOutcome | status_pb2.Status:
    """Replace a password and end every token of the user."""
    user = cache.user(request.user_id)
    if user is None:
        return errors.user_not_found(request.user_id)
    user.password_hash = request.password_hash
    user.epoch += 1
    cache.change_user(user)
    return AdministrationOutcome(user=users.message(user), revision=context.revision)


def disable_user(
    cache: StateCache, request: auth_pb2.DisableUserRequest, context: Context
) -> AdministrationOutcome | status_pb2.Status:
    """Disable a user and end every token of the user; the last admin cannot be disabled."""
    user = cache.user(request.user_id)
    if user is None:
        return errors.user_not_found(request.user_id)
    if not user.disabled:
        if user.role == auth_pb2.ROLE_ADMIN:
            if cache.admins == 1:
                return errors.last_admin(user.id)
            cache.admins -= 1
        user.disabled = True
        user.epoch += 1
        cache.change_user(user)
    return AdministrationOutcome(user=users.message(user), revision=context.revision)


def initialize(cache: StateCache, request: log_pb2.Initialize, context: Context) -> None:
    """Fill an empty state; the context holds the request's own currency."""
    for new in request.users:
        if cache.user_by_name(new.folded_name) is None:
            add_user(cache, new, context.stamp_ms)
    for item in request.items:
        outcome = stock.add_item(cache, item, context)
        if outcome.WhichOneof("result") == "error":
            problem = outcome.error.message
            raise StateInvariantViolation(f"the first items hold a bad one: {problem}")
