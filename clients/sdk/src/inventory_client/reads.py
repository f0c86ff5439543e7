"""The consistency of reads: how fresh the state behind an answer must be."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from inventory.v1 import inventory_pb2


@dataclass(frozen=True, slots=True)
class Reads:
    """How fresh the state behind an answer must be: one of three consistencies."""

    options: inventory_pb2.ReadOptions

    @classmethod
    def linearizable(cls) -> Self:
        """See every write that was acknowledged before the read began."""
        return cls(inventory_pb2.ReadOptions())

    @classmethod
    def stale(cls) -> Self:
        """See the state of some member, however old; answered without a majority, too."""
        return cls(inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_STALE))

    @classmethod
    def bounded(cls, max_staleness: timedelta) -> Self:
        """See at least every write that was acknowledged `max_staleness` before the read."""
        options = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_BOUNDED_STALENESS)
        options.max_staleness.FromTimedelta(max_staleness)
        return cls(options)


LINEARIZABLE = Reads.linearizable()
