"""What every test finds in its environment."""

import os

LOOPBACK = "127.0.0.1,localhost,::1"


def pytest_configure() -> None:
    """Let tests reach what they start on this machine past the machine's proxy, if it has one."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))
