"""Raft, as a state machine that does nothing by itself.

The core is told what happens and answers with what is owed. It has no clock (`tick` is called), no
disk (`Ready` says what must be synced), no network (`step` takes messages, `Ready` hands them out)
and no randomness (`Settings.random` is handed in). The same inputs give the same outputs.

What the caller owes, in order, for each `Ready`:

1. Send `at_once`, in any order with respect to the disk.
2. Write `hard_state`, `install` and `entries`, and sync. An entry at index i replaces everything
   that was written from i on. Readies are written in the order in which they were handed out; one
   sync may cover several.
3. Only then send `after_sync`, and call `persisted(mark)`. Promises (votes, replies to appends) and
   requests for votes are among these: they speak of what is on disk.
4. Where `install` is set, switch the state to the staged snapshot before anything of `committed` is
   applied.
5. Apply `committed` in order, then call `applied(index)`.
6. Answer `reads` once everything up to their index is applied; send `dropped_reads` away.
7. For each peer of `snapshots`, stream a copy of the applied state, then call `snapshot_sent`. The
   peer's caller steps an `InstallSnapshot` when the last byte is verified and synced.

`ready` may be called again while a sync is outstanding: a leader's appends leave before its own
sync, and it counts itself among the holders of an entry only when `persisted` says so. `compact`
cuts the log below what is applied and durable in the caller's own state.

From the paper (Ongaro and Ousterhout, extended version): election (§5.2), replication (§5.3) with
conflict hints, the commit rule (§5.4.2), a leader's empty first entry (§8), snapshots (§7). From
Ongaro's dissertation: pre-vote (§9.6), leaders that step down without a quorum (§6.2), votes
refused while a leader is heard (§4.2.3), ReadIndex (§6.4), leadership transfer (§3.10).

Caveats. A leader that loses its lead does not know what becomes of its entries: a waiter may
succeed only when the entry of its own index and term is applied. `read` is refused until the leader
has committed in its term. Configuration entries are carried, not interpreted: who takes part is
given at the start or by a snapshot. What cannot happen raises `InvariantViolation`: end the
process.
"""

from raft.errors import InvariantViolation
from raft.node import Accepted, NotLeader, RawNode, Transferring
from raft.state import Restored, Settings
from raft.transfer import TransferBegun, TransferRefused

__all__ = [
    "Accepted",
    "InvariantViolation",
    "NotLeader",
    "RawNode",
    "Restored",
    "Settings",
    "TransferBegun",
    "TransferRefused",
    "Transferring",
]
