"""The replicated state: commands in, outcomes out. Pure, so that members stay equal.

What the caller owes:

1. Give entries in the order of the log, without a gap, each once: `apply` raises otherwise.
2. Between `take_changes` and `flushed`, write the changes in one durable transaction. At most a few
   takes are outstanding, and `flushed` ends the oldest take.
3. Call `reload` after a snapshot replaced the database.

Order of checks for each command: authority, the request table (exactly once), rules. So a user who
was disabled is not told the outcome of an earlier request either. Only outcomes of rules are
remembered. A refusal by authority or by the request table is a `RefusedCommand`, and may be
different the next time.

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
