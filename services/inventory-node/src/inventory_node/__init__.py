"""One member of the cluster: a synchronous node behind ports, and the adapters around it.

The rooms, from the bottom:

- `ports`, `events`: what the node may ask of the world, and what happens to it.
- `machine`: the replicated state, pure; `wal`: the log on disk, a planner of disk operations.
- `core` and the parts it is made of: `journal` (one disk job at a time), `proposals` (commands and
  their waiters), `applying`, `reading` (quorum rounds), `flushing` (the database, and how much log
  is kept), `snapshots`, `surveys` (whose clock or state is off, with `clocks` and `agreement`),
  `membership`, `departures` (who may stop now), `stamps`, `answers`, `view`. `settings` and `codec`
  serve them all.
- `runtime`: asyncio, threads, SQLite and gRPC behind the ports. `__main__` wires it, and lists the
  exit statuses; `config` the settings, `bootstrap` the rules of the first start.

What whoever drives a `core.Node` owes it:

1. `wal.recover` first, and a machine over a store that was opened at the recovered `installed`
   index. The node runs `recovered.repair` itself, as its first disk job.
2. Every event from one thread, one at a time. `Tick` at the configured interval. While `busy`, a
   `Continue` behind the events that wait already; so heartbeats are answered between turns.
3. Every job given to a port ends in its event, once, also when it fails. A stream of a snapshot
   that does not move ends by itself: the log is pinned until `SnapshotSent`.
4. Messages of `PeerMessages` are from members of this cluster (the cluster id was compared) and
   addressed to this member.
5. `Halted`, and any other exception out of `handle`, ends the process with its message and a
   status that is not 0. The node is not used after it.
6. `allow_campaigns(allowed=False)` until every listed member has bootstrapped.
7. `StopRequested`, then events until `stopped`, then the process ends. A member that stops hears
   neither ticks nor peers, so it neither votes nor leads on.

What it may rely on: every proposal and question of a `Forwarded` is answered exactly once while
its session is open; every `ChunkReceived` is answered by `answer_chunk`, once.

Caveats: followers take no proposals, they name the leader. A follower learns of a commit with the
next append or heartbeat, so at rest its state is a heartbeat behind. Changes of the members come
one at a time, and only where a majority of those that would be left answered lately. Time that
went ahead with one leader's clock stays ahead, also when that leader has handed over for it. A
state that is damaged in memory alone is not found before it is flushed.
"""
