"""Settings of a gateway, read once from the environment; nonsense is refused at the start."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d{1,5}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PORT_MAX = 65_535


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > PORT_MAX:
        raise ValueError(f"{value!r} is not host:port")
    return value


def _optional(value: str) -> str:
    return _address(value) if value else value


def _members(value: str) -> str:
    names = set()
    for part in value.split(","):
        name, _, address = part.strip().partition("=")
        if not _NAME.fullmatch(name) or name in names:
            raise ValueError(f"{part!r} is not a new name=host:port")
        _address(address)
        names.add(name)
    return value


class Config(BaseSettings):
    """One gateway's settings; each is `INVENTORY_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True, extra="ignore")

    gateway_listen: Annotated[str, AfterValidator(_address)]  # host:port for clients
    gateway_members: Annotated[str, AfterValidator(_members)]  # "node-0=127.0.0.1:7400,…"
    cluster_key_file: Path  # the secret that members and gateways share
    token_key_file: Path  # signs tokens; the same for all gateways
    gateway_assistant: Annotated[str, AfterValidator(_optional)] = ""  # host:port; empty: none
    metrics_listen: Annotated[str, AfterValidator(_optional)] = ""  # host:port; empty: none
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @property
    def members(self) -> dict[str, str]:
        """Every member's address by its name."""
        parts = (part.strip().partition("=") for part in self.gateway_members.split(","))
        return {name: address for name, _, address in parts}
