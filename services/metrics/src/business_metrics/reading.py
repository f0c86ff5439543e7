"""What the gateway says at one moment, asked as the machine user `metrics`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from inventory_client import Inventory, InventoryError, InventoryStats, Status, Unauthenticated
from service.errors import SecretUnusable
from service.process import secret_in

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
    - The key is read at each login, so that a file that is replaced is followed.
    """

    def __init__(self, inventory: Inventory, key_file: Path) -> None:
        """Read from `inventory`, whose timeout bounds each call."""
        self._inventory = inventory
        self._key_file = key_file
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
            value = self._as_metrics(call)
        except (InventoryError, SecretUnusable) as error:
            _log.warning("not read", what=what, why=str(error))
        return ReadResult(value, time.monotonic() - began)

    def _as_metrics(self, call: Callable[[], Result]) -> Result:
        if self._inventory.token is not None:
            try:
                return call()
            except Unauthenticated:  # the token expired, or the password was set anew
                _log.info("logs in again")
        self._inventory.login(USERNAME, secret_in(self._key_file))
        return call()
