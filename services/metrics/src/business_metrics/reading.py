"""What the gateway says at one moment, asked as the machine user `metrics`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from inventory_client import Inventory, InventoryError, InventoryStats, Status

USERNAME = "metrics"
CALL_SECONDS_MAX = 2.0  # with the login and both calls, well below Prometheus' default of 10 s

Result = TypeVar("Result")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReadResult(Generic[Result]):
    """What a call brought."""

    value: Result | None  # None: no answer
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one scrape found."""

    status: ReadResult[Status]
    stats: ReadResult[InventoryStats]


class Reader:
    """Reads from any thread.

    - One reading at a time, so that a slow gateway gets no more calls for being slow.
    """

    def __init__(self, inventory: Inventory) -> None:
        """Read from `inventory`, whose timeout bounds each call, and which logs in by itself."""
        self._inventory = inventory
        self._turn = threading.Lock()

    def read(self) -> Reading:
        """Ask for everything."""
        with self._turn:
            return Reading(
                self._ask("status", self._inventory.status),
                self._ask("stats", self._inventory.stats),
            )

    def _ask(self, what: str, call: Callable[[], Result]) -> ReadResult[Result]:
        began = time.monotonic()
        value = None
        try:
            value = call()
        except InventoryError as error:
            _log.warning("not read", what=what, why=str(error))
        return ReadResult(value, time.monotonic() - began)
