"""The adapters of the ports: asyncio and gRPC, threads, files, SQLite. Nothing here decides.

- `loop`: one thread turns events into calls of `Node.handle`, and sends the node's frames.
- `disk`: the log's folder and its sync thread. `store`: the database's threads.
- `sqlite`: the database itself, synchronous. `queries`: answers to questions from the database.
- `startup`: what happens before the node runs. `data_directory`: the member's files at that time.
- `membership_service`: gRPC for membership changes. `membership_requests`: this member's requests
  about itself to the other members.
- `peers`, `api`, `probes`: gRPC to the other members, from gateways, and for health.
- `metrics`: the metrics for Prometheus.
"""
