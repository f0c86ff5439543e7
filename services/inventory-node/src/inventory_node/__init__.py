"""One member of the cluster: a synchronous node behind ports, and the adapters around it.

The rooms, from the bottom; imports go down only:

- `errors`: every exception of this service.
- `ports`: what the node may ask of the world. `codec`: records of consensus as bytes.
- `machine`: the replicated state, pure. `wal`: the log on disk, a planner of disk operations.
- `core`: one member. Events go in, and effects leave through the ports; nothing in it waits.
- `runtime`: asyncio, threads, SQLite and gRPC behind the ports.
- `config` has the settings. `member` wires one member from its first byte to its last.
- `__main__` runs it alone in its data directory, and lists the exit statuses.
"""
