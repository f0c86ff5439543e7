"""Settings of a node, read once from the environment; nonsense is refused at the start.

Every setting is `INVENTORY_` and its name in capitals.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d{1,5}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PORT_MAX = 65_535


def _address(value: str) -> str:
    # Port 0 would be another one at every start, and nobody could be told.
    if not _ADDRESS.fullmatch(value) or not 0 < int(value.rpartition(":")[2]) <= PORT_MAX:
        raise ValueError(f"{value!r} is not host:port")
    return value


def _listen(value: str) -> str:
    return _address(value) if value else value


def _members(value: str) -> str:
    names: set[str] = set()
    addresses: set[str] = set()
    for part in value.split(","):
        name, _, address = part.strip().partition("=")
        if not _NAME.fullmatch(name) or name in names:
            raise ValueError(f"{part!r} is not name=host:port with a name of its own")
        if _address(address) in addresses:
            raise ValueError(f"{part!r}: another member has this address")
        names.add(name)
        addresses.add(address)
    return value


def _folder(value: object) -> object:
    if value == "":  # pathlib would take it for the current directory
        raise ValueError("is empty")
    return value


class Config(BaseSettings):
    """One node's settings."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_", frozen=True, extra="ignore")

    node_name: str  # this member's name, a DNS label
    node_listen: Annotated[str, AfterValidator(_address)]  # host:port of gRPC
    node_members: Annotated[
        str, AfterValidator(_members)
    ]  # every member: "node-0=127.0.0.1:7400,node-1=…"
    data_dir: Annotated[Path, BeforeValidator(_folder)]  # of this member alone
    cluster_key_file: Path  # the secret that members and gateways share
    bootstrap_file: Path | None = None  # the first state: currency, users, items
    metrics_listen: Annotated[str, AfterValidator(_listen)] = ""  # host:port; empty: none
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _is_a_member(self) -> Self:
        if self.node_name not in self.members:
            raise ValueError(
                f"INVENTORY_NODE_NAME {self.node_name!r} is not one of INVENTORY_NODE_MEMBERS"
            )
        return self

    @property
    def members(self) -> dict[str, str]:
        """Every member's address by its name."""
        parts = (part.strip().partition("=") for part in self.node_members.split(","))
        return {name: address for name, _, address in parts}
