"""What was found about each edit: kept in `.mutation/`, judged by `equivalent.toml`."""

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mutation import edits as operators
from mutation.edits import Edit, edits
from mutation.targets import ROOM, ROOT, Target
from mutation.trials import KILLED, NOT_RUN, SURVIVED, TIMEOUT, UNREACHED, try_all

KEPT = ROOT / ".mutation"
PAGE = ROOT / "docs" / "testing.md"
EQUIVALENT = "equivalent"
DIGITS_OF_KEY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An edit without its text, and its verdict."""

    key: str  # a hash of the edit and of its tests
    function: str
    line: int
    was: str
    now: str
    verdict: str
    edit: str = ""  # a hash of the edit alone

    @property
    def place(self) -> tuple[str, str, str]:
        """How `equivalent.toml` names the edit."""
        return self.function, self.was, self.now


@dataclass(frozen=True, slots=True)
class Score:
    """How many edits of a module had which verdict."""

    module: str
    killed: int
    survived: int
    equivalent: int
    not_run: int

    @property
    def percent(self) -> str:
        """The part that is killed of what is not equivalent."""
        counted = self.killed + self.survived
        return f"{100 * self.killed / counted:.1f} %" if counted else "none"

    @property
    def row(self) -> str:
        """The module's row of the table in docs/testing.md."""
        cells = (f"`{self.module}`", self.killed, self.survived, self.equivalent, self.percent)
        return f"| {' | '.join(map(str, cells))} |"


def score_of(module: str, results: Sequence[Judged]) -> Score:
    """Count the verdicts."""
    count = Counter(one.verdict for one in results)
    return Score(
        module,
        killed=count[KILLED] + count[TIMEOUT],
        survived=count[SURVIVED] + count[UNREACHED],
        equivalent=count[EQUIVALENT],
        not_run=count[NOT_RUN],
    )


def read_equivalents(module: str) -> dict[tuple[str, str, str], str]:
    """Return the edits of a module that change no behaviour, with the reasons."""
    rows = tomllib.loads((ROOM / "equivalent.toml").read_text()).get(module, [])
    return {
        (row["function"], row["was"], now): row["reason"]
        for row in rows
        for now in ([row["now"]] if isinstance(row["now"], str) else row["now"])
    }


def judged_by(
    equivalents: Mapping[tuple[str, str, str], str], results: Sequence[Judged]
) -> list[Judged]:
    """Return the results with the survivors that are equivalent; raise ValueError on stale ones."""
    survivors = {one.place for one in results if one.verdict not in {KILLED, TIMEOUT}}
    if stale := equivalents.keys() - survivors:
        raise ValueError(f"equivalent.toml lists what does not survive: {sorted(stale)}")
    return [
        Judged(**asdict(one) | {"verdict": EQUIVALENT})
        if one.verdict in {SURVIVED, UNREACHED} and one.place in equivalents
        else one
        for one in results
    ]


def _hash(*parts: str) -> str:
    """Return a short hash of texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGITS_OF_KEY]


def examine(
    target: Target, deadline: float, *, is_fresh: bool = False, keeps_killed: bool = False
) -> list[Judged]:
    """Return the verdicts on a target's edits; only those that are not kept are tried.

    `keeps_killed` keeps what earlier tests killed, as somebody needs who adds tests.
    """
    source, tests = target.path.read_text(), target.tests_hash
    kept_path = KEPT / f"{target.module}.json"
    stamp = _hash(source, tests, Path(operators.__file__).read_text())
    kept: dict[str, str] = {}
    if kept_path.exists() and not is_fresh:
        rows = json.loads(kept_path.read_text())
        results = [Judged(**row) for row in rows["results"]]
        kept = {one.key: one.verdict for one in results if one.verdict != NOT_RUN}
        if rows["stamp"] == stamp and len(kept) == len(results):
            return results
        if keeps_killed:
            kept |= {one.edit: one.verdict for one in results if one.verdict in {KILLED, TIMEOUT}}
    found = edits(source)
    keys = {edit.key: _hash(edit.key, tests) for edit in found}
    tried = [edit for edit in found if not kept.keys() & {edit.key, keys[edit.key]}]
    verdicts = try_all(target, tried, deadline) if tried else {}

    def result(edit: Edit) -> Judged:
        key = keys[edit.key]
        verdict = kept.get(key) or kept.get(edit.key) or verdicts[edit.key]
        return Judged(
            key=key,
            edit=edit.key,
            function=edit.function,
            line=edit.line,
            was=edit.was,
            now=edit.now,
            verdict=verdict,
        )

    results = [result(edit) for edit in found]
    KEPT.mkdir(exist_ok=True)
    rows = {"stamp": stamp, "results": [asdict(one) for one in results]}
    kept_path.write_text(json.dumps(rows, indent=1))
    return results


def write_scores(scores: Sequence[Score]) -> None:
    """Put the rows of modules into the table of docs/testing.md."""
    before, head, table, after = _table(PAGE.read_text())
    written = re.findall(r"^(\| `([\w.]+)` .*)$", table, re.MULTILINE)
    rows = {module: row for row, module in written}
    rows |= {score.module: score.row for score in scores}
    lines = "".join(f"{row}\n" for _, row in sorted(rows.items()))
    PAGE.write_text(f"{before}{head}{lines}{after}")


def _table(text: str) -> tuple[str, str, str, str]:
    """Split a page around the rows of its table of scores."""
    head = "| module | killed | survived | equivalent | score |\n|---|---|---|---|---|\n"
    before, found, rest = text.partition(head)
    if not found:
        raise LookupError(f"{PAGE} has no table of scores")
    match = re.match(r"(?:\|.*\n)*", rest)
    end = match.end() if match else 0
    return before, head, rest[:end], rest[end:]
