"""Who may do what: roles and epochs, looked up in the replicated users, never in a request.

The roles that suffice are stated at a method's definition, in `proto/` (`inventory.v1.access`).
"""

from google.rpc import status_pb2
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from wire import errors
from wire.operations import MUTATIONS, QUERIES

from inventory_node.machine.records import UserRecord
from inventory_node.machine.state_cache import StateCache

ADMINS = frozenset({auth_pb2.ROLE_ADMIN})
KEEPERS = frozenset({auth_pb2.ROLE_PRODUCER, auth_pb2.ROLE_ADMIN, auth_pb2.ROLE_MACHINE})
NOBODY = frozenset[int]()  # except the gateway itself
HEALTH = "health"  # the machine user that probes, and may do nothing else
CLUSTER = 0  # the user id of the cluster itself

OWN_QUERY = "get_current_user"  # which everybody who has a token may ask


def holder(user: UserRecord | None, epoch: int) -> UserRecord | status_pb2.Status:
    """Return the user whom a token names, or why the token is not valid any more."""
    if user is None:
        return errors.token_invalid("names a user who is not there")
    if user.delete_ms:
        return errors.token_invalid("belongs to a user who is deleted")
    if user.disabled:
        return errors.token_invalid("belongs to a user who is disabled")
    if user.epoch != epoch:
        return errors.token_invalid("was ended by a change of the user's password, role or state")
    return user


def check_role(user: UserRecord, allowed: frozenset[int]) -> status_pb2.Status | None:
    """Return why a user may not do what takes one of these roles, or None."""
    if user.must_change_password:
        return errors.password_change_needed(user.id)
    if user.role in allowed:
        return None
    needed = " or ".join(role_name(role) for role in sorted(allowed)) or "the gateway itself"
    return errors.role_not_allowed(role_name(user.role), needed)


def role_name(role: int) -> str:
    """Return "customer" for ROLE_CUSTOMER."""
    return auth_pb2.Role.Name(auth_pb2.Role.ValueType(role)).removeprefix("ROLE_").lower()


def check_mutation(
    cache: StateCache, user_id: int, epoch: int, kind: str
) -> status_pb2.Status | None:
    """Return why a user may not make a mutation, or None."""
    user = holder(cache.user(user_id), epoch)
    return check_role(user, MUTATIONS[kind].roles) if isinstance(user, UserRecord) else user


def check_query(user: UserRecord, kind: str) -> status_pb2.Status | None:
    """Return why a user may not ask a query, or None; not for queries of the cluster itself."""
    if _is_health(user) and kind != OWN_QUERY:
        return errors.role_not_allowed("of health", "another user")
    if kind == OWN_QUERY:
        return None
    return check_role(user, QUERIES[kind].roles if kind in QUERIES else NOBODY)


def check_administration(
    cache: StateCache, user_id: int, epoch: int, request: log_pb2.Administration
) -> status_pb2.Status | None:
    """Return why a user may not administrate, or None."""
    if user_id == CLUSTER:
        return None
    user = holder(cache.user(user_id), epoch)
    if not isinstance(user, UserRecord):
        return user
    if request.HasField("record_audit"):
        return check_role(user, NOBODY)
    if request.HasField("upgrade_hash"):  # of the user's own password, which stays the same
        return None
    is_own = request.set_password.user_id == user_id and user.role != auth_pb2.ROLE_MACHINE
    return None if is_own else check_role(user, ADMINS)


def check_probe(cache: StateCache, user_id: int, epoch: int) -> status_pb2.Status | None:
    """Return why a user may not probe, or None."""
    user = holder(cache.user(user_id), epoch)
    if not isinstance(user, UserRecord):
        return user
    if user.must_change_password:
        return errors.password_change_needed(user.id)
    if _is_health(user) or user.role in ADMINS:
        return None
    return errors.role_not_allowed(role_name(user.role), "admin, or the machine user health")


def _is_health(user: UserRecord) -> bool:
    return user.name == HEALTH and user.role == auth_pb2.ROLE_MACHINE


def message(user: UserRecord) -> auth_pb2.User:
    """Return a user for the wire."""
    shown = auth_pb2.User(
        id=user.id,
        name=user.name,
        role=auth_pb2.Role.ValueType(user.role),
        disabled=user.disabled,
        must_change_password=user.must_change_password,
    )
    shown.create_time.FromMilliseconds(user.create_ms)
    if user.delete_ms:
        shown.delete_time.FromMilliseconds(user.delete_ms)
    return shown
