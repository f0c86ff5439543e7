"""Users and passwords, as clients call them; no password reaches the log."""

from collections.abc import Awaitable
from hashlib import blake2b
from typing import Any, TypeAlias, TypeVar

import grpc.aio  # noqa: TC002 - named by a string
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from inventory.v1 import auth_pb2
from pki.identities import Kind
from wire import bounds, errors
from wire.text import folded

from gateway.auth import Passwords, Principal
from gateway.errors import HashersBusy, RequestRefused
from gateway.login_limiter import Attempt, LoginLimiter
from gateway.password_rules import problem_of
from gateway.runtime.driver import Driver, deadline_ms, now_ms
from gateway.runtime.gate import TokenGate
from gateway.runtime.members import Members, check_admin
from gateway.runtime.parsing import Behavior, parse_within_bounds

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Hashed = TypeVar("Hashed")
MACHINES = frozenset({Kind.HEALTH, Kind.METRICS})  # machine users that are known by certificate

_log = structlog.get_logger()


def check_password(password: str, username: str) -> None:
    """Refuse a password that is guessed first; raise RequestRefused."""
    problem = problem_of(password, username)
    if problem is not None:
        raise RequestRefused(errors.invalid_field("password", problem))


class Accounts:
    """The calls about users.

    - No password is hashed for a caller who may not have it hashed.
    """

    def __init__(
        self,
        driver: Driver,
        gate: TokenGate,
        passwords: Passwords,
        logins: LoginLimiter,
        members: Members,
    ) -> None:
        """Serve calls by these parts."""
        self._driver = driver
        self._gate = gate
        self._passwords = passwords
        self._logins = logins
        self._members = members

    @property
    def refused_count(self) -> int:
        """How many log-ins were refused for those before."""
        return self._logins.refused_count

    async def proven(self, name: str, password: str, context: Context) -> forward_pb2.Credential:
        """Return the credential of a folded name if the password is right; raise RequestRefused."""
        attempt = await self._begun(name, self._gate.source(context))
        try:
            credential = await self._credential(name, context)
        except BaseException:
            self._logins.leave(attempt, now_ms())  # the caller may be gone
            raise
        try:
            right = await self._hashed(self._passwords.check(credential.password_hash, password))
        except RequestRefused:
            self._logins.leave(attempt, now_ms())  # nothing was said of the password
            raise
        except BaseException:
            self._logins.fail(attempt)
            raise
        if not right:
            self._logins.fail(attempt)
            raise RequestRefused(errors.invalid_credentials())
        self._logins.succeed(attempt, now_ms())
        return credential

    async def vouched(self, kind: Kind, name: str, context: Context) -> forward_pb2.Credential:
        """Return the credential of the machine user that a certificate names.

        Raises RequestRefused for any other name, and for processes that are no machine user.
        """
        if kind not in MACHINES or name != kind:
            raise RequestRefused(errors.invalid_credentials())
        credential = await self._credential(name, context)
        if credential.user.role != auth_pb2.ROLE_MACHINE:  # nobody's, too
            raise RequestRefused(errors.invalid_credentials())
        return credential

    async def _begun(self, name: str, source: str) -> Attempt:
        wait_ms = self._logins.wait_ms(name, source, now_ms())
        if wait_ms:
            self._logins.refused_count += 1
            await self._gate.refusals.pause()
            raise RequestRefused(errors.login_limited(wait_ms))
        return self._logins.begin(name, source, now_ms())

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

    async def _keeper(
        self, principal: Principal, context: Context, user_id: int = 0
    ) -> auth_pb2.User | None:
        """Return the caller, who may set this user's password; raise RequestRefused.

        None: a password that was set ended the token. The log knows whether this is a retry.
        """
        deadline = deadline_ms(context.time_remaining())
        try:
            user = await self._members.current_user(principal, deadline)
        except RequestRefused as refused:
            if errors.reason_of(refused.status) is not errors.Reason.TOKEN_INVALID:
                raise
            return None
        is_own = user.id == user_id and user.role != auth_pb2.ROLE_MACHINE
        if not is_own:
            check_admin(user)
        return user

    async def upgrade(
        self, credential: forward_pb2.Credential, session_id: int, password: str, context: Context
    ) -> None:
        """Have a proven password hashed by the parameters of today, if its hash is by others.

        Ends no token. Where this fails, or the password was changed meanwhile, the next log-in
        tries again.
        """
        replaced, epoch = credential.password_hash, credential.epoch
        if not self._passwords.is_outdated(replaced):
            return
        user_id = credential.user.id
        request_id = f"upgrade-hash-{epoch}-{blake2b(replaced.encode(), digest_size=8).hexdigest()}"
        administration = log_pb2.Administration(request_id=request_id)
        administration.upgrade_hash.replaced_hash = replaced
        try:
            administration.upgrade_hash.password_hash = await self._hashed(
                self._passwords.hash(password, request_id, str(user_id))
            )
            command = raw_pb2.RawCommand(
                user_id=user_id,
                epoch=epoch,
                session_id=session_id,
                administration=administration.SerializeToString(deterministic=True),
            )
            await self.administration_outcome(command, context)
        except RequestRefused as refused:
            _log.warning("hash not upgraded", user_id=user_id, problem=refused.status.message)

    async def create_user(self, raw: bytes, context: Context) -> bytes:
        """Create a user, for admins."""
        principal = self._gate.principal(context)
        request = parse_within_bounds(auth_pb2.CreateUserRequest, raw)
        await self._keeper(principal, context)
        check_password(request.password, request.username)
        administration = log_pb2.Administration(request_id=request.request_id)
        new = administration.create_user.user
        new.name, new.role = request.username, request.role
        new.folded_name = folded(new.name)
        new.must_change_password = request.must_change_password
        new.password_hash = await self._hashed(
            self._passwords.hash(request.password, request.request_id, new.name)
        )
        outcome = await self.administer(administration, principal, context)
        response = auth_pb2.CreateUserResponse(user=outcome.user, revision=outcome.revision)
        return response.SerializeToString()

    async def set_password(self, raw: bytes, context: Context) -> bytes:
        """Set a password, for admins and for oneself."""
        principal = self._gate.principal(context)
        request = parse_within_bounds(auth_pb2.SetPasswordRequest, raw)
        keeper = await self._keeper(principal, context, request.user_id)
        is_own = keeper is not None and keeper.id == request.user_id
        check_password(request.password, keeper.name if keeper is not None and is_own else "")
        if keeper is not None and is_own:
            if not request.old_password:
                raise RequestRefused(errors.invalid_credentials())
            await self.proven(folded(keeper.name), request.old_password, context)
            if keeper.must_change_password and request.password == request.old_password:
                problem = "must be another than the old password"
                raise RequestRefused(errors.invalid_field("password", problem))
        administration = log_pb2.Administration(request_id=request.request_id)
        administration.set_password.user_id = request.user_id
        administration.set_password.must_change_password = request.must_change_password
        administration.set_password.password_hash = await self._hashed(
            self._passwords.hash(request.password, request.request_id, str(request.user_id))
        )
        outcome = await self.administer(administration, principal, context)
        response = auth_pb2.SetPasswordResponse(user=outcome.user, revision=outcome.revision)
        return response.SerializeToString()

    async def rename_user(self, raw: bytes, context: Context) -> bytes:
        """Give a user another name, for admins."""
        principal = self._gate.principal(context)
        request = parse_within_bounds(auth_pb2.RenameUserRequest, raw)
        administration = log_pb2.Administration(request_id=request.request_id)
        administration.rename_user.user_id = request.user_id
        administration.rename_user.name = request.username
        administration.rename_user.folded_name = folded(request.username)
        outcome = await self.administer(administration, principal, context)
        response = auth_pb2.RenameUserResponse(user=outcome.user, revision=outcome.revision)
        return response.SerializeToString()

    def change(self, kind: str, method: MethodDescriptor) -> Behavior:
        """Return the call whose request the log takes as it is, and whose outcome is a user."""
        message = message_factory.GetMessageClass(method.input_type)
        response: Any = message_factory.GetMessageClass(method.output_type)

        async def behavior(raw: bytes, context: Context) -> bytes:
            principal = self._gate.principal(context)
            request: Any = parse_within_bounds(message, raw)
            administration = log_pb2.Administration(request_id=request.request_id)
            getattr(administration, kind).CopyFrom(request)
            outcome = await self.administer(administration, principal, context)
            answer: bytes = response(
                user=outcome.user, revision=outcome.revision
            ).SerializeToString()
            return answer

        return behavior

    async def administer(
        self,
        administration: log_pb2.Administration,
        principal: Principal,
        context: Context,
        whose_turn: int = 0,
    ) -> log_pb2.AdministrationOutcome:
        """Have an administration applied; raise RequestRefused.

        `whose_turn`: the user who takes turns with other users for it; 0: the principal.
        """
        problem = bounds.check_administration(administration)
        if problem is not None:
            raise RequestRefused(problem)
        command = raw_pb2.RawCommand(
            user_id=principal.user_id,
            epoch=principal.epoch,
            session_id=principal.session_id,
            administration=administration.SerializeToString(deterministic=True),
            source=self._gate.source(context),
        )
        return await self.administration_outcome(command, context, whose_turn)

    async def administration_outcome(
        self, command: raw_pb2.RawCommand, context: Context, whose_turn: int = 0
    ) -> log_pb2.AdministrationOutcome:
        """Have a command applied whose outcome is an administration's; raise RequestRefused."""
        reply = await self._driver.apply(
            command.SerializeToString(),
            deadline_ms(context.time_remaining()),
            whose_turn or command.user_id,
        )
        return log_pb2.AdministrationOutcome.FromString(reply.administration)
