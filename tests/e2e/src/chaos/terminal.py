"""Somebody at the command line: a process for each command, its two outputs, its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "inventory_cli")


class Terminal:
    """Somebody at the command line, with a home of their own."""

    def __init__(self, address: str, home: Path) -> None:
        """Talk to a gateway."""
        self.token = home / "token"
        self.environment = os.environ | {
            "INVENTORY_ADDRESS": address,
            "INVENTORY_TOKEN_FILE": str(self.token),
        }

    def run(self, *arguments: str, status: int = 0, text: str = "") -> tuple[str, str]:
        """Run a command; return stdout and stderr."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def json(self, *arguments: str) -> object:
        """Run a command for its JSON."""
        return json.loads(self.run(*arguments, "--output", "json")[0])

    def login(self, username: str, password: str) -> None:
        """Log in."""
        self.run("login", username, "--password-stdin", text=f"{password}\n")
