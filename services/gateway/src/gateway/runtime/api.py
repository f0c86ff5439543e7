"""What clients call. The bytes of mutations and of their outcomes pass unchanged."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from inventory.v1 import auth_pb2, cluster_pb2, inventory_pb2
from wire import bounds, errors
from wire.channels import abort, accept
from wire.operations import MUTATIONS, QUERIES, Operation
from wire.sizes import request_bytes_max
from wire.text import folded

from gateway.auth import Passwords, Principal, Tokens
from gateway.errors import HashersBusy, RequestRefused, malformed
from gateway.login_limiter import LoginLimiter
from gateway.runtime.driver import Driver, deadline_ms, now_ms
from gateway.runtime.gate import TokenGate
from gateway.runtime.links import MemberLinks
from gateway.runtime.members import Members, role_in_words
from gateway.runtime.status import status_of
from gateway.runtime.submit import Submission

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Parsed = TypeVar("Parsed", bound=Message)
Hashed = TypeVar("Hashed")
Changing = Callable[[Parsed, Principal, int], Awaitable[cluster_pb2.ChangeMembersResponse]]
Behavior = Callable[[bytes, Context], Awaitable[bytes]]

NO_OPTIONS = inventory_pb2.ReadOptions()  # of queries that have no field for them
INVENTORY = "inventory.v1.InventoryService"
AUTH = "inventory.v1.AuthService"
CLUSTER = "inventory.v1.ClusterService"
ASSISTANT = "inventory.v1.AssistantService"


def parse(kind: type[Parsed], raw: bytes) -> Parsed:
    """Read a client's message; raise RequestRefused."""
    most = request_bytes_max(kind.DESCRIPTOR)
    if len(raw) > most:
        raise RequestRefused(errors.invalid_field("request", f"must have up to {most} bytes"))
    try:
        return kind.FromString(raw)
    except DecodeError:
        raise malformed() from None


def parse_within_bounds(kind: type[Parsed], raw: bytes) -> Parsed:
    """Read a client's message, and check what it holds; raise RequestRefused."""
    request = parse(kind, raw)
    problem = bounds.check(request)
    if problem is not None:
        raise RequestRefused(problem)
    return request


