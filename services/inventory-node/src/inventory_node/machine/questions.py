"""Answers questions by id from memory, as of the last entry applied."""

from typing import NamedTuple, TypeAlias

from google.protobuf.message import Message
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from wire import errors

from inventory_node.machine import sessions, stock, users
from inventory_node.machine.records import UserRecord
from inventory_node.machine.sessions import SessionTable
from inventory_node.machine.state_cache import StateCache
from inventory_node.machine.stock import Context

Answer: TypeAlias = Message | status_pb2.Status


class State(NamedTuple):
    """What questions are answered from."""

    cache: StateCache
    sessions: SessionTable
    context: Context  # of which the currency counts
    stamp_ms: int  # the log's time
    revision: int  # the index of the last entry applied


def answer(state: State, question: forward_pb2.Question) -> Answer | None:
    """Return the answer or a refusal; None for a question that needs the database."""
    kind = question.query.WhichOneof("query")
    if kind in ("get_credential", "get_session"):
        if question.user_id != users.CLUSTER:
            return errors.role_not_allowed("user", "the gateway itself")
        asked = question.query
        return _credential(state, asked) if kind == "get_credential" else _secrets(state, asked)
    if kind in ("get_item", "get_current_user", "list_sessions"):
        return _by_id(state, kind, question)
    return None


def _by_id(state: State, kind: str, question: forward_pb2.Question) -> Answer:
    user = users.holder(state.cache.user(question.user_id), question.epoch)
    if not isinstance(user, UserRecord):
        return user
    refused = state.sessions.check(
        user.id, question.session_id, state.stamp_ms
    ) or users.check_query(user, kind)
    if refused is not None:
        return refused
    if kind == "list_sessions":
        return _list_sessions(state, user, question)
    if kind == "get_current_user":
        return auth_pb2.GetCurrentUserResponse(user=users.message(user), revision=state.revision)
    state.cache.before_reading()
    item_id = question.query.get_item.item_id
    item = state.cache.item(item_id)
    if item is None:
        return errors.item_not_found(item_id)
    shown = stock.message(item, state.context.currency, state.context.digits)
    return inventory_pb2.GetItemResponse(item=shown, revision=state.revision)


def _list_sessions(state: State, asker: UserRecord, question: forward_pb2.Question) -> Answer:
    user_id = question.query.list_sessions.user_id or asker.id
    if user_id != asker.id:
        refused = users.check_role(asker, users.ADMINS)
        if refused is not None:
            return refused
    user = state.cache.user(user_id)
    if user is None:
        return errors.user_not_found(user_id)
    return auth_pb2.ListSessionsResponse(
        sessions=map(sessions.message, state.sessions.living(user, state.stamp_ms)),
        current_session_id=question.session_id,
        revision=state.revision,
    )


def _secrets(state: State, query: forward_pb2.Query) -> Answer:
    asked = query.get_session
    user = state.cache.user(asked.user_id)
    session = sessions.going(state.sessions, user, asked.session_id, state.stamp_ms)
    found = forward_pb2.SessionSecrets()
    if session is not None:
        found.family_hash, found.secret_hash = session.family_hash, session.secret_hash
    return found


def _credential(state: State, query: forward_pb2.Query) -> Answer:
    user = state.cache.user_by_name(query.get_credential.folded_name)
    if user is None or user.disabled:
        return forward_pb2.Credential()
    return forward_pb2.Credential(
        user=users.message(user), epoch=user.epoch, password_hash=user.password_hash
    )
