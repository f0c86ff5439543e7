"""The output while the system runs: a live table on a terminal, plain lines elsewhere."""

import contextlib
import errno
import sys
import threading
from collections.abc import Iterable, Sequence

from inventory_client import (
    ClientCertificate,
    Inventory,
    InventoryError,
    MachineCertificate,
    Status,
)
from pki.identities import Kind, ProcessIdentity
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from inventory_cli.errors import OutputLost
from inventory_cli.output import shown
from inventory_cli.streams import resume
from inventory_cli.terminal import say
from inventory_cli.up.layout import MEMBERS, Layout
from inventory_cli.up.processes import Children

NOTES_SHOWN = 8
ASK_SECONDS_MAX = 1.5
ASK_PAUSE_SECONDS = 0.25
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class StatusPoller:
    """Asks the gateway for the members' status, in a thread of its own."""

    def __init__(self, address: str, layout: Layout) -> None:
        """Ask as the machine user `health`, with the certificate of the health service."""
        self._address = address
        self._files = layout.pki.files(ProcessIdentity(Kind.HEALTH))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inventory-status", daemon=True)
        self.status: Status | None = None
        self.trouble = ""  # why there is no status

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the call under way."""
        self._end.set()

    def wait(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        gateway = ProcessIdentity(Kind.GATEWAY).dns_name
        with Inventory(
            self._address,
            MachineCertificate("health"),
            timeout=ASK_SECONDS_MAX,
            ca_file=self._files.trusted,
            certificate=ClientCertificate(self._files.certificate, self._files.key, gateway),
        ) as inventory:
            while not self._end.wait(ASK_PAUSE_SECONDS):
                try:
                    self.status = inventory.status()
                except InventoryError as error:
                    self.status, self.trouble = None, str(error)


def members_table(children: Children, status: Status | None) -> Table:
    """Return the table of processes: members with their status, others with their pid."""
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
    """The table on a terminal, drawn again and again, with the newest notes below."""

    def __init__(self, children: Children, heading: str) -> None:
        """Draw on the terminal."""
        self._children = children
        self._heading = heading
        self._live = Live(console=Console(), auto_refresh=False)
        self._live.start()

    def draw(self, status: Status | None, troubles: Sequence[str]) -> None:
        """Draw the table, `troubles` and notes."""
        table = members_table(self._children, status)
        lines = [shown(trouble, "yellow") for trouble in troubles]
        lines += [shown(note, "dim") for note in self._children.notes[-NOTES_SHOWN:]]
        self._live.update(Group(shown(self._heading), table, *lines), refresh=True)

    def say(self, line: str) -> None:
        """Write a line above the table."""
        self._live.console.print(shown(line), soft_wrap=True)

    def close(self) -> None:
        """Stop drawing; the last table stays, if the terminal is still there."""
        with contextlib.suppress(OSError):
            self._live.stop()


class LineView:
    """A line on stdout for each change."""

    def __init__(self, children: Children, heading: str) -> None:
        """Write to stdout."""
        self._children = children
        self._noted = 0
        self._troubles: Sequence[str] = ()
        self._leader = ""
        self.say(heading)

    def draw(self, status: Status | None, troubles: Sequence[str]) -> None:
        """Write notes and troubles that the last call did not have, and a change of the leader."""
        for note in self._take_notes():
            self.say(note)
        for trouble in troubles:
            if trouble not in self._troubles:
                self.say(trouble)
        self._troubles = troubles
        if status is not None and status.leader and status.leader != self._leader:
            self._leader = status.leader
            terms = [member.term for member in status.members if member.name == status.leader]
            self.say(f"{status.leader} leads term {terms[0]}")

    def _take_notes(self) -> Iterable[str]:
        fresh = self._children.notes[self._noted :]
        self._noted = len(self._children.notes)
        return fresh

    def say(self, line: str) -> None:
        """Write a line at once; drop the line if the disk is full."""
        try:
            say(line)
            sys.stdout.flush()
        except OutputLost as lost:
            if lost.error.errno not in FULL:
                raise
            resume()

    def close(self) -> None:
        """Write the remaining notes."""
        for note in self._take_notes():
            self.say(note)