class Api:
    """The clients' services, as raw handlers.

    - A mutation's bytes reach the log as the client sent them.
    - An outcome's bytes reach the client as the members keep them.
    - Every call ends in a response, or in one refusal with its status details.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a gateway
        self,
        driver: Driver,
        links: MemberLinks,
        gate: TokenGate,
        tokens: Tokens,
        passwords: Passwords,
        logins: LoginLimiter,
        members: Members,
    ) -> None:
        """Serve calls by these parts."""
        self._driver = driver
        self._links = links
        self.gate = gate
        self._tokens = tokens
        self._passwords = passwords
        self._logins = logins
        self._members = members

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers of all services but the assistant's."""
        inventory, auth = self._operations(INVENTORY), self._operations(AUTH)
        inventory["Submit"] = grpc.stream_stream_rpc_method_handler(self._submit)
        auth["Login"] = _unary(self._login)
        auth["CreateUser"] = _unary(self._create_user)
        auth["SetPassword"] = _unary(self._set_password)
        auth["DisableUser"] = _unary(self._disable_user)
        cluster = {
            "GetStatus": _unary(self._get_status),
            "Checkpoint": _unary(self._checkpoint),
            "Probe": _unary(self._probe),
            "AddMember": _unary(self._change(cluster_pb2.AddMemberRequest, self._members.add)),
            "PromoteMember": _unary(
                self._change(cluster_pb2.PromoteMemberRequest, self._members.promote)
            ),
            "RemoveMember": _unary(
                self._change(cluster_pb2.RemoveMemberRequest, self._members.remove)
            ),
            "TransferLeadership": _unary(
                self._change(cluster_pb2.TransferLeadershipRequest, self._members.transfer)
            ),
        }
        return [
            grpc.method_handlers_generic_handler(service, methods)
            for service, methods in ((INVENTORY, inventory), (AUTH, auth), (CLUSTER, cluster))
        ]

    def _operations(self, service: str) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        """Return the handlers of a service's mutations and queries, by method."""
        handlers = {
            mutation.method: _unary(self._mutation(mutation.kind))
            for mutation in MUTATIONS.values()
            if mutation.service == service
        }
        return handlers | {
            query.method: self._paged(query) if _is_list(query) else _unary(self._query(query))
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
                user_id=principal.user_id, epoch=principal.epoch, mutation=mutation
            )
            reply = await self._driver.apply(
                command.SerializeToString(), deadline_ms(context.time_remaining())
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
                user_id=principal.user_id, epoch=principal.epoch, query=query, read_options=options
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
                await abort(context, refused.status)

        return grpc.unary_stream_rpc_method_handler(handle)

    async def _submit(self, requests: AsyncIterator[bytes], context: Context) -> None:
        try:
            principal = self.gate.principal(context)
            with self.gate.shares.stream(principal.user_id) as share:
                await accept(context)
                await Submission(self._driver, principal, share).run(requests, context)
        except RequestRefused as refused:
            await abort(context, refused.status)

    async def _login(self, raw: bytes, context: Context) -> bytes:
        request = parse_within_bounds(auth_pb2.LoginRequest, raw)
        name = folded(request.username)
        if not self._logins.let_in(name, now_ms()):
            raise RequestRefused(errors.overloaded())
        try:
            credential = await self._credential(name, context)
        except BaseException:
            self._logins.leave(name)  # the caller may be gone: its password was not looked at
            raise
        self._logins.take_try(name, now_ms())
        try:
            right = await self._hashed(
                self._passwords.check(credential.password_hash, request.password)
            )
        except RequestRefused:
            self._logins.give_back(name, now_ms())  # nothing was said of the password
            raise
        if not right:
            raise RequestRefused(errors.invalid_credentials())
        self._logins.give_back(name, now_ms())
        user = credential.user
        token, expires = self._tokens.make(user.id, credential.epoch, user.name)
        response = auth_pb2.LoginResponse(token=token, user=user)
        response.expire_time.FromSeconds(expires)
        return response.SerializeToString()

    async def _credential(self, name: str, context: Context) -> forward_pb2.Credential:
        """Read the credential of a folded name; an empty one where there is no such user."""
        query = forward_pb2.Query()
        query.get_credential.folded_name = name
        reply = await self._driver.ask(
            forward_pb2.Question(query=query), deadline_ms(context.time_remaining())
        )
        return forward_pb2.Credential.FromString(reply.answer)

    async def _hashed(self, work: Awaitable[Hashed]) -> Hashed:
        try:
            return await work
        except HashersBusy:
            raise RequestRefused(errors.overloaded()) from None

    async def _check_keeper(self, principal: Principal, context: Context, user_id: int = 0) -> None:
        """Refuse a caller who may set no password: all but admins, and the user itself."""
        deadline = deadline_ms(context.time_remaining())
        try:
            user = await self._members.current_user(principal, deadline)
        except RequestRefused as refused:
            if errors.reason_of(refused.status) is not errors.Reason.TOKEN_INVALID:
                raise
            return  # a password that was set ended the token: the log knows whether this is a retry
        if user.role != auth_pb2.ROLE_ADMIN and user.id != user_id:
            raise RequestRefused(errors.role_not_allowed(role_in_words(user.role), "admin"))

    async def _create_user(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        request = parse_within_bounds(auth_pb2.CreateUserRequest, raw)
        await self._check_keeper(principal, context)
        administration = log_pb2.Administration(request_id=request.request_id)
        new = administration.create_user.user
        new.name, new.role = request.username, request.role
        new.folded_name = folded(new.name)
        new.password_hash = await self._hashed(
            self._passwords.hash(request.password, request.request_id, new.name)
        )
        outcome = await self._administer(administration, principal, context)
        response = auth_pb2.CreateUserResponse(user=outcome.user, revision=outcome.revision)
        return response.SerializeToString()

    async def _set_password(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        request = parse_within_bounds(auth_pb2.SetPasswordRequest, raw)
        await self._check_keeper(principal, context, request.user_id)
        administration = log_pb2.Administration(request_id=request.request_id)
        administration.set_password.user_id = request.user_id
        administration.set_password.password_hash = await self._hashed(
            self._passwords.hash(request.password, request.request_id, str(request.user_id))
        )
        outcome = await self._administer(administration, principal, context)
        response = auth_pb2.SetPasswordResponse(user=outcome.user, revision=outcome.revision)
        return response.SerializeToString()

    async def _disable_user(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        request = parse(auth_pb2.DisableUserRequest, raw)
        administration = log_pb2.Administration(request_id=request.request_id, disable_user=request)
        outcome = await self._administer(administration, principal, context)
        response = auth_pb2.DisableUserResponse(user=outcome.user, revision=outcome.revision)
        return response.SerializeToString()

    async def _checkpoint(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        request = parse(cluster_pb2.CheckpointRequest, raw)
        administration = log_pb2.Administration(
            request_id=request.request_id, checkpoint=log_pb2.Checkpoint()
        )
        outcome = await self._administer(administration, principal, context)
        response = cluster_pb2.CheckpointResponse(index=outcome.checkpoint_index)
        return response.SerializeToString()

    async def _administer(
        self, administration: log_pb2.Administration, principal: Principal, context: Context
    ) -> log_pb2.AdministrationOutcome:
        problem = bounds.check_administration(administration)
        if problem is not None:
            raise RequestRefused(problem)
        command = raw_pb2.RawCommand(
            user_id=principal.user_id,
            epoch=principal.epoch,
            administration=administration.SerializeToString(deterministic=True),
        )
        return await self._administration_outcome(command, context)

    async def _administration_outcome(
        self, command: raw_pb2.RawCommand, context: Context
    ) -> log_pb2.AdministrationOutcome:
        reply = await self._driver.apply(
            command.SerializeToString(), deadline_ms(context.time_remaining())
        )
        return log_pb2.AdministrationOutcome.FromString(reply.administration)

    async def _probe(self, raw: bytes, context: Context) -> bytes:
        principal = self.gate.principal(context)
        parse(cluster_pb2.ProbeRequest, raw)
        command = raw_pb2.RawCommand(user_id=principal.user_id, epoch=principal.epoch, probe=b"")
        try:
            outcome = await self._administration_outcome(command, context)
        except RequestRefused as refused:
            reason = errors.reason_of(refused.status)
            if reason not in (errors.Reason.NO_QUORUM, errors.Reason.DEADLINE):
                raise
            late = reason is errors.Reason.DEADLINE
            unanswered = errors.not_read(reachable=late, is_stale_ok=False, may_be_stale=False)
            raise RequestRefused(unanswered) from None
        return cluster_pb2.ProbeResponse(revision=outcome.revision).SerializeToString()

    def _change(self, message: type[Parsed], change: Changing[Parsed]) -> Behavior:
        async def behavior(raw: bytes, context: Context) -> bytes:
            principal = self.gate.principal(context)
            request = parse_within_bounds(message, raw)
            answer = await change(request, principal, deadline_ms(context.time_remaining()))
            return answer.SerializeToString()

        return behavior

    async def _get_status(self, raw: bytes, context: Context) -> bytes:
        self.gate.principal(context)
        parse(cluster_pb2.GetStatusRequest, raw)
        return (await status_of(self._links)).SerializeToString()


def _is_list(operation: Operation) -> bool:
    return "page_token" in operation.request.DESCRIPTOR.fields_by_name


def _unary(behavior: Behavior) -> "grpc.RpcMethodHandler[bytes, bytes]":
    """Make a handler of raw bytes whose refusals become gRPC statuses."""

    async def handle(raw: bytes, context: Context) -> bytes:
        try:
            return await behavior(raw, context)
        except RequestRefused as refused:
            await abort(context, refused.status)

    return grpc.unary_unary_rpc_method_handler(handle)
