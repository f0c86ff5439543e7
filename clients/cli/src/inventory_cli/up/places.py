"""What a start of `inventory up` prints: addresses, folders, and who may log in."""

import json
from collections.abc import Mapping

from inventory_cli.up.layout import DEMO_USERS, INTERNAL, PAGE, PROCESSES, Layout, metrics_of

LABEL_WIDTH = 12
ADDRESS_WIDTH = 24


def lines(layout: Layout, ports: Mapping[str, int]) -> list[str]:
    """Return a line for each address, folder and demo user."""
    said = [_row("", "address", "metrics")]
    for name in ("gateway", *(one for one in PROCESSES if one != "gateway")):
        metrics = f"http://127.0.0.1:{ports[metrics_of(name)]}/metrics"
        address = f"127.0.0.1:{ports[name]}" if name in ports else ""
        said.append(_row(name, address, metrics))
    said += [
        _row("internal", f"127.0.0.1:{ports[INTERNAL]}"),
        _row("health page", f"http://127.0.0.1:{ports[PAGE]}/"),
        _row("data", str(layout.data)),
        _row("logs", str(layout.run)),
        _row("admin", f"password in {layout.keys / 'admin.password'}"),
    ]
    said += [
        _row("demo user", f"{name} ({role}), password {password}")
        for name, password, role in demo_users(layout)
    ]
    return said


def demo_users(layout: Layout) -> list[tuple[str, str, str]]:
    """Return the demo users that the first start made, with their passwords.

    The first state names them: `--demo` at a later start adds nobody.
    """
    there = {user["name"] for user in json.loads(layout.bootstrap.read_text())["users"]}
    return [user for user in DEMO_USERS if user[0] in there]


def login_command(layout: Layout) -> str:
    """Return the login command of a user that exists."""
    users = demo_users(layout)
    if users:
        return f"login {users[0][0]}"
    return f"login admin --password-stdin < {layout.keys / 'admin.password'}"


def _row(label: str, *cells: str) -> str:
    return f"{label:{LABEL_WIDTH}}" + "".join(f"{cell:{ADDRESS_WIDTH}}" for cell in cells).rstrip()
