"""Trials: the tests of a target, run on each edit in a forked process.

One process imports the target and collects its tests. Most edits change the body of one function:
a fork of that process gives the function the edited code, and runs the tests. Other edits change
what runs while the module is imported: a fork of a process that has imported third-party packages
alone imports the edited module, and runs the tests.
"""

import _thread
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from importlib.machinery import SourceFileLoader
from itertools import chain
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn
from unittest.mock import patch

import hypothesis
import pytest

from mutation.edits import Edit, spans, statements
from mutation.targets import Target

KILLED, TIMEOUT, SURVIVED, UNREACHED, NOT_RUN = (
    "killed",
    "timeout",
    "survived",
    "unreached",
    "not run",
)
CONTROL = "control"  # the key of a trial without an edit, which has to survive
SLOTS = max(1, len(os.sched_getaffinity(0)))
BLOCKED_SECONDS = 60
BLOCKED_CPU_SECONDS = 0.05  # a trial that computes less in those seconds waits for ever
MEMORY_BYTES = 4 << 30
OPTIONS = (
    *("-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider"),
    *("--assert=plain", "--tb=native"),
)

CACHE = type(cache(lambda: None))
Trial = Callable[[], NoReturn]
TraceFunction = Callable[[FrameType, str, object], Any]


@dataclass(slots=True)
class Baseline:
    """What the tests do without an edit."""

    seconds: float = 0.0
    reached: dict[int, list[str]] = field(default_factory=dict)  # line: its tests, quickest first
    imported: set[str] = field(default_factory=set)  # functions that ran before the first test
    packages: list[str] = field(default_factory=list)  # third-party modules that were imported


def end(status: int) -> NoReturn:
    """End a forked process without the cleanup of what it was forked from."""
    os._exit(status)


def end_when_blocked() -> None:
    """End this process once it only waits; a process of a busy machine computes, if slowly.

    The thread that watches is none of `threading`, so that no test sees it.
    """
    sleep, computed_seconds, pid = time.sleep, time.process_time, os.getpid()

    def watch() -> None:
        before = computed_seconds()
        while True:
            sleep(BLOCKED_SECONDS)
            now = computed_seconds()
            if now - before < BLOCKED_CPU_SECONDS:
                os.kill(pid, signal.SIGKILL)
            before = now

    _thread.start_new_thread(watch, ())


def run_trials(
    trials: Mapping[str, Trial], cpu_seconds: int, deadline: float
) -> Iterator[tuple[str, str]]:
    """Fork a process for each trial, as many at once as there are cores; yield each verdict."""
    waiting, running = dict(trials), dict[int, str]()
    while waiting or running:
        while waiting and len(running) < SLOTS and time.monotonic() < deadline:
            key = next(iter(waiting))
            trial = waiting.pop(key)
            pid = os.fork()
            if pid == 0:
                resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
                end_when_blocked()
                try:
                    trial()
                finally:
                    end(1)
            running[pid] = key
        if not running:
            yield from ((key, NOT_RUN) for key in waiting)
            return
        pid, status = os.wait()
        if os.WIFSIGNALED(status):
            late = os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
            yield running.pop(pid), TIMEOUT if late else KILLED
        else:
            yield running.pop(pid), KILLED if os.WEXITSTATUS(status) else SURVIVED


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those inside it, in the order of the source."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def swapped(path: Path, old: str, edit: Edit) -> list[tuple[CodeType, CodeType]]:
    """Return the code of an edited function, before and after; empty where that does not do."""
    before = [c for c in codes(compile(old, str(path), "exec")) if c.co_qualname == edit.function]
    after = [
        c for c in codes(compile(edit.source, str(path), "exec")) if c.co_qualname == edit.function
    ]
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    if any(a.co_freevars != b.co_freevars for a, b in pairs):
        return []
    return [(a, b) for a, b in pairs if a.co_firstlineno <= edit.line]


