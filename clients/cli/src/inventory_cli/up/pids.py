"""The children's process ids in files, to be found if the system is left running."""

import contextlib

from inventory_cli.up.layout import Layout
from inventory_cli.up.processes import Children


class PidFiles:
    """Keeps a file with the process id of each child that runs.

    - A file is written when a pid changes. A write that fails is tried again; a full disk ends
      nothing.
    - A note says once that files cannot be written, and once that they can be written again.
    """

    def __init__(self, layout: Layout) -> None:
        """Keep the files below a data directory."""
        self._layout = layout
        self._kept: dict[str, int] = {}
        self._fails = False

    def keep(self, children: Children) -> None:
        """Write the process ids that changed."""
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
        """Remove all files."""
        for child in children.children:
            with contextlib.suppress(OSError):  # a file that stays names a process that is gone
                self._layout.note_pid(child.name, 0)
