"""A node's settings and ports. Nothing here changes after the start."""

from collections.abc import Mapping
from dataclasses import dataclass

from inventory_node.ports import NO_HOOKS, Clock, Hooks, LogDisk, Observer, Random, Store, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One member's identity, timings in ticks and bounds."""

    name: str
    member_id: int
    cluster_id: str
    members: Mapping[int, str]  # the first members' names by their ids
    initialize: bytes = b""  # a serialized Administration, proposed while the state is empty

    election_timeout_ticks_min: int = 12
    election_timeout_ticks_max: int = 24
    heartbeat_ticks: int = 2
    entries_per_append_max: int = 64
    bytes_per_append_max: int = 1 << 20
    appends_in_flight_max: int = 64
    bytes_in_flight_max: int = 8 << 20  # to one follower
    uncommitted_bytes_max: int = 16 << 20  # in the log of a leader; above this, proposals wait

    batch_commands_max: int = 512  # of one entry
    batch_bytes_max: int = 256 << 10
    batches_in_flight_max: int = 8  # entries proposed and not applied
    commands_waiting_max: int = 16_384  # not yet proposed; above this: RETRY_OVERLOADED
    bytes_waiting_max: int = 16 << 20
    questions_waiting_max: int = 16_384

    apply_commands_per_turn_max: int = 256
    flush_commands_max: int = 8_192  # applied and not flushed
    flush_age_ticks_max: int = 40
    log_tail_entries: int = 4_096  # kept below the durable index for slow followers
    log_tail_bytes: int = 32 << 20
    full_retry_ticks: int = 40  # backoff after a full disk
    disk_hung_ticks: int = 200  # a leader whose disk job takes longer steps down
    flush_hung_ticks: int = 400  # a leader whose flush takes longer hands over the lead

    quarantined: str = (
        ""  # why an earlier start found the state unfit to be served; empty: the state is fit
    )
    survey_ticks: int = 40  # between two survey rounds of a leader
    checkpoint_ticks: int = 12_000  # between two checkpoints, if any entry was applied
    checkpoint_gap_ticks: int = 1_200  # the same while a started member's state is not compared yet
    clock_ahead_ms_max: int = 2_000  # ahead of the voters' time; a leader further ahead hands over
    clock_leap_ms_max: int = 3_600_000  # a leap past the log's time by more needs a trusted clock

    def __post_init__(self) -> None:
        """Refuse settings that would only fail later and less clearly."""
        if self.members.get(self.member_id, self.name) != self.name:
            raise ValueError(f"{self.name!r} is not member {self.member_id} of the given members")
        if not 0 < self.heartbeat_ticks < self.election_timeout_ticks_min:
            raise ValueError("heartbeat_ticks must be positive and below the election timeout")
        if self.election_timeout_ticks_min >= self.election_timeout_ticks_max:
            raise ValueError("the election timeout needs a range to be drawn from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The adapters of one node."""

    disk: LogDisk
    store: Store
    transport: Transport
    clock: Clock
    random: Random
    observer: Observer
    hooks: Hooks = NO_HOOKS
