"""Settings of a gateway, read once from the environment; nonsense is refused at the start."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from service.settings import Address, Members, OptionalAddress, TlsSettings, by_name
from wire.tls import TlsFiles


class GatewayConfig(TlsSettings):
    """One gateway's settings."""

    gateway_listen: Address  # for clients
    gateway_internal_listen: OptionalAddress = ""  # for processes of the cluster, by mutual TLS
    gateway_members: Members
    token_key_file: Path  # signs tokens; the same for all gateways
    gateway_assistant: OptionalAddress = ""
    # Of clients' TLS; read again when they change. None: clients speak plain text.
    gateway_tls_certificate_file: Path | None = None
    gateway_tls_key_file: Path | None = None
    gateway_trusted_hops: Annotated[int, Field(ge=0, le=8)] = 0  # proxies before it
    gateway_leave_seconds: Annotated[float, Field(ge=0, le=60)] = (
        0  # how long it serves on after SIGTERM
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.gateway_tls_certificate_file is None) != (self.gateway_tls_key_file is None):
            raise ValueError(
                "INVENTORY_GATEWAY_TLS_CERTIFICATE_FILE and INVENTORY_GATEWAY_TLS_KEY_FILE: "
                "give both, or neither for plain text"
            )
        return self

    @property
    def client_tls_files(self) -> TlsFiles | None:
        """Where the certificate for clients is; None: clients speak plain text."""
        if self.gateway_tls_certificate_file is None:
            return None
        return TlsFiles(
            certificate=self.gateway_tls_certificate_file, key=self.gateway_tls_key_file
        )

    @property
    def members(self) -> dict[str, str]:
        """Every member's address by its name."""
        return by_name(self.gateway_members)
