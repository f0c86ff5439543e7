"""The replicated state: commands in, outcomes out. Pure, so that members stay equal.

What the caller owes:

1. Entries in the order of the log, without a gap, each once: `apply` raises on anything else.
2. Between `take_changes` and `flushed`, the changes go into one durable transaction. At most a few
   takes are outstanding, and `flushed` speaks of the oldest.
3. `reload` after the state below was replaced by a snapshot.

Order of checks for each command (DESIGN: exactly once): the memory of requests, authority, rules.
Only outcomes of rules are remembered; a refusal by one of the first two is a `RefusedCommand`, and
may be different the next time.

Caveats: nothing here knows the clock, draws a number, or iterates over a set. A refusal is a value.
`StateInvariantViolation` ends the process.
"""

from inventory_node.machine.commands import (
    RULES_VERSION,
    AdminOutcome,
    Applied,
    Machine,
    MutationOutcome,
    RefusedCommand,
)

__all__ = [
    "RULES_VERSION",
    "AdminOutcome",
    "Applied",
    "Machine",
    "MutationOutcome",
    "RefusedCommand",
]
