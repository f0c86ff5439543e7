"""Judges whether a history could have come from one inventory that does one thing at a time.

A history is linearizable (Herlihy and Wing, 1990) when every operation can be given one instant
between its call and its return, so that in the order of these instants each saw what those before
it left. An operation without a known outcome may have happened at any later instant, or never.

- `history`: JSON lines to operations; attempts with one request id are one operation.
- `model`: what an operation does to the levels that it touches, and what it must have seen.
- `checker`: the search (Wing and Gong, 1993; with memory, Lowe, 2017), items touched by one
  operation judged together and all others apart.

Caveats: giving up is a failure, never a pass. Other processes that touch the same items must be in
the history too.
"""

from linearizability.checker import Verdict, check, check_file
from linearizability.history import JudgedOperation, read

__all__ = ["JudgedOperation", "Verdict", "check", "check_file", "read"]
