"""The children's process ids, kept for whoever finds the system left running."""

import contextlib

from inventory_cli.up.layout import Layout
from inventory_cli.up.processes import Children


class PidFiles:
    """Keeps a file with the process id of each child that runs.

    - A file is written when a pid changes, and tried again until it is; a disk that is full ends
      nothing.
    - That it cannot be written is said once, and once when it can be again.
    """

    def __init__(self, layout: Layout) -> None:
        """Keep them below a data directory."""
        self._layout = layout
        self._kept: dict[str, int] = {}
        self._fails = False

    def keep(self, children: Children) -> None:
        """Write what changed."""
        try:
            for child in children.children:
                if self._kept.get(child.name) != child.pid:
                    self._layout.note_pid(child.name, child.pid)
                    self._kept[child.name] = child.pid
        except OSError as error:
            if not self._fails:
                why = f"process ids cannot be kept in {self._layout.run}: {error.strerror}"
                children.notes.append(why)
            self._fails = True
        else:
            if self._fails:
                children.notes.append(f"process ids are kept in {self._layout.run} again")
            self._fails = False

    def forget(self, children: Children) -> None:
        """Remove them all."""
        for child in children.children:
            with contextlib.suppress(OSError):  # then they name processes that are gone
                self._layout.note_pid(child.name, 0)
