"""Settings of a gateway, read once from the environment; nonsense is refused at the start."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from service.settings import Address, Members, OptionalAddress, TlsSettings, by_name


class GatewayConfig(TlsSettings):
    """One gateway's settings."""

    gateway_listen: Address  # for clients
    gateway_members: Members
    token_key_file: Path  # signs tokens; the same for all gateways
    gateway_assistant: OptionalAddress = ""
    gateway_trusted_hops: Annotated[int, Field(ge=0, le=8)] = 0  # proxies before it
    gateway_leave_seconds: Annotated[float, Field(ge=0, le=60)] = (
        0  # how long it serves on after SIGTERM
    )

    @property
    def members(self) -> dict[str, str]:
        """Every member's address by its name."""
        return by_name(self.gateway_members)
