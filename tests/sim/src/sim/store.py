"""The `Store` port over the real database, whose jobs are done when the world says so.

A crash is the loss of the jobs that were not let go: each job is one transaction, or one file.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from inventory.raft.v1 import forward_pb2
from inventory_node.events import Answered, Copied, Event, Flushed, Hashed, Installed, Staged
from inventory_node.machine.changes import Changes
from inventory_node.ports import SnapshotHeader
from inventory_node.runtime.sqlite import Database
from raft.messages import SnapshotMeta


class SimStore:
    """One member's database in a folder."""
