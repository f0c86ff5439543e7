"""A cluster of cores on one thread, where one seed decides everything that happens.

Each seed draws a size (1, 3 or 5), bounds and probabilities, and then some hundred rounds of chaos:
messages are dropped, doubled, delayed and reordered, links and members are cut off, members are
paused and crash, disks sync late, logs are cut, snapshots are streamed and lost. Clients propose,
and read at leaders and followers, all the while; the lead is handed over, members join, are
promoted and leave. Then everything heals, and the cluster has to get to work again.

The four properties of Raft (Figure 3), and those that a caller relies on, are checked after every
event; see `Properties`. A failing seed is run again with `make sim-core SEED=…`.

Caveats. A disk keeps a prefix of what was written; torn and damaged writes belong to the tests of
the log on disk. A member that left may come back, with the disk that it had.
"""

from rafttest.properties import PropertyViolation
from rafttest.world import CoreWorld, run

__all__ = ["CoreWorld", "PropertyViolation", "run"]
