"""How fresh the state must be that a read is answered from."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from inventory.v1 import inventory_pb2


@dataclass(frozen=True, slots=True)
class Reads:
    """How fresh the state must be that reads are answered from: one of three."""

    options: inventory_pb2.ReadOptions

    @classmethod
    def linearizable(cls) -> Self:
        """See everything that was acknowledged before the read began."""
        return cls(inventory_pb2.ReadOptions())

    @classmethod
    def stale(cls) -> Self:
        """See what some member holds, however old; answered without a majority too."""
        return cls(inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_STALE))

    @classmethod
    def bounded(cls, max_staleness: timedelta) -> Self:
        """See everything that was acknowledged so long before the read, or later."""
        options = inventory_pb2.ReadOptions(consistency=inventory_pb2.CONSISTENCY_BOUNDED_STALENESS)
        options.max_staleness.FromTimedelta(max_staleness)
        return cls(options)


LINEARIZABLE = Reads.linearizable()
