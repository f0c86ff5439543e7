"""Metrics of the whole cluster and of the business, for Prometheus; a process of its own.

Every other process serves what it alone knows. This one asks the gateway, as the machine user
`metrics`, at each scrape:

- `ClusterService.GetStatus`: who leads, who answers, who lags, whose state hashes differ. It works
  without a quorum.
- `InventoryService.GetInventoryStats`: stock, orders and revenue, all of one revision. The read is
  linearizable, so a counter never goes back: not over a restart of this process, which keeps
  nothing, nor when another member answers. Without a quorum these are absent rather than old.

`config` has the settings, `reading` the two calls, `collector` the metrics' names.

Caveats: a scrape costs one pass over the items on a member. Prometheus keeps 64-bit floats, so
money above 2^53 minor units is rounded there. A state hash is of a checkpoint, which the members
make by themselves a while after a start and every few minutes; hashes of different indexes compare
with nothing. A member that does not answer is taken for a voter.
"""

import service.quiet  # noqa: F401 - before anything imports gRPC
