"""The kinds of runs that catch a mutant."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest
from raft import ProtocolViolation
from rafttest import PropertyViolation
from rafttest import run as run_core
from rafttest.script import rerun
from sim import run_seed

ROOT = Path(__file__).resolve().parents[4]
SCRIPTS = ROOT / "libs" / "raft" / "tests" / "scripts"
CORE_SEEDS_MAX = 400
NODE_SEEDS_MAX = 200

Plant = Callable[[pytest.MonkeyPatch], None]


class Catch(Hashable, Protocol):
    """A run of tests that finds a bug, or finds nothing."""

    def run(self) -> str:
        """Run; return the bug that was found, in one line, or an empty text."""
        ...

    def alternatives(self) -> Iterator["Catch"]:
        """Return the runs of this kind, from the first on; bounded."""
        ...


@dataclass(frozen=True, slots=True)
class GoldenScript:
    """A golden transcript of the core comes out different, or breaks an invariant."""

    name: str

    def run(self) -> str:
        """See `Catch.run`."""
        written = (SCRIPTS / f"{self.name}.script").read_text()
        try:
            made = rerun(written)
        except ProtocolViolation as violation:
            return f"{violation}"
        return "" if made == written else f"{self.name}.script reads otherwise"

    def alternatives(self) -> Iterator[Catch]:
        """See `Catch.alternatives`."""
        return (GoldenScript(path.stem) for path in sorted(SCRIPTS.glob("*.script")))


@dataclass(frozen=True, slots=True)
class CoreSeed:
    """A seed of `rafttest` breaks a property."""

    seed: int

    def run(self) -> str:
        """See `Catch.run`."""
        try:
            run_core(self.seed)
        except (PropertyViolation, ProtocolViolation) as violation:
            return f"{violation}"
        return ""

    def alternatives(self) -> Iterator[Catch]:
        """See `Catch.alternatives`."""
        return map(CoreSeed, range(CORE_SEEDS_MAX))


@dataclass(frozen=True, slots=True)
class NodeSeed:
    """A seed of whole nodes, `tests/sim`, breaks a property."""

    seed: int

    def run(self) -> str:
        """See `Catch.run`."""
        return run_seed(self.seed).violation.partition("\n")[0]

    def alternatives(self) -> Iterator[Catch]:
        """See `Catch.alternatives`."""
        return map(NodeSeed, islice(count(1), NODE_SEEDS_MAX))


def mistake_in(text: str) -> str:
    """Return the message of an error that a mutant made by itself; empty if there is none.

    A mutant whose function does not take the arguments of the function that it replaces is caught
    by everything, and shows nothing.
    """
    found = re.search(r"TypeError: \w+\.<locals>.*", text)
    return f" {found[0]}" if found else ""


@contextlib.contextmanager
def quick_examples() -> Iterator[None]:
    """Let hypothesis draw the same examples each time, and not look for the smallest that fails."""
    before = hypothesis.settings.get_current_profile_name()
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, database=None, deadline=None, phases=phases
    )
    hypothesis.settings.load_profile("mutants")
    try:
        yield
    finally:
        hypothesis.settings.load_profile(before)


class _Outcomes:
    """A plugin of pytest that keeps which tests failed."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a failure, and the mistake of a mutant that caused it."""
        if report.failed:
            self.failed.append(report.nodeid + mistake_in(report.longreprtext))


@dataclass(frozen=True, slots=True)
class UnitTests:
    """A test of a room fails; `path` is below the root, `name` a part of the test's name."""

    path: str
    name: str

    def run(self) -> str:
        """See `Catch.run`."""
        path, outcomes = str(ROOT / self.path), _Outcomes()
        # The module may have imported a patched name: it is imported again.
        for name, module in list(sys.modules.items()):
            if getattr(module, "__file__", None) == path:
                del sys.modules[name]
        options = ["-q", "-x", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
        # This module imports hypothesis, whose assertions pytest would like to rewrite first.
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        chosen = ["-k", self.name] if self.name else []
        with contextlib.redirect_stdout(io.StringIO()), quick_examples():
            status = pytest.main([*options, *chosen, path], plugins=[outcomes])
        if status not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            raise ValueError(f"{self} does not run: {status}")
        return f"{outcomes.failed[0].rpartition('::')[2]} fails" if outcomes.failed else ""

    def alternatives(self) -> Iterator[Catch]:
        """See `Catch.alternatives`."""
        yield UnitTests(self.path, "")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug and the run that catches it."""

    plant: Plant
    catch: Catch

    @property
    def name(self) -> str:
        """What the product does wrong."""
        return self.plant.__name__

    @property
    def room(self) -> str:
        """The name of the module that plants the bug."""
        return self.plant.__module__.rpartition(".")[2]

    def replay(self) -> str:
        """Plant the bug, run its catch, take the bug away; return what was found."""
        return self._run_planted(self.catch)

    def search(self) -> tuple[Catch, int, str] | None:
        """Search for a run that catches the bug; return it, how many were tried, and the finding.

        A run that finds something without the bug does not count.
        """
        for runs, catch in enumerate(self.catch.alternatives(), 1):
            found = self._run_planted(catch)
            if found and holds(catch):
                return catch, runs, found
        return None

    def _run_planted(self, catch: Catch) -> str:
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            found = catch.run()
        if mistake := mistake_in(found):
            raise ValueError(f"{self.name} does not fit the product:{mistake}")
        return found


@cache
def holds(catch: Catch) -> bool:
    """Return whether a run finds nothing when nothing is planted."""
    return not catch.run()
