"""The ports, kept: asyncio and gRPC, threads, files, SQLite. Nothing here decides anything.

- `loop`: one thread turns events into calls of `Node.handle`, and its frames go out.
- `disk`: the log's folder and its sync thread. `store`: the database's threads.
- `sqlite`: the database itself, synchronous; `queries`: the questions put to it.
- `startup`: what happens before the node runs. `data_directory`: the member's files at that time.
- `membership_service`: gRPC for changes of the members. `membership_requests`: what this member
  asks the others about itself.
- `peers`, `api`, `probes`: gRPC to the other members, from gateways, and for health.
- `metrics`: what Prometheus reads.
"""
