"""Judges whether a history could have come from one inventory that does one thing at a time.

A history is linearizable (Herlihy and Wing, 1990) if every operation can be given one instant
between its call and its return, so that each operation saw the effects of exactly the operations at
earlier instants. An operation without a known outcome may have happened at any instant after its
call, or never.

- `history`: JSON lines to operations; attempts with one request id are one operation.
- `model`: the effect of an operation on levels, and the levels that it must have seen.
- `checker`: the search (Wing and Gong, 1993; with memory, Lowe, 2017). Items that one operation
  touches are judged together, all other items apart.

Caveats: a search that gives up is a failure, never a pass. The history must hold the operations of
all processes that touch its items.
"""

from linearizability.checker import Verdict, check, check_file
from linearizability.history import JudgedOperation, read

__all__ = ["JudgedOperation", "Verdict", "check", "check_file", "read"]
