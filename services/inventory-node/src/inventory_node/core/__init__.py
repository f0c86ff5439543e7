"""The node: synchronous, complete, and free of adapters.

- `node` takes one event at a time. Only `node` hands obligations to the ports.
- `settings` has what a node is given at its start. `events` has what may happen to a node.
- `write`, `snapshot`, `membership` and `survey` are the four kinds of work; each has a room.
- `read_index` answers questions after a quorum round. `replies` gathers the replies to gateways.
  `clock_skew` compares clocks. `status` shows the member as the member sees itself.

What the caller that drives a `node.Node` owes the node:

1. Call `wal.recover` first, and build the machine over a store that was opened at the recovered
   `installed` index. The node runs `recovered.repair` itself, as its first disk job.
2. Give every event from one thread, one event at a time. Give `Tick` at the configured interval.
   While the node is `busy`, give a `Continue` behind the events that wait already, so that the node
   answers heartbeats between turns.
3. End every job that was given to a port with the job's event, exactly once, also when the job
   fails. End a snapshot stream that does not move: the log is pinned until `SnapshotSent`.
4. Give `PeerMessages` only from members of this cluster, after the cluster id was compared, and
   only messages addressed to this member.
5. On `Halted` or any other exception out of `handle`, end the process with the exception's message
   and a status that is not 0. Do not use the node afterwards.
6. Call `allow_campaigns(allowed=False)` until every listed member has bootstrapped.
7. To stop, give `StopRequested`, then events until the node is `stopped`, then end the process. A
   stopping member ignores ticks and peers, so the member neither votes nor goes on leading.

What the caller may rely on: the node answers every proposal and every question of a `Forwarded`
exactly once while the session is open. The node answers every `ChunkReceived` once, by
`answer_chunk`.

Caveats: followers take no proposals; followers name the leader. A follower learns of a commit with
the next append or heartbeat, so an idle follower's state is up to a heartbeat behind. Membership
changes come one at a time, and only while a majority of the remaining members answered lately. If a
leader's clock was ahead, the log's time stays ahead, also after that leader has handed over the
lead. State that is damaged in memory alone is not detected before the state is flushed.
"""
