"""What the settings of all services have in common: addresses, members, logs, and refusals.

Settings are read once, from the environment: each is `INVENTORY_` and its name in capitals.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pki.contexts import PkiFiles
from pydantic import AfterValidator, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from wire.addresses import is_address, is_name
from wire.tls import TlsFiles


def _address(value: str) -> str:
    if not is_address(value):
        raise ValueError(f"{value!r} is not host:port")
    return value


def _optional_address(value: str) -> str:
    return _address(value) if value else value


def _members(value: str) -> str:
    names: set[str] = set()
    addresses: set[str] = set()
    for part in value.split(","):
        name, _, address = part.strip().partition("=")
        if not is_name(name) or name in names:
            raise ValueError(f"{part!r} is not name=host:port with a name of its own")
        if _address(address) in addresses:
            raise ValueError(f"{part!r}: another member has this address")
        names.add(name)
        addresses.add(address)
    return value


Address: TypeAlias = Annotated[str, AfterValidator(_address)]  # host:port
OptionalAddress: TypeAlias = Annotated[str, AfterValidator(_optional_address)]  # or empty: none
Members: TypeAlias = Annotated[str, AfterValidator(_members)]  # "node-0=127.0.0.1:7400,…"


def by_name(members: str) -> dict[str, str]:
    """Return every member's address by its name."""
    parts = (part.strip().partition("=") for part in members.split(","))
    return {name: address for name, _, address in parts}


class ServiceSettings(BaseSettings):
    """The settings that every service has."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True, extra="ignore")

    metrics_listen: OptionalAddress = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    log_file: Path | None = None  # to which stderr is redirected, for this process to rotate


class TlsSettings(ServiceSettings):
    """The settings of a service with a certificate; each file is read again when it changes."""

    tls_certificate_file: Path  # says who this process is
    tls_key_file: Path  # the key of the certificate
    tls_trusted_file: Path  # the authorities that vouch for the other processes

    @property
    def tls_files(self) -> PkiFiles:
        """The three files."""
        return PkiFiles(self.tls_certificate_file, self.tls_key_file, self.tls_trusted_file)

    @property
    def grpc_tls_files(self) -> TlsFiles:
        """The same, as ends of gRPC take them."""
        return TlsFiles(self.tls_trusted_file, self.tls_certificate_file, self.tls_key_file)


def refusals(service: str, error: ValidationError) -> str:
    """Return a line for each invalid setting: the service, the setting, and the reason."""
    lines = []
    for problem in error.errors():
        # A problem of several settings names them in its message.
        name = "".join(f"INVENTORY_{str(part).upper()}: " for part in problem["loc"])
        lines.append(f"{service}: {name}{problem['msg'].removeprefix('Value error, ')}\n")
    return "".join(lines)
