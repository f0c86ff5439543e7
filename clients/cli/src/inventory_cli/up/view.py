"""What is shown while the system runs: a live table on a terminal, plain lines elsewhere."""

import sys
import threading
from collections.abc import Iterable

import typer
from inventory_client import Inventory, InventoryError, Status
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from inventory_cli.up.layout import MEMBERS
from inventory_cli.up.processes import Children

NOTES_SHOWN = 8
ASK_SECONDS_MAX = 1.5
ASK_PAUSE_SECONDS = 0.25


class Watcher:
    """Asks the gateway for the members' status, in a thread of its own."""

    def __init__(self, address: str, key: str) -> None:
        """Ask as the machine user `health`, whose key this is."""
        self._address = address
        self._key = key
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inventory-status", daemon=True)
        self.status: Status | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        with Inventory(self._address, timeout=ASK_SECONDS_MAX) as inventory:
            while not self._end.wait(ASK_PAUSE_SECONDS):
                try:
                    if inventory.token is None:
                        inventory.login("health", self._key)
                    self.status = inventory.get_status()
                except InventoryError:
                    self.status = None


def members_table(children: Children, status: Status | None) -> Table:
    """Make the table: one line a member, then the other processes."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("member", "role"):
        shown.add_column(column)
    for column in ("term", "commit", "applied", "pid"):
        shown.add_column(column, justify="right")
    members = {member.name: member for member in status.members} if status is not None else {}
    for child in children.children:
        member = members.get(child.name)
        pid = str(child.pid) if child.pid else ""
        if not child.pid:
            shown.add_row(child.name, Text("dead", style="red"), "", "", "", "")
        elif child.name not in MEMBERS:
            shown.add_row(child.name, Text("running", style="dim"), "", "", "", pid)
        elif member is None or not member.reachable:
            shown.add_row(child.name, Text("starting", style="yellow"), "", "", "", pid)
        else:
            style = "bold green" if member.role == "leader" else ""
            shown.add_row(
                child.name,
                Text(member.role, style=style),
                f"{member.term:,}",
                f"{member.commit_index:,}",
                f"{member.applied_index:,}",
                pid,
            )
    return shown


class LiveView:
    """The table, drawn anew; the newest notes below it."""

    def __init__(self, children: Children, heading: str) -> None:
        """Draw on the terminal."""
        self._children = children
        self._heading = heading
        self._live = Live(console=Console(), auto_refresh=False)
        self._live.start()

    def draw(self, status: Status | None) -> None:
        """Draw."""
        notes = [Text(note, style="dim") for note in self._children.notes[-NOTES_SHOWN:]]
        table = members_table(self._children, status)
        self._live.update(Group(Text(self._heading), table, *notes), refresh=True)

    def say(self, line: str) -> None:
        """Keep a line in the heading."""
        self._heading = f"{self._heading}\n{line}"

    def close(self) -> None:
        """Leave the last table on the terminal."""
        self._live.stop()


class LineView:
    """One line for everything that changes."""

    def __init__(self, children: Children, heading: str) -> None:
        """Write to stdout."""
        self._children = children
        self._noted = 0
        self._leader = ""
        self.say(heading)

    def draw(self, status: Status | None) -> None:
        """Write what changed."""
        for note in self._fresh():
            self.say(note)
        if status is not None and status.leader and status.leader != self._leader:
            self._leader = status.leader
            terms = [member.term for member in status.members if member.name == status.leader]
            self.say(f"{status.leader} leads term {terms[0]}")

    def _fresh(self) -> Iterable[str]:
        fresh = self._children.notes[self._noted :]
        self._noted = len(self._children.notes)
        return fresh

    def say(self, line: str) -> None:
        """Write a line at once."""
        typer.echo(line)
        sys.stdout.flush()

    def close(self) -> None:
        """Write what is left."""
        for note in self._fresh():
            self.say(note)
