"""The rules of administration: the cluster's first state, and users.

A rule returns the user as it is afterwards, or a refusal, which changes nothing.

- An admin who is neither disabled nor deleted is left, whatever is asked.
- An id is never used again. A name is one user's until that user is renamed or deleted.
- What takes something away from a user ends the user's tokens.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from google.rpc import status_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from wire import errors

from inventory_node.errors import StateInvariantViolation
from inventory_node.machine import stock
from inventory_node.machine.records import UserRecord
from inventory_node.machine.state_cache import StateCache
from inventory_node.machine.stock import Context

Administered: TypeAlias = UserRecord | status_pb2.Status


def create_user(cache: StateCache, request: log_pb2.CreateUser, context: Context) -> Administered:
    """Add a user."""
    if cache.user_by_name(request.user.folded_name) is not None:
        return errors.user_exists(request.user.name)
    return add_user(cache, request.user, context.stamp_ms)


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
        must_change_password=new.must_change_password,
    )
    cache.add_user(user)
    cache.admins += _is_admin(user)
    return user


def set_password(cache: StateCache, request: log_pb2.SetPassword, context: Context) -> Administered:
    """Replace a password and end every token of the user."""
    user = _found(cache, request.user_id)
    if not isinstance(user, UserRecord):
        return user
    user.password_hash = request.password_hash
    user.must_change_password = request.must_change_password and context.user_id != user.id
    user.epoch += 1
    cache.change_user(user)
    return user


def upgrade_hash(cache: StateCache, request: log_pb2.UpgradeHash, context: Context) -> Administered:
    """Replace the hash of the same password, unless the password was changed meanwhile."""
    user = _found(cache, context.user_id)
    if isinstance(user, UserRecord) and user.password_hash == request.replaced_hash:
        user.password_hash = request.password_hash
        cache.change_user(user)
    return user


def disable_user(
    cache: StateCache, request: auth_pb2.DisableUserRequest, _: Context
) -> Administered:
    """Disable a user and end every token of the user."""
    user = _found(cache, request.user_id)
    if not isinstance(user, UserRecord) or user.disabled:
        return user
    if _is_last_admin(cache, user):
        return errors.last_admin(user.id)
    cache.admins -= _is_admin(user)
    user.disabled = True
    user.epoch += 1
    cache.change_user(user)
    return user


def enable_user(cache: StateCache, request: auth_pb2.EnableUserRequest, _: Context) -> Administered:
    """Let a disabled user log in again; disabling ended the tokens of before."""
    user = _found(cache, request.user_id)
    if not isinstance(user, UserRecord) or not user.disabled:
        return user
    user.disabled = False
    cache.admins += _is_admin(user)
    cache.change_user(user)
    return user


def rename_user(cache: StateCache, request: log_pb2.RenameUser, _: Context) -> Administered:
    """Give a user another name, perhaps the same in another case."""
    user = _found(cache, request.user_id)
    if not isinstance(user, UserRecord):
        return user
    other = cache.user_by_name(request.folded_name)
    if other is not None and other.id != user.id:
        return errors.user_exists(request.name)
    cache.rename_user(user, request.name, request.folded_name)
    return user


def change_role(cache: StateCache, request: auth_pb2.ChangeRoleRequest, _: Context) -> Administered:
    """Give a user another role and end every token of the user."""
    user = _found(cache, request.user_id)
    if not isinstance(user, UserRecord) or user.role == request.role:
        return user
    if _is_last_admin(cache, user):
        return errors.last_admin(user.id)
    cache.admins -= _is_admin(user)
    user.role = request.role
    cache.admins += _is_admin(user)
    user.epoch += 1
    cache.change_user(user)
    return user


def delete_user(
    cache: StateCache, request: auth_pb2.DeleteUserRequest, context: Context
) -> Administered:
    """Delete a user for good; its orders keep its id, and no hash of its password is kept."""
    user = _found(cache, request.user_id)
    if not isinstance(user, UserRecord):
        return user
    if _is_last_admin(cache, user):
        return errors.last_admin(user.id)
    cache.admins -= _is_admin(user)
    user.password_hash = ""
    user.epoch += 1
    cache.delete_user(user, context.stamp_ms)
    return user


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


def _found(cache: StateCache, user_id: int) -> Administered:
    user = cache.user(user_id)
    if user is None:
        return errors.user_not_found(user_id)
    return errors.user_deleted(user_id) if user.delete_ms else user


def _is_admin(user: UserRecord) -> bool:
    return user.role == auth_pb2.ROLE_ADMIN and not user.disabled


def _is_last_admin(cache: StateCache, user: UserRecord) -> bool:
    return _is_admin(user) and cache.admins == 1


RULES: Mapping[str, Callable[[StateCache, Any, Context], Administered]] = MappingProxyType(
    {
        "create_user": create_user,
        "set_password": set_password,
        "upgrade_hash": upgrade_hash,
        "disable_user": disable_user,
        "enable_user": enable_user,
        "rename_user": rename_user,
        "change_role": change_role,
        "delete_user": delete_user,
    }
)
