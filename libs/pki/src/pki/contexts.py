"""What a process needs of its files to listen and to connect: TLS 1.3 (RFC 8446), both ends proven.

The files are read again when they change, as cert-manager and `inventory pki rotate` change them.
Connections stay; the next connection is made with what the files hold by then.
"""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pki.authority import certificates_in, dns_names_of
from pki.errors import PkiError
from pki.identities import ProcessIdentity, identity_of
from pki.secret_files import secret_content

LOOK_SECONDS = 1.0  # the files are looked at no more often
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class PkiFiles:
    """Where a process finds its certificate, its key, and whom it trusts."""

    certificate: Path
    key: Path
    trusted: Path

    @property
    def stamps(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when a file is replaced; raise PkiError if one cannot be read."""
        found = []
        for path in (self.certificate, self.key, self.trusted):
            try:
                status = path.stat()
            except OSError as error:
                raise PkiError(f"{path} cannot be read: {error.strerror}") from error
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What the files held when they were read."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    identity: ProcessIdentity
    expires: float  # seconds since 1970, of the certificate or of an authority, the earlier one


class PkiContexts:
    """The TLS contexts of one process.

    - A context is what the files held at the last look at which certificate and key fitted.
    - Files that do not fit are reported by `problem`, and change nothing.
    """

    def __init__(self, files: PkiFiles) -> None:
        """Read the files; raise PkiError."""
        self.problem = ""
        self._files = files
        self._stamps = files.stamps
        self._loaded = _load(files, self._chosen)
        self._looked = time.monotonic()

    @property
    def identity(self) -> ProcessIdentity:
        """Who this process is."""
        return self._loaded.identity

    @property
    def expires(self) -> float:
        """When the first of the certificates ends, in seconds since 1970."""
        return self._loaded.expires

    def server(self) -> ssl.SSLContext:
        """Return the context for a listener; each handshake is made with what the files hold."""
        self.look()
        return self._loaded.server

    def client(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        self.look()
        return self._loaded.client

    def look(self) -> None:
        """Read the files again if they changed."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            stamps = self._files.stamps
            if stamps != self._stamps:
                self._loaded = self._read_anew()
                self._stamps = stamps
            self.problem = ""
        except PkiError as error:
            self.problem = str(error)

    def _read_anew(self) -> _Loaded:
        loaded = _load(self._files, self._chosen)
        if loaded.identity != self.identity:
            raise PkiError(
                f"{self._files.certificate} is the certificate of {loaded.identity}, and this is "
                f"{self.identity}"
            )
        return loaded

    def _chosen(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        """Continue a handshake with what the files hold now."""
        self.look()
        connection.context = self._loaded.server


def peer_identity(certificate: Mapping[str, object] | None) -> ProcessIdentity:
    """Return whom a proven peer's certificate names, as `SSLObject.getpeercert` gives it.

    Raises PkiError.
    """
    names = (certificate or {}).get("subjectAltName", ())
    pairs = names if isinstance(names, tuple) else ()
    return identity_of(value for kind, value in pairs if kind == "DNS")


def _load(files: PkiFiles, chosen: object) -> _Loaded:
    secret_content(files.key)  # nobody else may know or replace the key
    certificates = certificates_in(_content(files.certificate))
    trusted = certificates_in(_content(files.trusted))
    server = _context(files, ssl.PROTOCOL_TLS_SERVER)
    server.num_tickets = 0  # sessions are not resumed: each connection proves both ends anew
    server.sni_callback = chosen  # type: ignore[assignment]  # it is called for every handshake
    return _Loaded(
        server=server,
        client=_context(files, ssl.PROTOCOL_TLS_CLIENT),
        identity=identity_of(dns_names_of(certificates[0])),
        expires=min(one.not_valid_after_utc.timestamp() for one in (certificates[0], *trusted[:1])),
    )


def _context(files: PkiFiles, protocol: "ssl._SSLMethod") -> ssl.SSLContext:
    made = ssl.SSLContext(protocol)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # identities are compared instead, after the handshake
    made.verify_mode = ssl.CERT_REQUIRED
    try:
        made.load_cert_chain(files.certificate, files.key)
        made.load_verify_locations(files.trusted)
    except (ssl.SSLError, OSError) as error:
        raise PkiError(
            f"{files.certificate}, {files.key} and {files.trusted} do not fit: {error}"
        ) from error
    return made


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error
