"""TLS 1.3 (RFC 8446) at one end of a link, without a socket: bytes in, bytes out.

The bytes may travel over a connection or inside another link. So nobody who carries them can read
or change them, and the bounds of a connection without a proof are the same in both.
"""

import ssl

from pki.contexts import peer_identity
from pki.errors import PkiError
from pki.identities import ProcessIdentity

from link.errors import HelloRefused, Reason, TlsFailed

HANDSHAKE_BYTES_MAX = 32 << 10  # of the other end, until its certificate is accepted
READ_BYTES = 1 << 14  # the content of a record has no more (RFC 8446, section 5.1)


class TlsEnd:
    """One end's handshake, then its records.

    - Nothing that comes is passed on before the other end's certificate is accepted.
    - An end without a certificate sends HANDSHAKE_BYTES_MAX bytes at most.
    - What `take` returns is to be sent after each call, also after an error: it is an alert then.
    """

    __slots__ = ("_bytes", "_incoming", "_object", "_outgoing", "is_complete")

    def __init__(self, context: ssl.SSLContext, *, is_server: bool) -> None:
        """Begin nothing yet."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)
        self._bytes = 0  # that came during the handshake
        self.is_complete = False

    @property
    def peer(self) -> ProcessIdentity:
        """Whom the other end's accepted certificate names; raise HelloRefused if it is nobody."""
        try:
            return peer_identity(self._object.getpeercert())
        except PkiError as error:
            raise HelloRefused(Reason.REASON_CERTIFICATE, str(error)) from error

    def begin(self) -> None:
        """Speak first."""
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """Take bytes that came; return what they say. Raise TlsFailed."""
        self._incoming.write(data)
        try:
            if not self.is_complete:
                self._bytes += len(data)
                if self._bytes > HANDSHAKE_BYTES_MAX:
                    raise TlsFailed("the handshake has too many bytes")
                self._shake_hands()
            return self._read() if self.is_complete else b""
        except ssl.SSLError as error:
            raise TlsFailed(sentence_of(error)) from error

    def seal(self, data: bytes) -> None:
        """Have bytes sent to the other end, whose certificate is accepted."""
        self._object.write(data)

    def take(self) -> bytes:
        """Return the bytes that are to be sent."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_complete = True

    def _read(self) -> bytes:
        read: list[bytes] = []
        try:
            while piece := self._object.read(READ_BYTES):
                read.append(piece)
        except ssl.SSLWantReadError:
            pass
        return read[0] if len(read) == 1 else b"".join(read)


def sentence_of(error: ssl.SSLError) -> str:
    """Return what went wrong in a handshake, for a log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the other end is not accepted here: {error.verify_message}"
    reason = (error.reason or type(error).__name__).replace("_", " ").lower()
    _, is_alert, said = reason.partition("alert ")
    if is_alert:
        return f"the other end does not accept this end or its certificate: {said}"
    if reason in {"wrong version number", "http request"}:
        return "what speaks there does not speak TLS 1.3: is it the right port?"
    return f"there is no TLS 1.3 with the other end: {reason}"
