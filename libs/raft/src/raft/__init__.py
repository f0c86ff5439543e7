"""Raft, as a state machine without side effects.

The caller reports events to the core, and the core returns obligations. The core has no clock: the
caller calls `tick`. The core has no disk: `Ready` says what must be synced. The core has no
network: `step` takes messages, and `Ready` hands messages out. The core has no randomness: the
caller passes `RaftSettings.random`. The same inputs give the same outputs.

For each `Ready` the caller does the following, in this order:

1. Send `at_once`, before or after the sync.
2. Write `hard_state`, `install` and `entries`, and sync. An entry at index i replaces all entries
   that were written from i on. Readies are written in the order in which they were handed out. One
   sync may cover several Readies.
3. After the sync, send `after_sync` and call `persisted(mark)`. Votes, requests for votes and
   replies to appends are in `after_sync`, because they state what is on disk.
4. If `install` is set, switch the state to the staged snapshot before an entry of `committed` is
   applied.
5. Apply `committed` in order, then call `applied(index)`.
6. Answer each read of `reads` once the entries up to the read's index are applied. Repeat the reads
   of `dropped_reads` under contexts that were not used before, or refuse these reads.
7. Stream a copy of the applied state to each peer of `snapshots`, then call `snapshot_sent`. The
   peer's caller steps an `InstallSnapshot` when the last byte is verified and synced.

The loop, for one member:

    node = RawNode(settings, restored)
    while event := next_event():  # a tick, a message or a proposal
        hand_over(node, event)  # tick(), step(message) or propose(payloads)
        while ready := node.ready():
            send(ready.at_once)
            write_and_sync(ready.hard_state, ready.install, ready.entries)
            send(ready.after_sync)
            if ready.mark is not None:
                node.persisted(ready.mark)
            if ready.committed:
                node.applied(apply(ready.committed))  # the index of the last entry

The caller may call `ready` while a sync is outstanding. A leader's appends leave before the
leader's own sync. The leader counts its own copy of an entry only after `persisted` (dissertation
§10.2.1). `compact` cuts the log below an index that is applied and durable in the caller's state.

From the paper (Ongaro and Ousterhout, extended version): election (§5.2), replication with conflict
hints (§5.3), the commit rule (§5.4.2), snapshots (§7), and a leader's empty first entry (§8). From
Ongaro's dissertation: leadership transfer (§3.10), learners and membership change by one member at
a time (§4.1, §4.2), votes refused while a leader is heard (§4.2.3), leaders that step down without
a quorum (§6.2), ReadIndex (§6.4), and pre-vote (§9.6).

Caveats:

- A leader that steps down does not know whether its entries will be committed. A waiting client
  gets a success only when the entry of its own index and term is applied.
- A read at a follower or a learner is linearizable only if the member waits until it has applied
  the entries up to the read index. The read is dropped if no reply comes within an election
  timeout, or if the term or the leader changes.
- A leader refuses reads until it has committed an entry of its term.
- A configuration is in force as soon as its entry is in the log, committed or not
  (`Ready.configuration`). `RaftSettings.codec` encodes and decodes a configuration.
- `ProtocolViolation` says that the protocol was broken. The caller ends the process.
"""

from raft.configurations import ConfigurationCodec
from raft.errors import ProtocolViolation
from raft.membership import AddLearner, ChangeRefused, Promote, Remove
from raft.node import Accepted, NotLeader, Overloaded, RawNode, Transferring
from raft.state import RaftSettings, Restored
from raft.transfer import TransferBegun, TransferRefused

__all__ = [
    "Accepted",
    "AddLearner",
    "ChangeRefused",
    "ConfigurationCodec",
    "NotLeader",
    "Overloaded",
    "Promote",
    "ProtocolViolation",
    "RaftSettings",
    "RawNode",
    "Remove",
    "Restored",
    "TransferBegun",
    "TransferRefused",
    "Transferring",
]
