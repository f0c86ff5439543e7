"""An authority and the certificates that it issues (RFC 5280): ECDSA on P-256, SHA-256.

C-core does not accept Ed25519 in certificates, so P-256 is the newest curve that every peer takes.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.errors import PkiError
from pki.identities import ProcessIdentity

AUTHORITY_DAYS = 3_650
ISSUED_DAYS = 90
NAME_CHARACTERS_MAX = 64  # of a common name (RFC 5280, appendix A.1)
EARLIER = dt.timedelta(minutes=5)  # for clocks that are behind the issuer's


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that others trust, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str, days: int = AUTHORITY_DAYS) -> "Authority":
        """Make an authority that nobody trusts yet; raise PkiError for a name that is none."""
        key = ec.generate_private_key(ec.SECP256R1())
        if not name.isprintable() or not name.strip():
            raise PkiError(f"{name[:NAME_CHARACTERS_MAX]!r} cannot be the name of an authority")
        try:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        except ValueError as error:
            raise PkiError(f"the name of the authority cannot be used: {error}") from error
        certificate = (
            _builder(subject, subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(_key_name(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, certificates: Iterable[x509.Certificate], key: bytes) -> "Authority":
        """Find the certificate of a key in PEM; raise PkiError if there is none."""
        try:
            secret = load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise PkiError(f"the authority's key cannot be read: {error}") from error
        if not isinstance(secret, ec.EllipticCurvePrivateKey):
            raise PkiError("the authority's key is not one of an elliptic curve")
        for certificate in certificates:
            if _public_key_of(certificate) == secret.public_key():
                return cls(certificate, secret)
        raise PkiError("the authority's key belongs to none of the trusted certificates")

    @property
    def as_issued(self) -> Issued:
        """The authority's own certificate and key, as PEM."""
        return Issued(self.certificate.public_bytes(Encoding.PEM), _pem_of(self.key))

    def issue(
        self, identity: ProcessIdentity, hosts: Sequence[str] = (), days: int = ISSUED_DAYS
    ) -> Issued:
        """Vouch for a process; `hosts`: further DNS names and addresses under which it is reached.

        Raises PkiError for a host that is neither.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        common = str(identity)[:NAME_CHARACTERS_MAX]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        issuer = self.certificate.subject
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(subject, issuer, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName(_names(identity, hosts)), critical=False)
            .add_extension(_key_name(key.public_key()), critical=False)
            .add_extension(signer, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Issued(certificate.public_bytes(Encoding.PEM), _pem_of(key))


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """Read one certificate or more; raise PkiError."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise PkiError(f"a certificate cannot be read: {error}") from error


def names_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    """Return the names of a certificate; raise PkiError if it has none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise PkiError("a certificate names nobody: it has no subjectAltName") from None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise PkiError(f"the names of a certificate cannot be read: {error}") from error


def _public_key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PkiError(f"the key of a certificate cannot be read: {error}") from error


def dns_names_of(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names of a certificate; raise PkiError if it names nobody."""
    return names_of(certificate).get_values_for_type(x509.DNSName)


def hosts_of(certificate: x509.Certificate, identity: ProcessIdentity) -> list[str]:
    """Return the names and addresses of a certificate beside its identity."""
    names = [name for name in dns_names_of(certificate) if name != identity.dns_name]
    addresses = names_of(certificate).get_values_for_type(x509.IPAddress)
    return [*names, *map(str, addresses)]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _names(identity: ProcessIdentity, hosts: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = [x509.DNSName(identity.dns_name)]
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            try:
                found.append(x509.DNSName(host))
            except ValueError as error:
                raise PkiError(f"{host!r} is no host name: {error}") from error
    return found


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_name(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
