"""What ends a client's request without a result.

- RequestRefused: the status that the caller gets.
- TokenRefused: a token that does not hold; the caller gets it as a RequestRefused.
- HashersBusy: too many passwords wait; the caller gets it as a RequestRefused.
"""

from service.errors import CallRefused
from wire import errors


class RequestRefused(CallRefused):
    """A request that ended in a refusal."""


class TokenRefused(Exception):  # noqa: N818 - a refusal
    """A token that does not hold; `args[0]` continues "the token"."""


class HashersBusy(Exception):  # noqa: N818 - a refusal
    """Too many passwords wait to be checked."""


def malformed() -> RequestRefused:
    """Return the refusal of bytes that are no message."""
    return RequestRefused(errors.invalid_field("request", "cannot be parsed"))
