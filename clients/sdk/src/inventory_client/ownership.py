"""Where a client may be used: in one process, on one event loop, until the client is closed.

- Any other use raises UsageError before anything is sent or awaited.
- A forked child has its parent's sockets and none of its threads. gRPC in the child hangs or ends
  the process by a signal, also for a client that the child makes itself. So the child of a process
  that has used a client cannot use any client.
"""

import asyncio
import os
from typing import NoReturn

from inventory_client.errors import UsageError

FORKED = (
    "This process was forked from process {parent}, which had used an inventory client before, and "
    "gRPC does not work in such a child; nothing was sent. Start the process by `spawn` or "
    "`forkserver` (multiprocessing.get_context), or fork before the first call, and make a client "
    "in the child process."
)
CLOSED = "This client is closed; nothing was sent. Make another one."
OTHER_LOOP = (
    "This client belongs to another event loop, and nothing was sent. Make one client on each "
    "loop, or use `Inventory`, which any thread may call."
)
NOT_PICKLED = (
    "A client cannot be pickled or copied: it holds a connection. Hand over its address and its "
    "token, and make a client from them."
)


class Process:
    """The process that uses gRPC; gRPC keeps its state for the process as a whole.

    - gRPC is claimed once, by the first client that connects, and a child inherits the claim.
    """

    def __init__(self) -> None:
        """Begin without a claim."""
        self._user: int | None = None

    def claim(self) -> None:
        """Claim gRPC for this process; raise UsageError if its parent did before the fork."""
        if self._user is None:
            self._user = os.getpid()
        elif self._user != os.getpid():
            raise UsageError(FORKED.format(parent=self._user))


PROCESS = Process()


class Ownership:
    """The one process and the one loop of a client: those of the client's first use."""

    def __init__(self, parent: "Ownership | None" = None) -> None:
        """Belong to no process yet: a program may make a client first, and fork afterwards.

        A client over the channel of a parent client is closed with its parent.
        """
        self._parent = parent
        self._process: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_closed = False

    @property
    def is_elsewhere(self) -> bool:
        """Whether this process is a forked child of the client's process, and owns nothing here."""
        return self._process not in {None, os.getpid()}

    def check(self) -> None:
        """Raise UsageError where the client cannot work. Any thread may call."""
        if self.is_elsewhere:
            raise UsageError(FORKED.format(parent=self._process))
        if self.is_closed or (self._parent is not None and self._parent.is_closed):
            raise UsageError(CLOSED)

    def claim(self) -> None:
        """Claim this process; raise UsageError if the client cannot work. Any thread may call."""
        self.check()
        if self._process is None:
            PROCESS.claim()
            self._process = os.getpid()

    def enter(self) -> None:
        """Claim the running loop; raise UsageError if the client belongs to another loop."""
        self.claim()
        if self._parent is not None:
            self._parent.enter()
        running = asyncio.get_running_loop()
        self._loop = self._loop or running
        if self._loop is not running:
            raise UsageError(OTHER_LOOP)

    def leave(self) -> bool:
        """Refuse every later use; tell whether there is a connection to end here.

        A forked child ends nothing: the connection belongs to the parent. Raises UsageError on
        another loop.
        """
        if self.is_elsewhere or self.is_closed:
            return False
        if self._loop is None:
            self.is_closed = True
            return False
        if self._loop is not asyncio.get_running_loop():
            raise UsageError(OTHER_LOOP)
        self.is_closed = True
        return True


class Unpicklable:
    """An object that pickle, copy and deepcopy refuse with a sentence."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Raise TypeError."""
        raise TypeError(NOT_PICKLED)
