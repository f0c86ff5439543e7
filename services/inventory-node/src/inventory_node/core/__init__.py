"""The node: synchronous, complete, and without an adapter in sight.

- `node` takes one event at a time, and is the one place that hands obligations to the ports.
- `settings` and `events`: what a node is told at its start, and what may happen to it.
- `write`, `snapshot`, `membership` and `survey` are the four kinds of work; each has a room.
- `read_index` answers questions after a round of the quorum. `replies` gathers what goes back to
  gateways. `clock_skew` compares clocks. `status` shows the member as it sees itself.

What whoever drives a `node.Node` owes it:

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
