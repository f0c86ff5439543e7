"""Settings of a node, read once from the environment; nonsense is refused at the start."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from service.settings import Address, Members, OptionalAddress, TlsSettings, by_name

from inventory_node.runtime.failpoints import Failpoints
from inventory_node.wal.format import SECTOR_BYTES


def _folder(value: object) -> object:
    if value == "":  # pathlib would take an empty path for the current directory
        raise ValueError("is empty")
    return value


class NodeConfig(TlsSettings):
    """One node's settings."""

    node_name: str  # this member's name, a DNS label
    node_listen: Address  # for links of members, gateways and the health service
    node_health_listen: OptionalAddress = ""  # for gRPC health, for probes
    node_members: Members  # the first members, the same for every member
    node_address: OptionalAddress = ""  # where others find a member beyond the first members
    # auto: a member that does not take part asks to join; wait: for `inventory cluster add`
    node_join: Literal["auto", "wait"] = "auto"
    # how long a member that a majority needs serves on after SIGTERM; a second signal ends the
    # member
    node_leave_seconds: Annotated[float, Field(ge=0, le=3_600)] = 0
    # how long a start waits until the previous process releases the data directory
    node_lock_seconds: Annotated[float, Field(ge=0, le=3_600)] = 0
    # between two checkpoints, at which members compare their states; none without a change
    node_checkpoint_seconds: Annotated[float, Field(ge=1, le=86_400)] = 300
    data_dir: Annotated[Path, BeforeValidator(_folder)]  # used by this member alone
    bootstrap_file: Path | None = None  # the first state: currency, users, items
    # The size of a file of the log, from the next file on; whole sectors.
    raft_segment_bytes: Annotated[
        int, Field(ge=8 * SECTOR_BYTES, le=1 << 30, multiple_of=SECTOR_BYTES)
    ] = 16 << 20
    # Log entries below the durable index that are kept for slow followers.
    raft_tail_entries: Annotated[int, Field(ge=1)] = 4_096
    failpoints: Failpoints = ""  # for tests: where this member dies or waits

    @model_validator(mode="after")
    def _is_a_member(self) -> Self:
        if self.node_name not in self.members and not self.node_address:
            raise ValueError(
                f"INVENTORY_NODE_NAME {self.node_name!r} is not one of INVENTORY_NODE_MEMBERS: it "
                "needs INVENTORY_NODE_ADDRESS, host:port, for the others to find it"
            )
        return self

    @property
    def members(self) -> dict[str, str]:
        """The first members' addresses by their names."""
        return by_name(self.node_members)

    @property
    def address(self) -> str:
        """Where the other members find this member, host:port."""
        return self.members.get(self.node_name, self.node_address)
