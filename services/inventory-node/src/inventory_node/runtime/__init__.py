"""The ports, kept: asyncio and gRPC, threads, files, SQLite. Nothing here decides anything.

- `loop`: one thread turns events into calls of `Node.handle`, and its frames go out.
- `disk`: the log's folder and its sync thread. `store`: the database's threads.
- `sqlite`: the database itself, synchronous; `queries`: the questions put to it.
- `peers`, `api`, `probes`: gRPC to the other members, from gateways, and for health.
- `metrics`: what Prometheus reads.
"""
