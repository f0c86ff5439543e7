"""What every test finds in its environment."""

import os
import signal

LOOPBACK = "127.0.0.1,localhost,::1"


def pytest_configure() -> None:
    """Let tests reach and interrupt what they start, whatever the machine's proxy and shell are."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))
    # A shell lets what it runs in the background ignore Ctrl-C, and so would what tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
