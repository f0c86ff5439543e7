"""A cluster of cores on one thread. One seed decides every event.

A seed draws the size of the cluster (1, 3 or 5), bounds and probabilities. Then faults are injected
for some hundred rounds. Messages are dropped, doubled, delayed and reordered. Links are cut, and
members are isolated, paused and crashed. Disks sync late. Logs are cut, and snapshots are streamed
and lost. Meanwhile clients propose, and read at leaders and followers. Leadership is transferred,
and members join, are promoted and leave. At the end all faults are healed, and the cluster must
commit one more entry.

After every event the four properties of Raft (Figure 3) are checked, and the properties that a
caller relies on; see `Properties`. `make sim-core SEED=…` repeats a seed that failed.

Caveats:

- A disk keeps a prefix of the writes. The tests of the log on disk cover torn and damaged writes.
- A removed member may join again with the disk that the member had.
"""

from rafttest.properties import PropertyViolation
from rafttest.world import CoreWorld, run

__all__ = ["CoreWorld", "PropertyViolation", "run"]
