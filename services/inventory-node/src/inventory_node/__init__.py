"""One member of the cluster: a synchronous node behind ports, and the adapters of the ports.

The rooms, from the bottom; imports go down only:

- `errors`: every exception of this service.
- `ports`: what the node may ask of the world. `codec`: the records of consensus as bytes.
- `machine`: the replicated state, pure. `wal`: the log on disk, a planner of disk operations.
- `core`: one member. Events go in, and effects leave through the ports. No code in `core` waits.
- `runtime`: asyncio, threads, SQLite and gRPC behind the ports.
- `config` has the settings. `member` wires one member from its start to its stop.
- `__main__` runs one member alone in its data directory, and lists the exit statuses.
"""

import service.quiet  # noqa: F401 - before anything imports gRPC
