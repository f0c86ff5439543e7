"""TLS at the two ends of gRPC: files that are followed, and why a connection was not made.

gRPC speaks TLS 1.2 and 1.3 (RFC 5246, RFC 8446). A client proves the server by the authorities in
one file, or by the public ones that gRPC knows. The files are read again when they change.
Connections stay; the next one is made with what the files hold by then.
"""

import ssl
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import grpc

LOOK_SECONDS = 1.0  # the files are looked at no more often
FILE_BYTES_MAX = 1 << 20

Stamps = tuple[tuple[int, int, int], ...]


class TlsTrouble(StrEnum):
    """Why a connection was not made, as far as the ends of TLS can tell."""

    PLAIN_TEXT = "plain text"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    OTHER_NAME = "other name"
    CLOSED = "closed"


SENTENCES = {
    TlsTrouble.PLAIN_TEXT: "The gateway speaks plain text, and was called by TLS.",
    TlsTrouble.UNTRUSTED: (
        "No authority that is trusted here vouches for the gateway's certificate; "
        "the CA file has to hold the gateway's authority."
    ),
    TlsTrouble.EXPIRED: (
        "The gateway's certificate is not valid at this time: whoever runs the gateway has to "
        "renew the certificate, unless the clock of this machine is wrong."
    ),
    TlsTrouble.OTHER_NAME: (
        "The gateway's certificate is of another name than the address; call the gateway by a "
        "name or address in its certificate."
    ),
    TlsTrouble.CLOSED: (
        "The connection was closed before anything was said: a gateway that speaks TLS does so to "
        "plain text, and a gateway that stops to everybody."
    ),
}
# What C-core writes about a connection. It has no other way to tell these apart.
_SIGNS = (
    ("WRONG_VERSION_NUMBER", TlsTrouble.PLAIN_TEXT),
    ("certificate has expired", TlsTrouble.EXPIRED),
    ("certificate is not yet valid", TlsTrouble.EXPIRED),
    ("CERTIFICATE_VERIFY_FAILED", TlsTrouble.UNTRUSTED),
    ("Hostname Verification Check failed", TlsTrouble.OTHER_NAME),
)
_NOT_CONNECTED = "failed to connect to all addresses"


def tls_trouble(details: str) -> TlsTrouble | None:
    """Return why a connection was not made, from the details of the call that waited for it."""
    if not details.startswith(_NOT_CONNECTED):
        return None
    found = (trouble for sign, trouble in _SIGNS if sign in details)
    closed = TlsTrouble.CLOSED if details.endswith(": Socket closed") else None
    return next(found, closed)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where one end finds whom it trusts, and its own certificate and key."""

    trusted: Path | None = None  # None: the public authorities; for a server nobody in particular
    certificate: Path | None = None
    key: Path | None = None

    @property
    def stamps(self) -> Stamps:
        """What changes when a file is replaced; raise ValueError if one cannot be read."""
        paths = filter(None, (self.trusted, self.certificate, self.key))
        return tuple(_stamp(path) for path in paths)

    def read(self) -> "TlsContent":
        """Read the files; raise ValueError if they do not fit, or changed meanwhile."""
        stamps = self.stamps
        checked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        named = ", ".join(str(path) for path in filter(None, (self.certificate, self.key)))
        try:
            if self.trusted is not None:
                named = str(self.trusted)
                checked.load_verify_locations(self.trusted)
            if self.certificate is not None and self.key is not None:
                named = f"{self.certificate}, {self.key}"
                checked.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"{named}: no certificates in PEM that fit: {error}") from error
        content = TlsContent(
            stamps,
            _content(self.trusted),
            _content(self.certificate),
            _content(self.key),
        )
        if self.stamps != stamps:
            raise ValueError(f"{named} changed while it was read")
        return content


@dataclass(frozen=True, slots=True)
class TlsContent:
    """What the files held at one moment, as PEM."""

    stamps: Stamps
    trusted: bytes | None
    certificate: bytes | None
    key: bytes | None


class FollowedFiles:
    """The content of files that are looked at again.

    - Files that do not fit are reported by `problem`, and change nothing.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read the files; raise ValueError."""
        self.content = files.read()
        self.problem = ""
        self._files = files
        self._looked = time.monotonic()

    def look(self) -> bool:
        """Read the files again if they changed; tell whether they did."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        try:
            self.problem = ""
            if self._files.stamps == self.content.stamps:
                return False
            self.content = self._files.read()
        except ValueError as error:
            self.problem = str(error)
            return False
        return True


class ClientTls:
    """How a client speaks TLS."""

    def __init__(self, files: TlsFiles, server_name: str = "") -> None:
        """Read the files; raise ValueError.

        `server_name`: the name that the server's certificate must have; empty: the address's.
        """
        self.followed = FollowedFiles(files)
        name = (("grpc.ssl_target_name_override", server_name),)
        self.options = name if server_name else ()

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel that is made at this moment."""
        held = self.followed.content
        return grpc.ssl_channel_credentials(held.trusted, held.key, held.certificate)


class ServerTls:
    """How a server speaks TLS: each handshake is made with what the files hold.

    - With a file of trusted authorities, whoever connects has to have a certificate of one.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read the files, of which certificate and key are needed; raise ValueError."""
        self.followed = FollowedFiles(files)
        self._is_mutual = files.trusted is not None

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """For a port."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._changed,  # type: ignore[arg-type]  # the stubs do not know that it may be None
            require_client_authentication=self._is_mutual,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if that has changed; gRPC asks before each handshake."""
        return self._configuration() if self.followed.look() else None

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        held = self.followed.content
        if held.key is None or held.certificate is None:
            raise ValueError("a server that speaks TLS needs a certificate and its key")
        pairs = [(held.key, held.certificate)]
        return grpc.ssl_server_certificate_configuration(pairs, held.trusted)


def _no_password() -> str:
    """Keep OpenSSL from asking on the terminal: keys with a password are refused."""
    return ""


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
        if not path.is_file():  # to open a FIFO would wait
            raise ValueError(f"{path} is no file")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if status.st_size > FILE_BYTES_MAX:
        raise ValueError(f"{path} is over {FILE_BYTES_MAX} bytes long")
    return status.st_ino, status.st_mtime_ns, status.st_size


def _content(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
