"""What scenarios measured, as a table; and its place in docs/operating.md."""

import os
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

BEGIN = "<!-- measured: written by `make e2e DOCS=1` -->"
END = "<!-- /measured -->"
HEAD = (
    "| scenario | without writes | calls | without an outcome | whole again after | p50, p99 |",
    "|---|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRow:
    """One scenario."""

    what: str
    silences: tuple[float, ...]  # seconds, one a fault
    calls: int
    errors: int
    again_seconds: float  # the longest
    p50_seconds: float
    p99_seconds: float

    def markdown(self) -> str:
        """Return the row in Markdown."""
        silence = f"{statistics.median(self.silences):.2f} s"
        if len(self.silences) > 1:
            silence += f" (median of {len(self.silences)}, worst {max(self.silences):.2f})"
        latencies = f"{self.p50_seconds * 1e3:.0f}, {self.p99_seconds * 1e3:.0f} ms"
        return (
            f"| {self.what} | {silence} | {self.calls} | {self.errors} "
            f"| {self.again_seconds:.0f} s | {latencies} |"
        )


@dataclass(slots=True)
class Table:
    """The scenarios of this run, in their order."""

    rows: list[ScenarioRow] = field(default_factory=list)

    def add(self, row: ScenarioRow) -> None:
        """Append a scenario."""
        self.rows.append(row)

    def markdown(self) -> str:
        """Return the table in Markdown."""
        return "\n".join([*HEAD, *(row.markdown() for row in self.rows)])


def written(text: str, table: Table, when: datetime) -> str:
    """Return a document with its marked block made anew.

    Scenarios that this run left out keep their rows, after those that it has.
    """
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    ran = {row.what for row in table.rows}
    kept = [
        line
        for line in old.splitlines()
        if line.startswith("| ") and line != HEAD[0] and line.split(" | ")[0][2:] not in ran
    ]
    date = f"Last written on {when:%Y-%m-%d}."
    block = "\n".join([BEGIN, date, "", table.markdown(), *kept, END])
    return before + block + after


def write(path: Path, table: Table) -> None:
    """Rewrite the block of a document where `make e2e DOCS=1` asks for it."""
    if os.environ.get("INVENTORY_E2E_DOCS") and table.rows:
        path.write_text(written(path.read_text(), table, datetime.now(UTC)))
