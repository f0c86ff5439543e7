"""Loopback ports for servers that start later: nobody else is given one meanwhile.

A reserved port is bound and not listened on. Linux gives it to nobody who asks for any free port,
and lets a server listen on it that sets SO_REUSEADDR, as all servers here do. So a server also
finds its port again after it was killed, whatever other tests start at that time.
"""

import os
import socket
import sys
from collections import deque

RESERVED_MAX = 256  # of one process: more than the tests that it runs at a time ask for

_reserved: deque[int] = deque()  # file descriptors, the oldest first


def free_port() -> int:
    """Return a loopback port that nobody listens on, and reserve it.

    It stays reserved until the process ends, or `RESERVED_MAX` others were reserved after it.
    """
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        chosen = int(bound.getsockname()[1])
        if sys.platform == "linux":  # elsewhere a server could not listen there
            _reserved.append(bound.detach())
    if len(_reserved) > RESERVED_MAX:
        os.close(_reserved.popleft())
    return chosen
