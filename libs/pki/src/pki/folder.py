"""The folder of an authority: its files, and the three steps of its rotation.

- `ca.pem`: the certificates that every process trusts; the first is that of the issuing authority.
- `ca.key`: the key of the issuing authority. Processes do not need the key.
- `NAME.pem`, `NAME.key`: the certificate and the key of the process with that name.
- `ca-next.key`: the key of the authority that is trusted already, and will issue next.

Each step of a rotation is safe while some processes have not read the step before:

    trust    a second authority is trusted beside the first; both vouch
    issue    every certificate is issued anew by the second authority
    finish   the first authority is trusted no longer
"""

import datetime as dt
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.authority import (
    AUTHORITY_DAYS,
    ISSUED_DAYS,
    Authority,
    Issued,
    certificates_in,
    dns_names_of,
    hosts_of,
)
from pki.contexts import PkiFiles
from pki.errors import PkiError
from pki.identities import ProcessIdentity, identity_of

RENEW_DAYS = 30  # what ends sooner is issued anew
FOLDER_MODE = 0o700
FILE_MODE = 0o600


class RotationStep(StrEnum):
    """What the next call of `rotate` does."""

    TRUST = "trust"
    ISSUE = "issue"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate of the folder, as people look at it."""

    file: str
    identity: str  # empty: an authority
    hosts: tuple[str, ...]
    issuer: str
    expires: dt.datetime


@dataclass(frozen=True, slots=True)
class PkiFolder:
    """The files of one cluster's authority."""

    path: Path

    @property
    def trusted_path(self) -> Path:
        """The file of the certificates that every process trusts."""
        return self.path / "ca.pem"

    @property
    def _key_path(self) -> Path:
        return self.path / "ca.key"

    @property
    def _next_key_path(self) -> Path:
        return self.path / "ca-next.key"

    def certificate_path(self, identity: ProcessIdentity) -> Path:
        """Return the file of a process's certificate; the key is beside the certificate."""
        return self.path / f"{identity.name or identity.kind}.pem"

    def files(self, identity: ProcessIdentity) -> PkiFiles:
        """Return the files that a process needs."""
        path = self.certificate_path(identity)
        return PkiFiles(path, path.with_suffix(".key"), self.trusted_path)

    def make(self, name: str, days: int = AUTHORITY_DAYS) -> None:
        """Make an authority; raise PkiError if the folder has one."""
        made = Authority.make(name, days).as_issued
        try:
            if self.trusted_path.exists():
                raise PkiError(f"{self.trusted_path} exists: the folder has an authority")
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise PkiError(f"{self.path} cannot be made: {error.strerror}") from error
        _write(self._key_path, made.key)
        _write(self.trusted_path, made.certificate)

    def issue(
        self, identity: ProcessIdentity, hosts: tuple[str, ...] = (), days: int = ISSUED_DAYS
    ) -> Path:
        """Issue a certificate, in the place of one that exists; return its file."""
        if identity.name == "ca":
            raise PkiError("a member cannot be called ca: the authority's files are")
        return self._write_issued(identity, self._authority().issue(identity, hosts, days))

    def keep(
        self, identity: ProcessIdentity, hosts: tuple[str, ...] = (), days: int = ISSUED_DAYS
    ) -> PkiFiles:
        """Return the files of a process, issued anew if they are missing or about to expire."""
        path = self.certificate_path(identity)
        is_kept = path.exists() and path.with_suffix(".key").exists()
        if not is_kept or _ends_soon(certificates_in(_read(path))[0]):
            self.issue(identity, hosts, days)
        return self.files(identity)

    @property
    def next_step(self) -> RotationStep:
        """What the next call of `rotate` does."""
        trusted = self._trusted()
        if self._next_key_path.exists():
            return RotationStep.ISSUE
        return RotationStep.FINISH if len(trusted) > 1 else RotationStep.TRUST

    def rotate(self, days: int = ISSUED_DAYS) -> RotationStep:
        """Take the next step of a rotation; return the step that was taken."""
        step = self.next_step
        match step:
            case RotationStep.TRUST:
                self._trust_another()
            case RotationStep.ISSUE:
                self._issue_anew(days)
            case RotationStep.FINISH:
                self._write_trusted(self._trusted()[:1])
        return step

    def shown(self) -> list[Shown]:
        """Return every certificate of the folder, the authorities first."""
        trusted = [_shown(self.trusted_path, one, None) for one in self._trusted()]
        return trusted + [
            _shown(self.certificate_path(identity), certificate, identity)
            for identity, certificate in self._issued()
        ]

    def _trust_another(self) -> None:
        trusted = self._trusted()
        name = trusted[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        another = Authority.make(str(name))
        # The key is written last: an authority without a key is dropped again by `finish`.
        self._write_trusted([*trusted[:1], another.certificate])
        _write(self._next_key_path, another.as_issued.key)

    def _issue_anew(self, days: int) -> None:
        trusted, key = self._trusted(), _read(self._next_key_path)
        authority = Authority.read(trusted, key)
        for identity, certificate in self._issued():
            hosts = hosts_of(certificate, identity)
            self._write_issued(identity, authority.issue(identity, hosts, days))
        first = [one for one in trusted if one != authority.certificate]
        self._write_trusted([authority.certificate, *first])
        _write(self._key_path, key)
        self._next_key_path.unlink()

    def _authority(self) -> Authority:
        return Authority.read(self._trusted(), _read(self._key_path))

    def _trusted(self) -> list[x509.Certificate]:
        return certificates_in(_read(self.trusted_path))

    def _issued(self) -> list[tuple[ProcessIdentity, x509.Certificate]]:
        paths = sorted(set(self.path.glob("*.pem")) - {self.trusted_path})
        read = [certificates_in(path.read_bytes())[0] for path in paths]
        return [(identity_of(dns_names_of(one)), one) for one in read]

    def _write_trusted(self, trusted: list[x509.Certificate]) -> None:
        _write(self.trusted_path, b"".join(one.public_bytes(Encoding.PEM) for one in trusted))

    def _write_issued(self, identity: ProcessIdentity, issued: Issued) -> Path:
        path = self.certificate_path(identity)
        _write(path.with_suffix(".key"), issued.key)
        _write(path, issued.certificate)
        return path


def _ends_soon(certificate: x509.Certificate) -> bool:
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return left < dt.timedelta(days=RENEW_DAYS)


def _shown(path: Path, certificate: x509.Certificate, identity: ProcessIdentity | None) -> Shown:
    return Shown(
        file=path.name,
        identity=str(identity or ""),
        hosts=tuple(hosts_of(certificate, identity)) if identity else (),
        issuer=certificate.issuer.rfc4514_string(),
        expires=certificate.not_valid_after_utc,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    """Write a whole file that only its owner can read, or none."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise PkiError(f"{path} cannot be written: {error.strerror}") from error
