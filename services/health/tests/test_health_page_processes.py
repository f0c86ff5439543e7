"""The page in a real Chromium: its content, its updates, and its layout on a phone."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from cluster_health.facts import LEADER, VOTER, Canary, Facts
from cluster_health.web import application, bound, serve_until
from inventory.v1 import cluster_pb2
from service.faults import Faults

REQUIRED = "INVENTORY_BROWSER"  # set to `required`, a missing Chromium is a failure
SECONDS_MAX = 30
PHONE = (360, 740)
DESKTOP = (1_280, 900)
VOTERS = ("node-0", "node-1", "node-2")
NOW_MS = 1_800_000_000_000
# Chromium reads descriptor 3 and writes descriptor 4.
LAUNCHER = """
import fcntl, os, sys
into, out = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3])
os.dup2(into, 3)
os.dup2(out, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
OK = Canary(ok=True, seconds=0.004)

pytestmark = pytest.mark.slow


def chromium() -> str:
    """Return the browser; without it tests are skipped, or fail where they may not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"chromium is not installed, and {REQUIRED} says that it must be")
    pytest.skip("chromium is not installed: apt-get install chromium")


class Browser:
    """One tab, driven over Chromium's own protocol by a pair of pipes.

    - Messages are JSON and end in a zero byte (`--remote-debugging-pipe`).
    """

    def __init__(self, program: str, profile: Path) -> None:
        """Start Chromium without a window."""
        into, self._into = os.pipe()
        self._from, out = os.pipe()
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            [sys.executable, "-c", LAUNCHER, str(into), str(out), program,
             "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(into, out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(into)
        os.close(out)
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.ask("Page.enable")

    def __enter__(self) -> Self:
        """Return the browser."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the browser."""
        os.close(self._into)
        self._process.terminate()
        self._process.wait(SECONDS_MAX)
        os.close(self._from)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Call a method and wait for its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            got = os.read(self._from, 1 << 16)
            assert got, f"chromium ended: {self._process.wait(SECONDS_MAX)}"
            self._buffer += got
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))

    def open(self, url: str, size: tuple[int, int] = DESKTOP) -> None:
        """Show a page in a window of a size, and wait until it is loaded."""
        width, height = size
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:  # noqa: ANN401 - JSON
        """Return the value of an expression on the page."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait on the page until a condition holds."""
        self.value(
            "new Promise((done, failed) => {"
            f"const end = Date.now() + {SECONDS_MAX * 1_000};"
            f"const look = () => ({condition}) ? done(true) :"
            " Date.now() > end ? failed(document.body.innerText) : setTimeout(look, 20); look(); })"
        )

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a picture."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


