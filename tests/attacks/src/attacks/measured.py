"""One attack between two times of peace, and what it did to honest clients and to memory."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.up import Up
from inventory_cli.up.layout import PROCESSES
from inventory_client import AsyncInventory, Inventory, Money, Password
from inventory_client.models import Role
from wire import bounds

from attacks.honest import HonestClients

PEACE_SECONDS = 1.5
ATTACK_SECONDS = 2.5
STARTED_SECONDS_MAX = 60.0  # for the attacker's start and its last answers: see YIELDING
KEPT_GOAL = 0.7  # of the honest clients' throughput
KEPT_MIN = 0.5  # likewise, on a machine that does other work as well
GATEWAY_MIB_MAX = 512  # the chart's limits
ASSISTANT_MIB_MAX = 256
NODE_MIB_MAX = 2_048
MALLORY = ("Mallory", "a password of an attacker")
KEEPER = ("Sarthak", "password2")
PLENTY = 10**9
RUNS_MAX = 3
YIELDING = ("nice", "-n", "10")
FULL_PAGE_ITEMS = 450  # of 8 kB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attack brought."""

    before: float  # orders a second of the honest clients
    during: float
    after: float
    problems: list[str]  # of the honest clients
    peak_mib: Mapping[str, int]  # resident memory of each process, by name, at its most
    said: Mapping[str, int]  # what the attacker counted

    @property
    def kept(self) -> float:
        """The part of the honest clients' throughput that was left during the attack."""
        return self.during / max(min(self.before, self.after), 1.0)

    def print(self, name: str) -> None:
        """Print the figures beside the goal."""
        figures = {
            "attack": name,
            "orders_per_second": [round(one) for one in (self.before, self.during, self.after)],
            "kept": round(self.kept, 2),
            "goal": KEPT_GOAL,
            "peak_mib": dict(self.peak_mib),
            "attacker": dict(self.said),
            "problems": self.problems[:3],
        }
        sys.stdout.write(json.dumps(figures) + "\n")


def pid_of(system: Up, name: str) -> int:
    """Return the process id of a process of the system."""
    return int((system.data / "run" / f"{name}.pid").read_text())


def forget_peaks(system: Up) -> None:
    """Let each process's peak of memory begin anew (proc(5), clear_refs)."""
    for name in PROCESSES:
        Path(f"/proc/{pid_of(system, name)}/clear_refs").write_text("5")


def peaks(system: Up) -> dict[str, int]:
    """Return each process's peak of resident memory in MiB."""
    found = {}
    for name in PROCESSES:
        lines = Path(f"/proc/{pid_of(system, name)}/status").read_text().splitlines()
        [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
        found[name] = int(peak) >> 10
    return found


def token_of(system: Up, username: str, password: str) -> str:
    """Return a token of a user."""
    with Inventory(system.address) as inventory:
        inventory.login(username, password)
        token = inventory.token
    if token is None:
        raise RuntimeError("a login gave no token")
    return token


def mallory(system: Up) -> str:
    """Return a token of a customer who attacks, made at the first call."""
    if MALLORY[0] not in {user.name for user in system.watcher.users()}:
        system.watcher.create_user(*MALLORY, Role.CUSTOMER)
    return token_of(system, *MALLORY)


def plenty(system: Up) -> int:
    """Return an item that does not run out."""
    with Inventory(system.address) as keeper:
        keeper.login(*KEEPER)
        return keeper.add_item("Grain of sand", "", Money("USD", 1), PLENTY).id


async def _fill(address: str) -> None:
    async with AsyncInventory(address, auth=Password(*KEEPER), timeout=60) as keeper:
        text = "\U0001f600" * bounds.DESCRIPTION_CHARACTERS_MAX
        price = Money("USD", 1)
        adding = (keeper.add_item(f"Box {one}", text, price, 1) for one in range(FULL_PAGE_ITEMS))
        await asyncio.gather(*adding)


def fill_pages(system: Up) -> None:
    """Add so many items with long descriptions that a page of them is as large as pages get."""
    asyncio.run(_fill(system.address))


async def _attack(system: Up, name: str, seconds: float, arguments: Mapping[str, object]) -> bytes:
    """Run an attack in a process of its own; return what it printed.

    The attacker yields to all others, as it would not run on the machine that it attacks.
    """
    settings = {"address": system.address, "seconds": seconds} | dict(arguments)
    command = (*YIELDING, sys.executable, "-m", "attacks", name, json.dumps(settings))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(STARTED_SECONDS_MAX + 4 * seconds):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the attack {name} ended with {process.returncode}")
    return out


async def _watched(
    system: Up, item: int, name: str, seconds: float, arguments: Mapping[str, object]
) -> Outcome:
    honest = HonestClients(system.address, item)
    await honest.log_in()
    forget_peaks(system)
    async with asyncio.TaskGroup() as group:
        group.create_task(honest.run())
        try:
            await asyncio.sleep(PEACE_SECONDS / 2)  # to warm up
            began = time.monotonic()
            await asyncio.sleep(PEACE_SECONDS)
            attacked = time.monotonic()
            out = await _attack(system, name, seconds, {"item": item} | dict(arguments))
            said = json.loads(out)
            start, end = said.pop("start"), said.pop("end")
            peace = time.monotonic()
            await asyncio.sleep(PEACE_SECONDS)
            done = time.monotonic()
        finally:
            honest.stop()
    works = honest.work.values()
    return Outcome(
        before=sum(work.rate(began, attacked) for work in works),
        during=sum(work.rate(start, end) for work in works),
        after=sum(work.rate(peace, done) for work in works),
        problems=[problem for work in works for problem in work.problems],
        peak_mib=peaks(system),
        said=said,
    )


def attacked(
    system: Up, item: int, name: str, seconds: float = ATTACK_SECONDS, **arguments: object
) -> Outcome:
    """Run the attack `name` of `programs` on a system in which honest clients work.

    Other work of the machine may take the honest clients' share in one run, so the attack has
    RUNS_MAX runs to show an effect on their throughput: it has one only if it has it in each.
    """
    runs = 0
    while True:
        runs += 1
        outcome = asyncio.run(_watched(system, item, name, seconds, arguments))
        outcome.print(name)
        if outcome.kept >= KEPT_MIN or runs == RUNS_MAX:
            return outcome
