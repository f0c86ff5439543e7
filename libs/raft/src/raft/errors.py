"""The exceptions of this package.

    Exception
    +-- ProtocolViolation

A refusal is no exception: a refused proposal, change or transfer is a returned value. A ValueError
says that the caller passed an argument that is never valid.
"""


class ProtocolViolation(Exception):  # noqa: N818 - the name states the fact
    """The protocol rules out what happened, so the process must end before the replicas differ."""