class Served:
    """The pages, served on a thread of their own; a test may change the facts."""

    def __init__(self) -> None:
        """Serve facts without trouble."""
        self.facts = facts()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._socket = bound("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        app = application(lambda: self.facts, lambda: True, Faults())
        self._loop.run_until_complete(serve_until(self._stopped, app, self._socket))
        self._loop.close()

    def close(self) -> None:
        """End the server and its thread, unless they have ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()
            self._socket.close()


def member(name: str, **change: Any) -> cluster_pb2.Member:  # noqa: ANN401 - fields of a message
    """Return a healthy member with some fields changed."""
    election = cluster_pb2.Election(term=12, leader="node-0")
    election.see_time.FromMilliseconds(NOW_MS - 60_000)
    known: dict[str, Any] = {
        "name": name,
        "reachable": True,
        "role": LEADER if name == "node-0" else cluster_pb2.MEMBER_ROLE_FOLLOWER,
        "standing": VOTER,
        "term": 12,
        "leader": "node-0",
        "voters": VOTERS,
        "commit_index": 1_234_567,
        "applied_index": 1_234_567,
        "last_log_index": 1_234_567,
        "volume": cluster_pb2.Volume(size_bytes=100 << 30, free_bytes=61 << 30),
        "clock_skew_ms": 4,
        "version": "0.1.0",
        "elections": [election],
    }
    return cluster_pb2.Member(**{**known, **change})


def facts(*changed: cluster_pb2.Member, gone: str = "") -> Facts:
    """Return facts of three members, with some members changed or gone."""
    members: dict[str, cluster_pb2.Member | None] = {name: member(name) for name in VOTERS}
    members |= {one.name: one for one in changed}
    if gone:
        members[gone] = None
    return Facts(members=members, at_ms=NOW_MS, assistant=True, writes=OK, reads=OK, replicas=3)


def troubled() -> Facts:
    """Return facts with much to say."""
    full = member(
        "node-1",
        clock_skew_ms=-4_200,
        volume=cluster_pb2.Volume(size_bytes=100 << 30, free_bytes=2 << 30),
        diverged="at index 1,234,000 its state is not the one that a majority of the voters has",
    )
    return facts(full, gone="node-2")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start one Chromium for all tests."""
    with Browser(chromium(), tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve the pages."""
    made = Served()
    yield made
    made.close()


def test_it_shows_the_members_and_how_they_are(browser: Browser, served: Served) -> None:
    """Role, term, commit, lag, disk, clock, version, elections."""
    browser.open(served.url)
    assert browser.value("document.title") == "Inventory: Everything is well."
    rows = browser.value(
        "[...document.querySelectorAll('#members tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    leads = ["node-0", "leader", "12", "1,234,567", "0", "61 GiB, 61 %", "+4 ms", "0.1.0"]
    assert rows == [leads, *([name, "follower", *leads[2:]] for name in VOTERS[1:])]
    assert "node-0" in browser.value("document.querySelector('#elections').innerText")
    assert browser.value("document.querySelector('#findings').hidden")


def test_it_says_what_is_wrong_and_leads_to_a_runbook(browser: Browser, served: Served) -> None:
    """Each finding links to its runbook, and the runbook is served."""
    served.facts = troubled()
    browser.open(served.url)
    text = browser.value("document.querySelector('#findings').innerText")
    for said in ("out of service", "2 % of its volume", "4.2 s behind", "node-2 has a vote"):
        assert said in text
    assert "does not answer" in browser.value("document.querySelector('#members').innerText")
    links = browser.value("[...document.querySelectorAll('#findings a')].map(a => a.href)")
    assert len(links) == 5
    for link in links:
        browser.open(link)
        assert browser.value("document.querySelector('h1') !== null"), link


def test_it_lives_without_a_reload(browser: Browser, served: Served) -> None:
    """The page replaces what changed; the rest of the page and the focus stay."""
    served.facts = facts(gone="node-1")
    browser.open(served.url)
    browser.value("window.same = true; document.querySelector('#findings a').focus(); 0")
    served.facts = troubled()
    browser.until("document.querySelector('#findings').innerText.includes('2 % of its volume')")
    assert browser.value("window.same")
    assert browser.value("document.activeElement.getAttribute('href')") == (
        "runbooks/member-missing"
    )
    served.facts = facts()
    browser.until("document.querySelector('h1').innerText === 'Everything is well.'")
    assert browser.value("document.title") == "Inventory: Everything is well."
    assert browser.value("document.querySelector('[aria-live]').textContent") == (
        "Everything is well."
    )


def test_it_says_so_when_nobody_answers_any_more(browser: Browser, served: Served) -> None:
    """The page marks old facts as old."""
    browser.open(served.url)
    assert browser.value("document.querySelector('#lost').hidden")
    served.close()
    browser.until("!document.querySelector('#lost').hidden")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(
    browser: Browser, served: Served, tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    """The page needs no sideways scrolling, has large letters and enough contrast."""
    served.facts = troubled()
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.ask("Emulation.setEmulatedMedia", features=features)
    browser.open(served.url, size)
    browser.screenshot(tmp_path / "page.png")
    assert browser.value("document.documentElement.scrollWidth") <= size[0]
    assert browser.value(WORST_CONTRAST) >= 4.5
    assert browser.value(SMALLEST_LETTERS) >= 13
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(251, 251, 250)") == (scheme == "light")


def test_it_is_told_to_those_who_do_not_see_it(browser: Browser, served: Served) -> None:
    """A phone's table is a table to a screen reader, and no part is loaded from elsewhere."""
    served.facts = troubled()
    browser.open(served.url, PHONE)
    browser.ask("Accessibility.enable")
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if "role" in node and not node["ignored"]]
    assert roles.count("row") == 4
    assert roles.count("rowheader") == 3
    assert roles.count("columnheader") == 8
    assert {"table", "main", "heading"} <= set(roles)
    assert browser.value("document.documentElement.lang") == "en"
    loaded = browser.value("performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded
    assert all(name.startswith((served.url, "data:")) for name in loaded)


# WCAG 2.2, 1.4.3: contrast of the relative luminances of letters and of what is behind them.
WORST_CONTRAST = """
(() => {
  const light = color => {
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll('main *')].map(one => {
    const letters = light(getComputedStyle(one).color);
    return (Math.max(letters, behind) + 0.05) / (Math.min(letters, behind) + 0.05);
  }));
})()
"""
SMALLEST_LETTERS = """
Math.min(...[...document.querySelectorAll('main *')]
  .map(one => parseFloat(getComputedStyle(one).fontSize)))
"""
