"""What clients call. The bytes of mutations and of their outcomes pass unchanged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from inventory.v1 import auth_pb2, cluster_pb2, inventory_pb2
from wire import bounds, errors
from wire.channels import abort, accept
from wire.errors import Reason
from wire.operations import MUTATIONS, QUERIES, Operation

from gateway.audit import OK
from gateway.auth import Principal
from gateway.errors import RequestRefused
from gateway.runtime.accounts import Accounts
from gateway.runtime.driver import Driver, deadline_ms
from gateway.runtime.gate import TokenGate
from gateway.runtime.links import MemberLinks
from gateway.runtime.members import Members, check_own_password
from gateway.runtime.parsing import Behavior, parse, parse_within_bounds, unary
from gateway.runtime.sessions import SessionCalls
from gateway.runtime.status import status_of, without_places
from gateway.runtime.submit import Submission

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Parsed = TypeVar("Parsed", bound=Message)
Changing = Callable[[Parsed, Principal, int], Awaitable[cluster_pb2.ChangeMembersResponse]]

ROLE_SECONDS_MAX = 1
SHOWN_PLACES = frozenset({auth_pb2.ROLE_ADMIN, auth_pb2.ROLE_MACHINE})
NO_OPTIONS = inventory_pb2.ReadOptions()  # of queries that have no field for them
INVENTORY = "inventory.v1.InventoryService"
AUTH = "inventory.v1.AuthService"
CLUSTER = "inventory.v1.ClusterService"
ASSISTANT = "inventory.v1.AssistantService"
_AUTH_METHODS = auth_pb2.DESCRIPTOR.services_by_name["AuthService"].methods
CHANGES_OF_USERS = {  # by the field of Administration that takes the request as it is
    field.name: method
    for field in log_pb2.Administration.DESCRIPTOR.fields
    for method in _AUTH_METHODS
    if field.message_type is method.input_type
}


class Api:
    """The clients' services, as raw handlers.

    - A mutation's bytes reach the log as the client sent them.
    - An outcome's bytes reach the client as the members keep them.
    - Every call ends in a response, or in one refusal with its status details.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what the services take
        self,
        driver: Driver,
        links: MemberLinks,
        gate: TokenGate,
        accounts: Accounts,
        sessions: SessionCalls,
        members: Members,
    ) -> None:
        """Serve calls by these parts."""
        self._driver = driver
        self._links = links
        self.gate = gate
        self._accounts = accounts
        self._sessions = sessions
        self._members = members

    def refusals(self) -> dict[str, int]:
        """Return how many calls were refused before they reached a member, by reason."""
        return {
            Reason.TOKEN_INVALID.lower(): self.gate.refused_count,
            Reason.RATE_LIMITED.lower(): self.gate.shares.refused_count,
            Reason.LOGIN_LIMITED.lower(): self._accounts.refused_count,
            Reason.SESSION_ENDED.lower(): self._sessions.refused_count,
        }

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers of all services but the assistant's."""
        inventory, auth = self._operations(INVENTORY), self._operations(AUTH)
        inventory["Submit"] = grpc.stream_stream_rpc_method_handler(self._submit)
        administrations: dict[str, Behavior] = {
            "CreateUser": self._accounts.create_user,
            "SetPassword": self._accounts.set_password,
            "RenameUser": self._accounts.rename_user,
        } | {
            method.name: self._accounts.change(kind, method)
            for kind, method in CHANGES_OF_USERS.items()
        }
        # The outcome of `EndSessions` is no user.
        administrations |= {"Logout": self._sessions.logout, "EndSessions": self._sessions.end}
        auth |= {name: self._unary(name, one) for name, one in administrations.items()}
        auth["Login"] = unary(self._sessions.login)
        auth["RefreshToken"] = unary(self._sessions.refresh)
        auth["GetJsonWebKeySet"] = unary(self._sessions.get_json_web_key_set)
        members = self._members
        behaviors: dict[str, Behavior] = {
            "GetStatus": self._get_status,
            "Checkpoint": self._checkpoint,
            "Probe": self._probe,
            "AddMember": self._change("add_member", cluster_pb2.AddMemberRequest, members.add),
            "PromoteMember": self._change(
                "promote_member", cluster_pb2.PromoteMemberRequest, members.promote
            ),
            "RemoveMember": self._change(
                "remove_member", cluster_pb2.RemoveMemberRequest, members.remove
            ),
            "TransferLeadership": self._change(
                "transfer_leadership", cluster_pb2.TransferLeadershipRequest, members.transfer
            ),
        }
        cluster = {name: self._unary(name, one) for name, one in behaviors.items()}
        return [
            grpc.method_handlers_generic_handler(service, methods)
            for service, methods in ((INVENTORY, inventory), (AUTH, auth), (CLUSTER, cluster))
        ]

    def _unary(self, call: str, behavior: Behavior) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Make a handler whose refusals for want of authority are recorded."""

        async def audited(raw: bytes, context: Context) -> bytes:
            try:
                return await behavior(raw, context)
            except RequestRefused as refused:
                self.gate.note_refusal(call, context, refused.status)
                raise

        return unary(audited)

    def _operations(self, service: str) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        """Return the handlers of a service's mutations and queries, by method."""
        handlers = {
            mutation.method: self._unary(mutation.method, self._mutation(mutation.kind))
            for mutation in MUTATIONS.values()
            if mutation.service == service
        }
        return handlers | {
            query.method: self._paged(query)
            if _is_list(query)
            else self._unary(query.method, self._query(query))
            for query in QUERIES.values()
            if query.service == service
        }

    def _mutation(self, kind: str) -> Behavior:
        async def behavior(raw: bytes, context: Context) -> bytes:
            principal = self.gate.principal(context)
            mutation = raw_pb2.RawMutation(**{kind: raw}).SerializeToString()
            problem = bounds.check_mutation(parse(inventory_pb2.Mutation, mutation))
            if problem is not None:
                raise RequestRefused(problem)
            command = raw_pb2.RawCommand(
                user_id=principal.user_id,
                epoch=principal.epoch,
                session_id=principal.session_id,
                mutation=mutation,
            )
            reply = await self._driver.apply(
                command.SerializeToString(),
                deadline_ms(context.time_remaining()),
                principal.user_id,
            )
            outcome = raw_pb2.RawOutcome.FromString(reply.outcome)
            if outcome.HasField("error"):
                raise RequestRefused(inventory_pb2.Outcome.FromString(reply.outcome).error)
            answer: bytes = getattr(outcome, kind)
            return answer

        return behavior

    def _query(self, operation: Operation) -> Behavior:
        kind = operation.kind

        async def behavior(raw: bytes, context: Context) -> bytes:
            principal = self.gate.principal(context)
            query = forward_pb2.Query()
            request = parse_within_bounds(operation.request, raw)
            getattr(query, kind).CopyFrom(request)
            getattr(query, kind).SetInParent()
            options = getattr(request, "read_options", NO_OPTIONS)
            question = forward_pb2.Question(
                user_id=principal.user_id,
                epoch=principal.epoch,
                session_id=principal.session_id,
                query=query,
                read_options=options,
            )
            reply = await self._driver.ask(question, deadline_ms(context.time_remaining()))
            return reply.answer

        return behavior

    def _paged(self, operation: Operation) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Make the handler of a list: its user has few pages at a time that are not read yet."""
        ask = self._query(operation)

        async def handle(raw: bytes, context: Context) -> None:
            try:
                user_id = self.gate.principal(context).user_id
                async with self.gate.shares.of(user_id).pages:
                    await context.write(await ask(raw, context))  # waits for who does not read
            except RequestRefused as refused:
                self.gate.note_refusal(operation.method, context, refused.status)
                await abort(context, refused.status)

        return grpc.unary_stream_rpc_method_handler(handle)

    async def _submit(self, requests: AsyncIterator[bytes], context: Context) -> None:
        try:
            principal = self.gate.principal(context)
            with self.gate.shares.stream(principal.user_id) as share:
                await accept(context)
                await Submission(
                    self._driver,
                    principal,
                    share,
                    partial(self.gate.note_refusal, "Submit", context),
                ).run(requests, context)
        except RequestRefused as refused:
            await abort(context, refused.status)

    async def _checkpoint(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        request = parse(cluster_pb2.CheckpointRequest, raw)
        administration = log_pb2.Administration(
            request_id=request.request_id, checkpoint=log_pb2.Checkpoint()
        )
        outcome = await self._accounts.administer(administration, principal, context)
        response = cluster_pb2.CheckpointResponse(index=outcome.checkpoint_index)
        return response.SerializeToString()

    async def _probe(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        parse(cluster_pb2.ProbeRequest, raw)
        command = raw_pb2.RawCommand(
            user_id=principal.user_id,
            epoch=principal.epoch,
            session_id=principal.session_id,
            probe=b"",
        )
        try:
            outcome = await self._accounts.administration_outcome(command, context)
        except RequestRefused as refused:
            reason = errors.reason_of(refused.status)
            if reason not in (errors.Reason.NO_QUORUM, errors.Reason.DEADLINE):
                raise
            late = reason is errors.Reason.DEADLINE
            unanswered = errors.not_read(reachable=late, is_stale_ok=False, may_be_stale=False)
            raise RequestRefused(unanswered) from None
        return cluster_pb2.ProbeResponse(revision=outcome.revision).SerializeToString()

    def _change(self, kind: str, message: type[Parsed], change: Changing[Parsed]) -> Behavior:
        async def behavior(raw: bytes, context: Context) -> bytes:
            principal = self.gate.principal(context)
            request = parse_within_bounds(message, raw)
            answer = await change(request, principal, deadline_ms(context.time_remaining()))
            name = getattr(request, "name", "")
            self.gate.note(kind, OK, context, actor_id=principal.user_id, detail=name)
            return answer.SerializeToString()

        return behavior

    async def _get_status(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        parse(cluster_pb2.GetStatusRequest, raw)
        status, role = await asyncio.gather(status_of(self._links), self._role_as_known(principal))
        if role not in SHOWN_PLACES:
            status = without_places(status)
        return status.SerializeToString()

    async def _role_as_known(self, principal: Principal) -> auth_pb2.Role.ValueType:
        """Return the caller's role as any member knows it; unspecified where none answers.

        Raises RequestRefused where a member knows that the token holds no more, or that the
        caller has to change its password first.
        """
        stale = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_STALE)
        question = forward_pb2.Question(
            user_id=principal.user_id,
            epoch=principal.epoch,
            session_id=principal.session_id,
            read_options=stale,
        )
        question.query.get_current_user.SetInParent()
        try:
            reply = await self._driver.ask(question, deadline_ms(ROLE_SECONDS_MAX))
        except RequestRefused as refused:
            if errors.reason_of(refused.status) is errors.Reason.TOKEN_INVALID:
                raise
            return auth_pb2.ROLE_UNSPECIFIED
        user = auth_pb2.GetCurrentUserResponse.FromString(reply.answer).user
        check_own_password(user)
        return user.role


def _is_list(operation: Operation) -> bool:
    return "page_token" in operation.request.DESCRIPTOR.fields_by_name
