"""One seed, or one plan, from its beginning to what it came to."""

import re
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sim import recovery
from sim.coverage import Coverage
from sim.fault_injector import FaultInjector
from sim.faults import MORE_US, Plan, SimFault, draw_plan
from sim.operators import Operators
from sim.process import TICK_US
from sim.world import EVENTS_MIN, SimWorld

MEMORY = Path("/dev/shm")  # noqa: S108 - databases are faster there; any folder does
TRACEBACK_LINES = 6
CHECKPOINT_US = 900_000  # from one to the next
MORE_TICKS_MAX = MORE_US // TICK_US


@dataclass(frozen=True, slots=True, kw_only=True)
class SimResult:
    """What a run came to. Without a `violation` all held."""

    plan: Plan
    violation: str  # the first line says what; empty when all held
    digest: str  # of the trace
    events: int  # that members handled
    coverage: Coverage
    terms: int
    entries: int  # applied
    operations: int  # of clients, answered
    reads: int  # answered
    state_hash: str
    lines: Sequence[str]  # of the trace, the last ones or all

    @property
    def seed(self) -> int:
        """Return the seed of the plan."""
        return self.plan.seed

    @property
    def kind(self) -> str:
        """Return the first words of the violation, which do not name members and numbers."""
        return re.split(r"[0-9:\[{]", self.violation.partition(": ")[2])[0]

    @property
    def ok(self) -> bool:
        """Tell whether all held."""
        return not self.violation


def run_seed(
    seed: int, *, faults: Sequence[SimFault] | None = None, keep_trace: bool = False
) -> SimResult:
    """Run a seed, with these faults instead of its own where they are given.

    What the run finds is in the result, whatever it is: a broken property, a member that halted, an
    exception out of the product.
    """
    plan = draw_plan(seed)
    if faults is not None:
        plan = replace(plan, faults=tuple(faults))
    return run_plan(plan, keep_trace=keep_trace)


def run_plan(plan: Plan, *, keep_trace: bool = False) -> SimResult:
    """Run a plan; see `run_seed`."""
    root = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="sim-", dir=root) as folder:
        world = SimWorld(plan, Path(folder), keep_trace=keep_trace)
        violation = state_hash = ""
        try:
            live(world)
            state_hash = recovery.recover(world)
            recovery.judge(world)
        except Exception as error:  # noqa: BLE001 - whatever a run ends with is what it found
            violation = _text_of(error)
        finally:
            world.close()
    history = [operation for client in world.clients for operation in client.history]
    world.evidence.coverage["requests tried again"] += sum(one.retries for one in world.gateways)
    return SimResult(
        plan=plan,
        violation=violation,
        digest=world.evidence.trace.digest,
        events=world.evidence.events,
        coverage=world.evidence.coverage,
        terms=len(world.evidence.checks.leaders),
        entries=world.evidence.applied_log.last_index,
        operations=sum(operation.return_us is not None for operation in history),
        reads=sum(len(client.reads) for client in world.clients),
        state_hash=state_hash,
        lines=tuple(world.evidence.trace.lines),
    )


def live(world: SimWorld) -> None:
    """Run the part with faults: members start, clients order, faults begin and end.

    When this returns, no fault begins any more, and what has begun is as it is.
    """
    operators = Operators(world)
    fault_injector = FaultInjector(world, operators)
    for number in world.founders:
        world.process(number).start()
    for gateway in world.gateways:
        gateway.start()
    # Clients come with tokens, so their users are there before them.
    world.run_until(
        lambda: bool(world.evidence.applied_log.commands), 400, "a leader makes the first state"
    )
    for client in world.clients:
        client.start()
    _keep_checkpoints(world)
    operators.care()
    for fault in world.plan.faults:
        delay_us = fault.at_us - world.timeline.now_us
        world.timeline.after(delay_us, partial(fault_injector.begin, fault))
    world.timeline.run_until(world.plan.duration_us)
    for _ in range(MORE_TICKS_MAX):
        if world.evidence.events >= EVENTS_MIN:
            break
        world.timeline.run_until(world.timeline.now_us + TICK_US)
    fault_injector.leave()


def _keep_checkpoints(world: SimWorld) -> None:
    """Let members hash their states again and again, to the end of the run."""

    def checkpoint() -> None:
        world.checkpoint()
        world.timeline.after(CHECKPOINT_US, checkpoint)

    world.timeline.after(CHECKPOINT_US, checkpoint)


def _text_of(error: Exception) -> str:
    """Return what an exception says, and where it was raised."""
    lines = traceback.format_exception(error)
    return f"{type(error).__name__}: {error}\n" + "".join(lines[-TRACEBACK_LINES:])
