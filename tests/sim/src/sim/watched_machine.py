"""A machine that looks at itself around each command: what is refused changes nothing.

- A command that the memory of requests does not remember newly changes nothing at all. That is a
  retry, a refusal before the rules, a probe. The cluster's first command is the exception.
- A mutation that a rule refuses changes the memory of requests, and nothing else.
- A command that is remembered newly is remembered once.
"""

from dataclasses import dataclass, replace
from typing import Any

from inventory.raft.v1 import log_pb2, raw_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import AdminOutcome, Applied, Machine, MutationOutcome
from inventory_node.machine.records import ItemRecord, SessionRecord, UserRecord

from sim.seats import seats
from sim.violation import SafetyViolation


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a machine holds: records, counters, and what a flush would write."""

    items: dict[int, ItemRecord]
    users: dict[int, UserRecord]
    sessions: dict[int, SessionRecord]
    scalars: tuple[object, ...]
    unwritten: tuple[object, ...]
    requests: tuple[object, ...]

    def differences(self, later: "Sight") -> list[str]:
        """Return what changed, the memory of requests aside; a record may be loaded meanwhile."""
        found = [
            f"{before} became {after.get(key)}"
            for records, after in (
                (self.items, later.items),
                (self.users, later.users),
                (self.sessions, later.sessions),
            )
            for key, before in records.items()
            if before != after.get(key)
        ]
        if self.scalars != later.scalars:
            found.append(f"{self.scalars} became {later.scalars}")
        if self.unwritten != later.unwritten:
            found.append(f"to be written was {self.unwritten}, and is {later.unwritten}")
        return found


def sight_of(machine: Machine) -> Sight:
    """Return a copy of what a machine holds."""
    cache, requests, context = machine._cache, machine._requests, machine._context
    unwritten, memory = cache._unwritten, requests._unwritten
    return Sight(
        items={key: replace(item) for key, item in cache._items.items()},
        users={key: replace(user) for key, user in cache._users.items()},
        sessions={
            one.id: replace(one)
            for own in machine._sessions._users.values()
            for one in own.values()
        },
        scalars=(
            cache.next_item_id,
            cache.next_user_id,
            cache.next_ledger_id,
            machine._sessions.next_id,
            cache.admins,
            cache.orders,
            machine.cluster_id,
            context.currency,
            context.digits,
            machine.applied_index,
            machine.stamp_ms,
        ),
        unwritten=(
            tuple(unwritten.items),
            tuple(unwritten.described),
            tuple(unwritten.users),
            tuple(machine._sessions._unwritten),
            len(unwritten.movements),
            unwritten.movements[-1:],
            sum(unwritten.sales.values()),
            len(unwritten.sales),
        ),
        requests=(
            len(memory.records),
            requests.next_period,
            requests.slots,
            requests.resident_slots,
            tuple(period.row() for period in requests._periods.values()),
            tuple(memory.periods),
            tuple(memory.forgotten),
        ),
    )


class SeatedMachine(Machine):
    """A machine whose first users have sessions; see `sim.seats`."""

    def _initialize(self, user_id: int, request: log_pb2.Initialize) -> Applied:
        was_initialized = self.initialized
        applied = super()._initialize(user_id, request)
        if self.initialized and not was_initialized:
            users = (self._cache.user(number) for number in range(1, self._cache.next_user_id))
            for seat in seats((user for user in users if user is not None), self.stamp_ms):
                self._sessions.add(seat)
        return applied


class WatchedMachine(SeatedMachine):
    """A machine that raises SafetyViolation when a command that is refused changes anything."""

    def _command(self, command: raw_pb2.RawCommand) -> Applied:
        before = sight_of(self)
        was_initialized = self.initialized
        applied = super()._command(command)
        after = sight_of(self)
        if self.initialized and not was_initialized:
            return applied
        kept = len(self._requests._unwritten.records) - _kept(before)
        if kept not in {0, 1}:
            raise SafetyViolation(f"{command} is remembered {kept} times")
        changed: list[str] = []
        if not kept or _is_refused(applied):
            changed = before.differences(after)
        if not kept and before.requests != after.requests:
            changed.append(f"requests {before.requests} became {after.requests}")
        if changed:
            raise SafetyViolation(
                f"{command} came to {applied}, which changes nothing, and changed: {changed}"
            )
        return applied


def _kept(sight: Sight) -> Any:  # noqa: ANN401 - one of many scalars
    return sight.requests[0]


def _is_refused(applied: Applied) -> bool:
    """Tell whether nothing was done; an administration that is refused is not remembered."""
    if isinstance(applied, MutationOutcome):
        return inventory_pb2.Outcome.FromString(applied.outcome).HasField("error")
    return not isinstance(applied, AdminOutcome)
