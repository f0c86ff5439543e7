"""A real Prometheus on this machine, with the rules that are shipped."""

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from chaos.ports import free_port
from chaos.up import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "rules.yaml"
SECONDS_MAX = 60
POLL_SECONDS = 0.2
SCRAPE = "500ms"
RATE_INTERVAL = "10s"


def eventually(what: str, check: Callable[[], bool], seconds_max: float = SECONDS_MAX) -> None:
    """Wait until something holds, for as long as a busy machine may need; raise AssertionError."""
    deadline = time.monotonic() + seconds_max
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        time.sleep(POLL_SECONDS)


class Prometheus:
    """One server, and what it answers."""

    def __init__(
        self, folder: Path, scrapes: Sequence[dict[str, Any]], interval: str = SCRAPE
    ) -> None:
        """Scrape by some `scrape_configs`, so often."""
        folder.mkdir()
        config = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(RULES)],
            "scrape_configs": list(scrapes),
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.address = f"127.0.0.1:{free_port()}"
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}",  # noqa: S607 - on PATH
             f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={self.address}"],
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(SECONDS_MAX)
        self._log.close()

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Call its API; return the data."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}") as response:
            return json.load(response)["data"]

    def value(self, expr: str) -> float | None:
        """Return the one value of an instant query, None without any."""
        found = self.ask("query", query=expr)["result"]
        return float(found[0]["value"][1]) if found else None

    def is_scraping(self, count: int) -> bool:
        """Tell whether it has read so many targets."""
        try:
            active = self.ask("targets", state="active")["activeTargets"]
        except urllib.error.URLError:
            return False
        return [target["health"] for target in active] == ["up"] * count

    def over_time(self, expr: str) -> list[Any]:
        """Return what a panel's query came to in the last five minutes."""
        now = time.time()
        every = re.sub(r'="\$(namespace|release)"', '=~".*"', expr)
        found: list[Any] = self.ask(
            "query_range",
            query=every.replace("$__rate_interval", RATE_INTERVAL),
            start=str(now - 300),
            end=str(now),
            step="1",
        )["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule as it evaluates it."""
        groups = self.ask("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def unserved(self) -> list[str]:
        """Return what a rule names and nobody served in the last five minutes."""
        return [
            f"{rule['name']}: {selector}"
            for rule in self.rules()
            for selector in re.findall(r"inventory_\w+(?:{[^}]*})?", rule["query"])
            if not self.value(f"count(count_over_time({selector}[5m]))")
        ]


def panels() -> list[tuple[str, str]]:
    """Return every panel's query, with its dashboard and title."""
    return [
        (f"{path.stem}: {panel['title']}", target["expr"])
        for path in sorted((MONITORING / "dashboards").glob("*.json"))
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


def rules_written() -> int:
    """Return how many rules there are to be."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return sum(len(group["rules"]) for group in groups)
