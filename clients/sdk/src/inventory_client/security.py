"""How a client's channel is secured.

- On this machine's loopback: plain text, or TLS if a CA file is given.
- Elsewhere: TLS, unless the program says `insecure=True`.
"""

from dataclasses import dataclass
from pathlib import Path

from wire.channels import is_loopback
from wire.tls import ClientTls, TlsFiles


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The caller's own certificate, for a port that asks for one (mutual TLS)."""

    certificate_file: Path | str
    key_file: Path | str
    server_name: str = ""  # that the server's certificate must have; empty: the address's


def tls_of(
    address: str,
    ca_file: Path | str | None = None,
    certificate: ClientCertificate | None = None,
    *,
    insecure: bool = False,
) -> ClientTls | None:
    """Return how to speak TLS to an address; None: by plain text.

    `ca_file`: the authorities that may vouch for the server; None: the public ones that gRPC
    knows. `insecure`: by plain text, wherever the server is. The files are read at once, and again
    when they change. Raises ValueError.
    """
    if insecure and (ca_file is not None or certificate is not None):
        raise ValueError("insecure: plain text takes no ca_file and no certificate")
    is_plain = ca_file is None and certificate is None and is_loopback(address)
    if insecure or is_plain:
        return None
    files = TlsFiles(
        trusted=None if ca_file is None else Path(ca_file),
        certificate=None if certificate is None else Path(certificate.certificate_file),
        key=None if certificate is None else Path(certificate.key_file),
    )
    return ClientTls(files, "" if certificate is None else certificate.server_name)
