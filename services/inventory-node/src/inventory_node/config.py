"""Settings of a node, read once from the environment; nonsense is refused at the start.

Every setting is `INVENTORY_` and its name in capitals.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d{1,5}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PORT_MAX = 65_535


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > PORT_MAX:
        raise ValueError(f"{value!r} is not host:port")
    return value


def _listen(value: str) -> str:
    return _address(value) if value else value


class Config(BaseSettings):
    """One node's settings."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True, extra="ignore")

    node_name: str  # this member's name, a DNS label
    node_listen: Annotated[str, AfterValidator(_address)]  # host:port of gRPC
    node_members: str  # every member: "node-0=127.0.0.1:7400,node-1=…"
    data_dir: Path  # of this member alone
    cluster_key_file: Path  # the secret that members and gateways share
    bootstrap_file: Path | None = None  # the first state: currency, users, items
    metrics_listen: Annotated[str, AfterValidator(_listen)] = ""  # host:port; empty: none
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _is_a_member(self) -> Self:
        members = self.members
        if self.node_name not in members:
            raise ValueError(f"node_name {self.node_name!r} is not one of node_members")
        return self

    @property
    def members(self) -> dict[str, str]:
        """Every member's address by its name."""
        members: dict[str, str] = {}
        for part in self.node_members.split(","):
            name, _, address = part.strip().partition("=")
            if not _NAME.fullmatch(name) or name in members:
                raise ValueError(f"node_members: {part!r} is not a new name=host:port")
            members[name] = _address(address)
        return members
