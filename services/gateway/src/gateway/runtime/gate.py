"""Who may make a call, before a byte of the call's request is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - named by a string
from google.rpc import status_pb2
from pki.errors import PkiError
from pki.identities import Kind, identity_of
from service.intake import SlowRefusals
from wire import errors
from wire.channels import bearer
from wire.errors import Reason

from gateway.audit import AuditBuffer, Seen
from gateway.auth import Principal, Tokens
from gateway.errors import RequestRefused, TokenRefused
from gateway.shares import Shares
from gateway.sources import FORWARDED, source_of

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

OURS = "/inventory.v1."
OPEN = frozenset(
    f"/inventory.v1.AuthService/{method}"
    for method in ("Login", "RefreshToken", "GetJsonWebKeySet")
)
AUTHORITY = frozenset({Reason.ROLE_NOT_ALLOWED, Reason.PASSWORD_CHANGE_NEEDED})
LOGIN = "/inventory.v1.AuthService/Login"
SUBMIT = "/inventory.v1.InventoryService/Submit"


def peer_kind(context: Context) -> Kind | None:
    """Return the kind of process that the caller's certificate names; None for all others.

    Only the internal port asks for certificates, and takes those of the cluster's authority alone.
    """
    names = context.auth_context().get("x509_subject_alternative_name", ())
    try:
        return identity_of(name.decode(errors="replace") for name in names).kind
    except PkiError:
        return None


class TokenGate:
    """Lets calls with a valid token in, and a bounded number of them at a time for each user.

    Log-ins, refreshes, public keys, health and reflection need no token.
    """

    def __init__(self, tokens: Tokens, shares: Shares, trusted_hops: int = 0) -> None:
        """Verify by `tokens`; count in `shares`. For `trusted_hops` see `source_of`."""
        self._tokens = tokens
        self._trusted_hops = trusted_hops
        self.shares = shares
        self.refusals = SlowRefusals()
        self.refused_count = 0  # for want of a valid token
        self.audit = AuditBuffer()

    def source(self, context: Context) -> str:
        """Return where a call comes from."""
        pairs = context.invocation_metadata() or ()
        forwarded = [str(value) for key, value in pairs if key == FORWARDED]
        return source_of(context.peer(), forwarded, self._trusted_hops)

    def principal(self, context: Context) -> Principal:
        """Return whom a call speaks for; raise RequestRefused."""
        try:
            return self._tokens.verify(bearer(context.invocation_metadata()))
        except TokenRefused as refused:
            self.refused_count += 1
            raise RequestRefused(errors.token_invalid(str(refused))) from None

    def note(self, kind: str, outcome: str, context: Context, **fields: Any) -> None:  # noqa: ANN401 - of Seen
        """Have an event recorded."""
        self.audit.note(Seen(kind=kind, outcome=outcome, source=self.source(context), **fields))

    def note_refusal(self, call: str, context: Context, status: status_pb2.Status) -> None:
        """Have a refusal recorded if it is one for want of authority."""
        reason = errors.reason_of(status)
        if reason in AUTHORITY:
            user_id = self.principal(context).user_id
            self.note("authority", str(reason), context, actor_id=user_id, detail=call)

    @contextmanager
    def admitted(self, method: str, context: Context) -> Iterator[None]:
        """Let a call in; raise RequestRefused."""
        if method in OPEN or not method.startswith(OURS):
            yield
            return
        user_id = self.principal(context).user_id
        if method == SUBMIT:  # counts itself, as it needs the share
            yield
            return
        with self.shares.call(user_id):
            yield
