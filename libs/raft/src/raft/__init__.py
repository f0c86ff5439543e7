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
6. Answer `reads` once everything up to their index is applied; ask again for `dropped_reads`, with
   contexts that were not used before, or send them away.
7. For each peer of `snapshots`, stream a copy of the applied state, then call `snapshot_sent`. The
   peer's caller steps an `InstallSnapshot` when the last byte is verified and synced.

The loop, for one member:

    node = RawNode(settings, restored)
    while True:
        event = next_event()  # a tick, a message, a proposal, the end of a sync
        hand_to(node, event)  # tick(), step(message), propose(payloads), persisted(mark)
        while (ready := node.ready()) is not None:
            send(ready.at_once)
            write_and_sync(ready.hard_state, ready.install, ready.entries)
            send(ready.after_sync)
            node.persisted(ready.mark)
            apply(ready.committed)

`ready` may be called again while a sync is outstanding: a leader's appends leave before its own
sync, and it counts itself among the holders of an entry only when `persisted` says so. `compact`
cuts the log below what is applied and durable in the caller's own state.

From the paper (Ongaro and Ousterhout, extended version): election (§5.2), replication (§5.3) with
conflict hints, the commit rule (§5.4.2), a leader's empty first entry (§8), snapshots (§7). From
Ongaro's dissertation: pre-vote (§9.6), leaders that step down without a quorum (§6.2), votes
refused while a leader is heard (§4.2.3), ReadIndex (§6.4), leadership transfer (§3.10),
learners and membership change by one server at a time (§4.1, §4.2).

Caveats. A leader that loses its lead does not know what becomes of its entries: a waiter may
succeed only when the entry of its own index and term is applied. A read that a follower or a
learner serves is fresh only if it waits until `applied` here has reached its index; it is dropped
when no answer comes within an election timeout, and when term or leader change. A leader refuses
reads until it has committed in its term. A configuration is in force as soon as its entry is
in the log (`Ready.configuration`), committed or not; `Settings.codec` reads and writes it. What
cannot happen raises `InvariantViolation`: end the process.
"""

from raft.configurations import ConfigurationCodec
from raft.errors import InvariantViolation
from raft.membership import AddLearner, ChangeRefused, Promote, Remove
from raft.node import Accepted, NotLeader, Overloaded, RawNode, Transferring
from raft.state import Restored, Settings
from raft.transfer import TransferBegun, TransferRefused

__all__ = [
    "Accepted",
    "AddLearner",
    "ChangeRefused",
    "ConfigurationCodec",
    "InvariantViolation",
    "NotLeader",
    "Overloaded",
    "Promote",
    "RawNode",
    "Remove",
    "Restored",
    "Settings",
    "TransferBegun",
    "TransferRefused",
    "Transferring",
]
