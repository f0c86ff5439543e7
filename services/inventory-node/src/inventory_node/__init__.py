"""One member of the cluster: a synchronous node behind ports, and the adapters around it.

The rooms, from the bottom; imports go down only:

- `ports`: what the node may ask of the world. `codec`: records of consensus as bytes.
- `machine`: the replicated state, pure. `wal`: the log on disk, a planner of disk operations.
- `core`: one member. Events go in, and effects leave through the ports; nothing in it waits.
- `runtime`: asyncio, threads, SQLite and gRPC behind the ports.
- `__main__` wires a member, and lists the exit statuses; `config` has the settings.
"""
