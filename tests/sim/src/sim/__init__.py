"""Whole nodes and two gateways in one thread, in virtual time, from one seed.

The nodes, logs, consensus, state machines, databases and the gateways are the ones that ship; what
stands in for the world is here: `disk` (sectors that a crash may keep or lose), `store` (the real
database, whose jobs take virtual time), `network` and `streams` (delays, losses, partitions, links
that break), `timeline` (virtual time), `process`, `host`, `senses` and `ports` (a member, killed,
paused and started), `surroundings` (what a process, its ports and the world reach of each other),
`membership_requests` (what a member asks about itself), `gateway` (a gateway's process), `clients`
(who order, and retry until they know). `faults` draws what goes wrong and when,
`fault_injector`, `compound_faults` and `operators` do it. `checks`, `durable` and `ledger` say what
must hold after every event, `recovery` what must come of it at the end; `coverage` and `rarities`
count what happened, `trace` is a digest of all of it, and `shrink` finds the faults that a failure
needs. `evidence` gathers what is seen, `world` puts all together, and `run` is the way in:
`run_seed(seed)` returns a `SimResult`, whose `violation` is empty when all held. `manual_cluster`
is a world where a test itself says what happens next, `machines` a state machine alone.
`watched_machine` sees that a refusal changes nothing, `tables` that a database agrees with itself
and with memory, `plain_machine` has the rules once more, and `histories` draws what a machine is
given.

`python -m sim --seed 7` runs one seed and prints what it came to; `--seeds 100` runs that many from
there; `--trace` prints every event of one run. The same seed gives the same trace on every machine.

Caveats. A crash comes between two operations of the disk, never within one, but any subset of the
sectors written since the last sync may be lost. A database's transaction is done whole or not at
all: that is SQLite's own promise, and not tested here. Handling an event takes no virtual time.
Members find each other by their ids: how addresses are learnt is not simulated.
"""

from sim.faults import FaultKind, Plan, SimFault, draw_plan
from sim.run import SimResult, run_plan, run_seed

__all__ = ["FaultKind", "Plan", "SimFault", "SimResult", "draw_plan", "run_plan", "run_seed"]
