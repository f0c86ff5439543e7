"""Settings of a node, read once from the environment; nonsense is refused at the start."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator
from wire.settings import Address, Members, ServiceSettings, by_name


def _folder(value: object) -> object:
    if value == "":  # pathlib would take it for the current directory
        raise ValueError("is empty")
    return value


class Config(ServiceSettings):
    """One node's settings."""

    node_name: str  # this member's name, a DNS label
    node_listen: Address  # of gRPC
    node_members: Members  # every member
    data_dir: Annotated[Path, BeforeValidator(_folder)]  # of this member alone
    cluster_key_file: Path  # the secret that members and gateways share
    bootstrap_file: Path | None = None  # the first state: currency, users, items

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
        return by_name(self.node_members)
