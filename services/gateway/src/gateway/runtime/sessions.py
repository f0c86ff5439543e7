"""Log-ins, refreshes and log-outs, as clients call them; no password and no secret reaches the log.

The keys that verify access tokens are published here too.
"""

import json
from typing import Any, TypeAlias
from uuid import uuid4

import grpc.aio  # noqa: TC002 - named by a string
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2
from pki.identities import Kind
from wire import errors
from wire.errors import Reason, reason_of
from wire.text import folded

from gateway.audit import OK
from gateway.auth import ALGORITHM, CLUSTER, Tokens
from gateway.errors import RequestRefused
from gateway.refresh_tokens import RefreshToken, fresh_secrets, refresh_token_in
from gateway.runtime.accounts import Accounts
from gateway.runtime.driver import Driver, deadline_ms
from gateway.runtime.gate import TokenGate, peer_kind
from gateway.runtime.parsing import parse, parse_within_bounds
from gateway.signing_keys import KeyRing

JWKS_PATH = "/.well-known/jwks.json"
SOURCE_CHARACTERS_MAX = 64
REFUSED_LOGINS = frozenset({Reason.INVALID_CREDENTIALS, Reason.LOGIN_LIMITED})

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class SessionCalls:
    """The calls about sessions.

    - Nothing is proposed for a refresh token that no session of that family goes on for.
    """

    def __init__(
        self, driver: Driver, gate: TokenGate, tokens: Tokens, ring: KeyRing, accounts: Accounts
    ) -> None:
        """Serve calls by these parts."""
        self._driver = driver
        self._gate = gate
        self._tokens = tokens
        self._ring = ring
        self._accounts = accounts
        self.refused_count = 0  # refresh tokens that served nothing

    async def login(self, raw: bytes, context: Context) -> bytes:
        """Log a user in."""
        request = parse_within_bounds(auth_pb2.LoginRequest, raw)
        kind = peer_kind(context)
        credential = await self._credential(request, kind, context)
        user, secrets = credential.user, fresh_secrets()
        administration = log_pb2.Administration(
            request_id=str(uuid4()),  # without a time: this gateway's clock may be ahead
            start_session=log_pb2.StartSession(
                user_id=user.id,
                epoch=credential.epoch,
                label=request.label,
                source=self._gate.source(context)[:SOURCE_CHARACTERS_MAX],
                family_hash=secrets.family_hash,
                secret_hash=secrets.secret_hash,
            ),
        )
        outcome = await self._accounts.administer(administration, CLUSTER, context, user.id)
        session_id = outcome.session.session.id
        token, expires = self._tokens.make(user.id, outcome.session.epoch, session_id)
        self._gate.note("login", OK, context, actor_id=user.id, actor=user.name)
        if kind is None:
            await self._accounts.upgrade(credential, session_id, request.password, context)
        response = auth_pb2.LoginResponse(
            token=token,
            user=user,
            refresh_token=str(RefreshToken(user.id, session_id, secrets)),
            session_id=session_id,
        )
        response.expire_time.FromSeconds(expires)
        return response.SerializeToString()

    async def _credential(
        self, request: auth_pb2.LoginRequest, kind: Kind | None, context: Context
    ) -> forward_pb2.Credential:
        """Return the credential of who logs in; `kind`: whom a certificate names, if one does.

        Raises RequestRefused.
        """
        name = folded(request.username)
        try:
            if kind is not None:
                return await self._accounts.vouched(kind, name, context)
            return await self._accounts.proven(name, request.password, context)
        except RequestRefused as refused:
            reason = reason_of(refused.status)
            if reason in REFUSED_LOGINS:
                self._gate.note("login", str(reason), context, actor=request.username)
            raise

    async def refresh(self, raw: bytes, context: Context) -> bytes:
        """Exchange a refresh token."""
        request = parse_within_bounds(auth_pb2.RefreshTokenRequest, raw)
        given = refresh_token_in(request.refresh_token)
        if given is None or not await self._family_goes_on(given, context):
            self.refused_count += 1
            await self._gate.refusals.pause()
            raise RequestRefused(errors.session_ended())
        following, outcome = await self._refreshed(given, request.request_id, context)
        if not outcome.session.HasField("session"):
            self.refused_count += 1
            raise RequestRefused(errors.session_ended())
        token, expires = self._tokens.make(given.user_id, outcome.session.epoch, given.session_id)
        response = auth_pb2.RefreshTokenResponse(
            token=token, refresh_token=str(following), revision=outcome.revision
        )
        response.expire_time.FromSeconds(expires)
        return response.SerializeToString()

    async def _family_goes_on(self, given: RefreshToken, context: Context) -> bool:
        """Tell whether a session goes on that knows the token's family; raise RequestRefused."""
        query = forward_pb2.Query()
        query.get_session.user_id, query.get_session.session_id = given.user_id, given.session_id
        question = forward_pb2.Question(query=query)
        reply = await self._driver.ask(question, deadline_ms(context.time_remaining()))
        found = forward_pb2.SessionSecrets.FromString(reply.answer)
        return found.family_hash == given.secrets.family_hash

    async def _refreshed(
        self, given: RefreshToken, request_id: str, context: Context
    ) -> tuple[RefreshToken, log_pb2.AdministrationOutcome]:
        """Exchange a token of a known family; return the token that follows it.

        A retry that meets the keys in another order finds that its request was made with one of
        the others. Raises RequestRefused.
        """
        refused: RequestRefused | None = None
        for key in self._ring.keys:
            secrets = given.secrets.following(key.secret, request_id)
            administration = log_pb2.Administration(
                request_id=request_id,
                refresh_session=log_pb2.RefreshSession(
                    user_id=given.user_id,
                    session_id=given.session_id,
                    family_hash=given.secrets.family_hash,
                    secret_hash=given.secrets.secret_hash,
                    next_secret_hash=secrets.secret_hash,
                ),
            )
            try:
                outcome = await self._accounts.administer(
                    administration, CLUSTER, context, given.user_id
                )
            except RequestRefused as error:
                if reason_of(error.status) is not Reason.REQUEST_ID_REUSED:
                    raise
                refused = refused or error
                continue
            return RefreshToken(given.user_id, given.session_id, secrets), outcome
        raise refused or RequestRefused(errors.session_ended())

    async def logout(self, raw: bytes, context: Context) -> bytes:
        """End the caller's session."""
        principal = self._gate.principal(context)
        request = parse_within_bounds(auth_pb2.LogoutRequest, raw)
        ends = auth_pb2.EndSessionsRequest(
            request_id=request.request_id,
            user_id=principal.user_id,
            session_id=principal.session_id,
        )
        administration = log_pb2.Administration(request_id=request.request_id, end_sessions=ends)
        outcome = await self._accounts.administer(administration, principal, context)
        return auth_pb2.LogoutResponse(revision=outcome.revision).SerializeToString()

    async def end(self, raw: bytes, context: Context) -> bytes:
        """End one session of a user, or all of them."""
        principal = self._gate.principal(context)
        request = parse_within_bounds(auth_pb2.EndSessionsRequest, raw)
        administration = log_pb2.Administration(request_id=request.request_id, end_sessions=request)
        outcome = await self._accounts.administer(administration, principal, context)
        self._gate.note(
            "end_sessions",
            OK,
            context,
            actor_id=principal.user_id,
            detail=f"of user {request.user_id}",
        )
        response = auth_pb2.EndSessionsResponse(
            count=outcome.ended_sessions, revision=outcome.revision
        )
        return response.SerializeToString()

    async def get_json_web_key_set(self, raw: bytes, context: Context) -> bytes:
        """Return the keys that verify access tokens."""
        del context
        parse(auth_pb2.GetJsonWebKeySetRequest, raw)
        keys = [auth_pb2.JsonWebKey(**key) for key in self._json_web_keys()]
        return auth_pb2.GetJsonWebKeySetResponse(keys=keys).SerializeToString()

    def json_web_key_set(self) -> bytes:
        """Return the same keys as JSON (RFC 7517 §5); for another thread too."""
        return json.dumps({"keys": self._json_web_keys()}).encode()

    def _json_web_keys(self) -> list[dict[str, str]]:
        return [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": key.x,
                "kid": key.id,
                "use": "sig",
                "alg": ALGORITHM,
            }
            for key in self._ring.keys
        ]
