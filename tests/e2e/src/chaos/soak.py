"""Real processes under random faults and load, for a given time: `make soak MINUTES=n`.

The time is divided into portions. Each portion has its own items and history, so that the search
for an order of instants stays short, and is judged before the next portion begins. The seed draws
the faults and the clients' operations. The timing of real processes is not repeatable.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from subprocess import TimeoutExpired

from inventory_cli.up.layout import MEMBERS
from inventory_client import InventoryError
from inventory_node.runtime.failpoints import POINTS

from chaos.cluster import GATEWAY, ProcessCluster
from chaos.judging import judge
from chaos.watched import POLL_SECONDS, SETTLE_SECONDS_MAX, NotSettled

CLIENTS = 4
PORTION_SECONDS = 20.0
PAUSE_SECONDS_MAX = 2.5
REST_SECONDS_MAX = 0.5
REACH_SECONDS_MAX = 6.0
OFTEN = ("wal-write", "wal-sync", "send", "apply")
PASSES_MAX = 60  # of a frequent step before the failpoint acts
SLEEP_MS_MAX = 8
SLOW_POINTS = 4
SLOW_SECONDS_MAX = 3.0
SEEDS = 1_000_000
SETTINGS = {  # make files, snapshots and cuts frequent
    "INVENTORY_RAFT_SEGMENT_BYTES": str(32 << 10),
    "INVENTORY_RAFT_TAIL_ENTRIES": "64",
}


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class SoakFaults:
    """Faults of a cluster, drawn from a seed; each fault leaves every process running."""

    def __init__(self, cluster: ProcessCluster, seed: int) -> None:
        """Draw from `seed`."""
        self._cluster = cluster
        self._random = random.Random(seed)
        self._kinds = (
            self.kill,
            self.kill,
            self.pause,
            self.stop,
            self.lead,
            self.die_at_a_step,
            self.die_at_a_step,
            self.slow,
            self.wipe,
            self.remove,
            self.kill_gateway,
            self.kill_all,
            self.strike_twice,
        )
        self.counts: Counter[str] = Counter()
        self.done: list[str] = []  # the faults of this portion

    def strike(self) -> None:
        """Draw and do a fault, and wait until every member is well again."""
        leader = self._cluster.leader().name
        name = self._random.choice([leader, leader, *MEMBERS])
        kind = self._random.choice(self._kinds)
        what = kind(name)
        self.counts[kind.__name__] += 1
        self.done.append(f"{what} (the leader)" if leader in what else what)
        self._cluster.wait_until_whole()
        time.sleep(self._random.random() * REST_SECONDS_MAX)

    def kill(self, name: str) -> str:
        """SIGKILL."""
        self._cluster.kill(name)
        self._cluster.start(name)
        return f"{name} killed"

    def pause(self, name: str) -> str:
        """SIGSTOP for a while, then SIGCONT."""
        self._cluster.signal(name, signal.SIGSTOP)
        time.sleep(self._random.random() * PAUSE_SECONDS_MAX)
        self._cluster.signal(name, signal.SIGCONT)
        return f"{name} paused"

    def stop(self, name: str) -> str:
        """SIGTERM: the member ends by itself, with status 0."""
        status = self._cluster.stop(name)
        assert status == 0, f"{name} ended with {status}: {self._cluster.last_words(name)}"
        self._cluster.start(name)
        return f"{name} stopped"

    def lead(self, name: str) -> str:
        """Let a member lead."""
        self._cluster.lead(name)
        return f"{name} made leader"

    def die_at_a_step(self, name: str) -> str:
        """Let a member die at a step of a write."""
        point = self._random.choice(POINTS)
        often = point.endswith(OFTEN)
        setting = f"{point}={self._random.randrange(PASSES_MAX) if often else 0}*off->kill"
        self._cluster.kill(name)
        self._cluster.start(name, setting)
        what = "died at"
        try:
            self._cluster.wait_until_dead(name, REACH_SECONDS_MAX)
            self.counts["failpoints reached"] += 1
        except TimeoutExpired:  # not every step comes in every portion
            what = "killed before"
            self._cluster.kill(name)
        self._cluster.start(name)
        return f"{name} {what} {setting}"

    def slow(self, name: str) -> str:
        """Let a member sleep at some steps, as with a slow disk or network; it may lead."""
        points = self._random.sample(POINTS, SLOW_POINTS)
        sleeps = [f"{point}=sleep({self._random.randint(1, SLEEP_MS_MAX)})" for point in points]
        leads, seconds = self._random.random() < 1 / 2, self._random.random() * SLOW_SECONDS_MAX
        self._cluster.kill(name)
        self._cluster.start(name, ";".join(sleeps))
        self._cluster.wait_until_whole()
        if leads:
            self._cluster.lead(name)
        time.sleep(seconds)
        self._cluster.kill(name)
        self._cluster.start(name)
        return f"{name} slowed by {';'.join(sleeps)}{' as leader' if leads else ''}"

    def strike_twice(self, name: str) -> str:
        """While a member is away, kill the gateway or move the lead: the other members go on."""
        other = self._random.choice([one for one in MEMBERS if one != name])
        second = self._random.choice((self.kill_gateway, self.lead))
        if is_paused := self._random.random() < 1 / 2:
            self._cluster.signal(name, signal.SIGSTOP)
        else:
            self._cluster.kill(name)
        try:
            what = second(other)
            time.sleep(self._random.random() * PAUSE_SECONDS_MAX)
        finally:
            if is_paused:
                self._cluster.signal(name, signal.SIGCONT)
        if not is_paused:
            self._cluster.start(name)
        return f"{name} {'paused' if is_paused else 'killed'}, meanwhile {what}"

    def wipe(self, name: str) -> str:
        """Lose a volume; the member joins anew."""
        self._cluster.kill(name)
        self._cluster.wipe(name)
        self._cluster.start(name)
        return f"{name} wiped"

    def remove(self, name: str) -> str:
        """Remove a member, which joins anew."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            try:
                self._cluster.watcher.remove_member(name)
            except InventoryError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                break
        status = self._cluster.stop(name)
        assert status == 0, f"{name} ended with {status}: {self._cluster.last_words(name)}"
        self._cluster.start(name)
        return f"{name} removed"

    def kill_gateway(self, _: str) -> str:
        """Kill and start the gateway."""
        self._cluster.kill(GATEWAY)
        self._cluster.start(GATEWAY)
        return "gateway killed"

    def kill_all(self, _: str) -> str:
        """SIGKILL every member at once."""
        for name in MEMBERS:
            self._cluster.signal(name, signal.SIGKILL)
        for name in MEMBERS:
            self._cluster.wait_until_dead(name)
            self._cluster.start(name)
        return "all killed"