class Collected:
    """The pytest plugin that runs the baseline, and then the trials, in forks of a collection."""

    def __init__(self, target: Target, run: Callable[["Collected"], None]) -> None:
        """Prepare to collect the tests of a target, and to run `run` with them."""
        self.target = target
        self.items: list[pytest.Item] = []
        self.functions: list[FunctionType] = []  # of the target
        self.caches: list[Any] = []  # of functions of the target, made by functools
        self.baseline = Baseline()
        self.failed = ""
        self.is_done = False
        self._run = run
        self._path = str(target.path)
        self._spans = spans(target.path.read_text())
        self._lines: set[int] = set()
        self._called: set[int] = set()  # the first lines of functions

    def watch(self) -> None:
        """Note every line and function of the target that runs, in every thread."""
        path, lines, called = self._path, self._lines, self._called

        def note(frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
            if frame.f_code.co_filename != path:
                return None
            if event == "line":
                lines.add(frame.f_lineno)
            elif event == "call":
                called.add(frame.f_code.co_firstlineno)
            return note

        threading.settrace(note)
        sys.settrace(note)

    def lines_run(self) -> set[int]:
        """Return the lines of the target that ran since this was asked last."""
        found = set(self._lines)
        self._lines.clear()
        return found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice that a test has failed."""
        if report.failed:
            self.failed = f"{report.nodeid}\n{report.longreprtext}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notice that tests could not be collected."""
        if report.failed:
            self.failed = report.longreprtext

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the baseline and the trials, in the place of pytest's own loop."""
        sys.settrace(None)
        threading.settrace(None)
        if not self.failed:
            self.items = list(session.items)
            self.caches = [
                each
                for each in gc.get_objects()
                if isinstance(each, CACHE)
                and isinstance(each.__wrapped__, FunctionType)
                and each.__wrapped__.__code__.co_filename == self._path
            ]
            self._measure()
        if not self.failed:
            self.functions = [
                each
                for each in gc.get_objects()
                if isinstance(each, FunctionType) and each.__code__.co_filename == self._path
            ]
            gc.freeze()  # a fork that collects garbage would copy every page
            self._run(self)
            self.is_done = True
        return True

    def run_items(self, items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
        """Run tests until one fails; yield each that has passed. What is cached is made anew."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            for each in self.caches:
                each.cache_clear()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return
            yield item

    def _measure(self) -> None:
        """Run every test in a fork, and learn which lines each of them runs."""
        self.lines_run()
        self.baseline.imported = {
            span.function
            for span in self._spans
            if any(span.first <= line <= span.last for line in self._called)
        }
        self.baseline.packages = [
            name
            for name, module in list(sys.modules.items())
            if "site-packages" in (getattr(module, "__file__", None) or "")
            and not name.startswith(("_pytest", "pytest", "hypothesis", "_hypothesis", "py."))
        ]
        with tempfile.TemporaryFile("w+") as answer:
            pid = os.fork()
            if pid == 0:
                try:
                    json.dump(self._measured(), answer)
                    answer.flush()
                finally:
                    end(0)
            os.waitpid(pid, 0)
            answer.seek(0)
            self.baseline.seconds, reached, self.failed = json.loads(
                answer.read() or '[0, {}, "the tests ended their process"]'
            )
            self.baseline.reached = {int(line): tests for line, tests in reached.items()}

    def _measured(self) -> tuple[float, dict[int, list[str]], str]:
        """Return the CPU seconds of all tests, the tests of each line, and what failed."""
        reached: dict[int, list[str]] = defaultdict(list)
        seconds: dict[str, float] = {}
        began = last = time.process_time()
        self.watch()
        for item in self.run_items(self.items):
            now = time.process_time()
            seconds[item.nodeid], last = now - last, now
            for line in self.lines_run():
                reached[line].append(item.nodeid)
        for tests in reached.values():
            tests.sort(key=seconds.__getitem__)
        return last - began, reached, self.failed

    def tests_of(self, lines: Iterable[int]) -> list[pytest.Item]:
        """Return the tests that run one of the lines, the quickest first."""
        tests = [self.baseline.reached.get(line, ()) for line in lines]
        named = {item.nodeid: item for item in self.items}
        return [named[name] for name in dict.fromkeys(chain.from_iterable(tests))]

    def trial(
        self, pairs: Sequence[tuple[CodeType, CodeType]], items: Sequence[pytest.Item]
    ) -> NoReturn:
        """Give a function its edited code and run tests until one fails."""
        for each in self.functions:
            for before, after in pairs:
                if each.__code__ == before:
                    each.__code__ = after
        for _ in self.run_items(items):
            pass
        end(1 if self.failed else 0)


def use_fixed_examples() -> None:
    """Let hypothesis draw the same examples each time, and not look for the smallest."""
    hypothesis.settings.register_profile(
        "mutation",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")


def import_trial(target: Target, source: str) -> NoReturn:
    """Import the edited module in the place of the target, and run the tests."""
    path, load = str(target.path), SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        if loader.path == path:
            return compile(source, path, "exec", dont_inherit=True)
        return load(loader, name)

    patch.object(SourceFileLoader, "get_code", get_code).start()
    end(1 if pytest.main(arguments(target)) else 0)


def arguments(target: Target) -> list[str]:
    """Return what pytest is called with."""
    markers = "not long and not cluster" + ("" if target.takes_slow else " and not slow")
    return [*OPTIONS, "-m", markers, *map(str, target.tests)]


def cpu_limit(baseline: Baseline) -> int:
    """Return the CPU seconds after which a trial counts as endless."""
    return 5 + int(3 * baseline.seconds)


@dataclass(slots=True)
class Found:
    """What the collected process tells the process that forked it."""

    verdicts: dict[str, str]
    at_import: list[str]  # the keys of edits that are tried by an import
    cpu_seconds: int
    packages: list[str]
    failed: str


def try_in_place(target: Target, edits: Sequence[Edit], deadline: float) -> Found:
    """Try each edit in a fork of this process, which collects the tests."""
    found = Found({}, [], 0, [], "the tests could not be collected")

    def run(collected: Collected) -> None:
        trials: dict[str, Trial] = {CONTROL: partial(collected.trial, (), collected.items)}
        source, baseline = target.path.read_text(), collected.baseline
        statement = statements(source)
        for edit in edits:
            pairs = swapped(target.path, source, edit) if edit.function else []
            if not pairs or edit.function in baseline.imported:
                found.at_import.append(edit.key)
            elif tests := collected.tests_of(statement[edit.line]):
                trials[edit.key] = partial(collected.trial, pairs, tests)
            else:
                found.verdicts[edit.key] = UNREACHED
        found.cpu_seconds = cpu_limit(baseline)
        found.packages = baseline.packages
        found.verdicts.update(run_trials(trials, found.cpu_seconds, deadline))

    collected = Collected(target, run)
    collected.watch()
    pytest.main(arguments(target), plugins=[collected])
    sys.settrace(None)
    found.failed = collected.failed or ("" if collected.is_done else "no tests were collected")
    return found


def try_all(target: Target, edits: Sequence[Edit], deadline: float) -> dict[str, str]:
    """Return the verdict of each edit; raise RuntimeError where the tests fail without one."""
    with tempfile.TemporaryFile("w+") as answer, tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if pid == 0:
            try:
                _be_quiet(output.fileno())
                use_fixed_examples()
                found = try_in_place(target, edits, deadline)
                json.dump([getattr(found, name) for name in Found.__slots__], answer)
                answer.flush()
            finally:
                end(0)
        os.waitpid(pid, 0)
        answer.seek(0)
        output.seek(0)
        told = answer.read()
        if not told:
            raise RuntimeError(f"{target.module}: {output.read()}")
    found = Found(*json.loads(told))
    if found.failed:
        raise RuntimeError(f"the tests of {target.module} fail without an edit: {found.failed}")
    at_import = set(found.at_import)
    check_control(target, found.verdicts)
    trials: dict[str, Trial] = {
        edit.key: partial(import_trial, target, edit.source)
        for edit in edits
        if edit.key in at_import
    }
    if trials:
        trials = {CONTROL: partial(import_trial, target, target.path.read_text())} | trials
        verdicts = _tried_at_import(trials, found, deadline)
        check_control(target, verdicts)
        found.verdicts.update(verdicts)
    return found.verdicts


def check_control(target: Target, verdicts: dict[str, str]) -> None:
    """Take the control's verdict out; raise RuntimeError where the trial itself fails the tests."""
    verdict = verdicts.pop(CONTROL)
    if verdict not in {SURVIVED, NOT_RUN}:
        raise RuntimeError(f"a trial of {target.module} without an edit was {verdict}")


def _tried_at_import(trials: Mapping[str, Trial], found: Found, deadline: float) -> dict[str, str]:
    """Try edits in forks of a process that has imported third-party packages alone."""
    with tempfile.TemporaryFile("w+") as answer:
        pid = os.fork()
        if pid == 0:
            try:
                with Path(os.devnull).open("w") as nowhere:
                    _be_quiet(nowhere.fileno())
                use_fixed_examples()
                for name in found.packages:
                    if "." not in name or name.startswith(("google.", "grpc.")):
                        import_module(name)
                json.dump(dict(run_trials(trials, found.cpu_seconds + 5, deadline)), answer)
                answer.flush()
            finally:
                end(0)
        os.waitpid(pid, 0)
        answer.seek(0)
        verdicts: dict[str, str] = json.loads(answer.read())
        return verdicts


def _be_quiet(output: int) -> None:
    """Send what this process prints to a file."""
    os.dup2(output, 1)
    os.dup2(output, 2)
