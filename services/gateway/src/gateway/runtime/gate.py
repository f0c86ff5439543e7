"""Who may make a call, before a byte of the call's request is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc.aio  # noqa: TC002 - named by a string
from wire import errors
from wire.channels import bearer

from gateway.auth import Principal, Tokens
from gateway.errors import RequestRefused, TokenRefused
from gateway.shares import Shares

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

OURS = "/inventory.v1."
LOGIN = "/inventory.v1.AuthService/Login"
SUBMIT = "/inventory.v1.InventoryService/Submit"


class TokenGate:
    """Lets calls with a valid token in, and a bounded number of them at a time for each user.

    Log-ins, health and reflection need no token.
    """

    def __init__(self, tokens: Tokens, shares: Shares) -> None:
        """Verify by `tokens`; count in `shares`."""
        self._tokens = tokens
        self.shares = shares

    def principal(self, context: Context) -> Principal:
        """Return whom a call speaks for; raise RequestRefused."""
        try:
            return self._tokens.verify(bearer(context.invocation_metadata()))
        except TokenRefused as refused:
            raise RequestRefused(errors.token_invalid(str(refused))) from None

    @contextmanager
    def admitted(self, method: str, context: Context) -> Iterator[None]:
        """Let a call in; raise RequestRefused."""
        if method == LOGIN or not method.startswith(OURS):
            yield
            return
        user_id = self.principal(context).user_id
        if method == SUBMIT:  # counts itself, as it needs the share
            yield
            return
        with self.shares.call(user_id):
            yield