class Soak:
    """Portions, one after the other, and their totals."""

    def __init__(self, cluster: ProcessCluster, folder: Path, seed: int) -> None:
        """Keep histories in `folder`."""
        self._cluster = cluster
        self._folder = folder
        self._seed = seed
        self.faults = SoakFaults(cluster, seed)
        self.portions = 0
        self.seen: Counter[str] = Counter()

    def portion(self, seconds: float) -> None:
        """Work for so long under faults, then judge; AssertionError, NotSettled: a violation."""
        self.portions += 1
        folder = self._folder / f"portion-{self.portions}"
        folder.mkdir()
        ends = time.monotonic() + seconds
        self.faults.done.clear()

        async def faults() -> None:
            while time.monotonic() < ends:
                await asyncio.to_thread(self.faults.strike)

        seed = self._seed + self.portions * SEEDS
        tally = judge(self._cluster, folder, faults, clients=CLIENTS, seed=seed)
        self.seen["acknowledged"] += tally.acknowledged
        self.seen["refused"] += tally.refused
        self.seen["read"] += tally.reads
        self.seen["of unknown outcome"] += len(tally.unknown)

    def summary(self, minutes: float) -> str:
        """Return the totals, in one line."""
        faults = ", ".join(
            f"{count} {kind.replace('_', ' ')}"
            for kind, count in sorted(self.faults.counts.items())
        )
        seen = ", ".join(f"{count} {what}" for what, count in self.seen.items())
        return (
            f"seed {self._seed}, {minutes:.1f} minutes, {self.portions} portions; {seen}; {faults}"
        )


def run(folder: Path, minutes: float, seed: int) -> bool:
    """Run portions for some minutes and print their results; return whether all held."""
    say(f"soak: seed {seed}, data and histories in {folder}")
    with ProcessCluster(folder / "data", **SETTINGS) as cluster:
        began = time.monotonic()
        ends = began + minutes * 60
        soak = Soak(cluster, folder, seed)
        problem = ""
        while not problem and (left := ends - time.monotonic()) > 0:
            try:
                soak.portion(min(left, PORTION_SECONDS))
            except (AssertionError, NotSettled, InventoryError, ExceptionGroup):
                problem = traceback.format_exc()
            faults = "; ".join(soak.faults.done)
            say(f"soak: portion {soak.portions} {'FAILED' if problem else 'held'}: {faults}")
    summary = soak.summary((time.monotonic() - began) / 60)
    if problem:
        say(problem)
        say(f"soak: FAILED in portion {soak.portions}: {summary}")
        return False
    say(f"soak: nothing lost, doubled, oversold or out of order, states equal: {summary}")
    return True


def main() -> int:
    """Read the arguments and run; return 0 when all held, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="what is drawn; another each time if not given")
    options = parser.parse_args()
    seed = random.randrange(SEEDS) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="soak-"))  # kept, for whoever looks into a failure
    return 0 if run(folder, options.minutes, seed) else 1


if __name__ == "__main__":
    sys.exit(main())
