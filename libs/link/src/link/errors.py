"""Why a link ends.

- LinkError: any of these.
  - TlsFailed: the ends accept each other's certificates or bytes not; the connection ends.
  - FrameError: the other end sent bytes that break a rule; the connection ends.
  - HelloRefused: this end refuses the other end; the connection ends.
  - LinkRefused: the other end refused this end, and said why.
  - LinkBroken: there is no connection, or it broke.
    - LinkLate: the other end did not answer in time.
"""

from inventory.raft.v1 import link_pb2

Reason = link_pb2.LinkRefusal.Reason


class LinkError(Exception):
    """A link cannot be opened, or ends."""


class TlsFailed(LinkError):  # noqa: N818 - what became of a link
    """There is no TLS 1.3 with the other end; the message says who does not accept what."""


class FrameError(LinkError):
    """Bytes that are no frame, a frame that cannot be, or a payload that breaks a rule."""


class HelloRefused(LinkError):  # noqa: N818 - a refusal
    """Refused by this end; the message is the sentence that the other end gets."""

    def __init__(self, reason: Reason.ValueType, sentence: str) -> None:
        """Carry the reason."""
        super().__init__(sentence)
        self.reason = reason


class LinkRefused(LinkError):  # noqa: N818 - what became of a link
    """Refused by the other end; the message is the sentence of the other end."""

    def __init__(self, reason: Reason.ValueType, sentence: str) -> None:
        """Carry the reason."""
        super().__init__(sentence)
        self.reason = reason


class LinkBroken(LinkError):  # noqa: N818 - what became of a link
    """There is no connection, or it broke; the message says how."""


class LinkLate(LinkBroken):
    """The other end did not answer in time; it may be there."""

    def __init__(self, seconds: float) -> None:
        """Say for how long it was waited."""
        super().__init__(f"no answer within {seconds} s")
