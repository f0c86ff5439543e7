"""Loopback ports for servers that start later: nobody else gets such a port meanwhile.

A reserved port is bound and not listened on. Linux does not give it to a process that asks for any
free port. A server that sets SO_REUSEADDR can listen on it, as all servers here can. So a server
also finds its port again after a kill, whatever other tests start at that time.
"""

import os
import socket
import sys
from collections import deque

RESERVED_MAX = 256  # of one process: more than its tests need at a time

_reserved: deque[int] = deque()  # file descriptors, the oldest first


def free_port() -> int:
    """Return a loopback port that nobody listens on, and reserve it.

    The port stays reserved until the process ends, or until `RESERVED_MAX` later reservations.
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
