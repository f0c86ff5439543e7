"""Why a log does not open. Each message names the file, the byte and what an operator can do."""

REMEDY = (
    "Nothing was changed. Keep the folder for a look at it, and rebuild this member from the "
    "others, or restore the folder from a copy (docs/disk-format.md, 'When a log does not open')."
)


class LogDamaged(Exception):  # noqa: N818 - the state of the log is its name
    """Bytes that were synced are not what was written; opening could lose acknowledged orders."""

    def __init__(self, name: str, offset: int, problem: str) -> None:
        """`offset` counts bytes from the start of the file `name`."""
        super().__init__(f"the log is damaged: {name} at byte {offset}: {problem}. {REMEDY}")
        self.name = name
        self.offset = offset
        self.problem = problem


class LogForeign(Exception):  # noqa: N818 - the state of the log is its name
    """A whole log, but of another member, cluster or format version."""

    def __init__(self, name: str, problem: str) -> None:
        """Say what does not belong here."""
        super().__init__(
            f"the log does not belong here: {name}: {problem}. Nothing was changed. Start this "
            "member with the data directory and the version of the software that wrote it."
        )
