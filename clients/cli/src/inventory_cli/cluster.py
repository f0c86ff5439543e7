"""`inventory cluster`: the members, and changes of them."""

import re
import time
from typing import Annotated

import typer
from inventory_client import Inventory, Member, Refused, Status

from inventory_cli import values
from inventory_cli.session import EXIT_REFUSED, connected, interrupted
from inventory_cli.terminal import say

LAG_ENTRIES_MAX = 1_000
RETRY_SECONDS = 0.5
ELECTION_SECONDS_MAX = 5.0
ELECTION_POLL_SECONDS = 0.05
WAIT_SECONDS_MAX = 86_400
CHANGE_REFUSED = "CHANGE_REFUSED"

cluster_app = typer.Typer(help="Look at the members and change them.", no_args_is_help=True)
MemberName = Annotated[str, typer.Argument(help="The member's name.", parser=values.member)]
LOOK = "Look with: inventory status"  # a change of the members has no request id

MEMBER_COLUMNS = ("member", "role", "standing", "term", "commit", "applied", "pid", "address")
MEMBER_COLUMNS_GOING = ("address", "standing", "applied", "pid", "term", "commit")


@cluster_app.command("add")
def add(
    context: typer.Context,
    name: MemberName,
    address: Annotated[
        str,
        typer.Argument(help="host:port, as the other members reach it.", parser=values.address),
    ],
) -> None:
    """Let a running member follow, without a vote (admins)."""
    with connected(context.obj) as inventory, interrupted(LOOK):
        say(f"{name} is a {inventory.add_member(name, address)}", err=True)


@cluster_app.command("promote")
def promote(context: typer.Context, name: MemberName) -> None:
    """Give a member that has caught up a vote (admins)."""
    with connected(context.obj) as inventory, interrupted(LOOK):
        say(f"{name} is a {inventory.promote_member(name)}", err=True)


@cluster_app.command("remove")
def remove(context: typer.Context, name: MemberName) -> None:
    """Let a member take part no longer; its process and its data stay where they are (admins)."""
    with connected(context.obj) as inventory, interrupted(LOOK):
        say(f"{name} is {inventory.remove_member(name)}", err=True)


@cluster_app.command("transfer")
def transfer(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="A voter; without one, the most caught-up.", parser=values.member),
    ] = None,
) -> None:
    """Let another member lead (admins)."""
    with connected(context.obj) as inventory, interrupted(LOOK):
        inventory.transfer_leadership(name or "")
        leader = _elected(inventory)
    say(f"{leader or 'nobody yet'} leads", err=True)


def _elected(inventory: Inventory) -> str:
    """Wait for a leader and return its name: the old leader stops before the next has its votes."""
    deadline = time.monotonic() + ELECTION_SECONDS_MAX
    while not (leader := inventory.status().leader) and time.monotonic() < deadline:
        time.sleep(ELECTION_POLL_SECONDS)
    return leader


@cluster_app.command("check")
def check(context: typer.Context) -> None:
    """Tell whether every voter is well, so that one may be stopped; exit status 1 where not."""
    with connected(context.obj) as inventory:
        problems = problems_of(inventory.status())
    for problem in problems:
        say(f"inventory: {problem}", err=True)
    if problems:
        raise typer.Exit(EXIT_REFUSED)
    say("every voter is well", err=True)


def problems_of(status: Status) -> list[str]:
    """Return a sentence for each reason against stopping a member."""
    leader = _leader(status)
    if leader is None:
        return ["no member leads: nothing can be changed until a majority is up"]
    members = {member.name: member for member in status.members}
    problems = []
    for name in leader.voters:
        member = members.get(name)
        if member is None or not member.reachable:
            problems.append(f"{name} has a vote and does not answer; start it, or remove it")
        elif member.leader != leader.name:
            problems.append(f"{name} follows {member.leader or 'nobody'}, and {leader.name} leads")
        elif member.diverged:
            problems.append(f"{name} is out of service: {member.diverged}; restart it")
        elif leader.commit_index - member.applied_index > LAG_ENTRIES_MAX:
            behind = leader.commit_index - member.applied_index
            problems.append(f"{name} is {behind} entries behind; wait until it has caught up")
    return problems


@cluster_app.command("verify")
def verify(
    context: typer.Context,
    wait: Annotated[
        float,
        typer.Option(
            help="Seconds that the members have to hash their states.",
            parser=values.seconds(1, WAIT_SECONDS_MAX),
        ),
    ] = 600,
) -> None:
    """Let all members hash their states and compare; exit status 1 on a difference (admins)."""
    with connected(context.obj) as inventory:
        problems = _verified(inventory, time.monotonic() + wait)
    for problem in problems:
        say(f"inventory: {problem}", err=True)
    if problems:
        raise typer.Exit(EXIT_REFUSED)
    say("every member holds the same state", err=True)


def _verified(inventory: Inventory, deadline: float) -> list[str]:
    """Make a checkpoint; return the differences of the members' states at its index."""
    index = inventory.checkpoint()
    while True:
        status = inventory.status()
        problems = differences_of(status, index)
        if problems is not None:
            return problems
        if time.monotonic() > deadline:
            return [f"not every member has hashed its state at {index} in time; ask again"]
        if any(one.state_hash and one.state_hash.index > index for one in status.members):
            index = inventory.checkpoint()  # another checkpoint came between
        time.sleep(RETRY_SECONDS)


def differences_of(status: Status, index: int) -> list[str] | None:
    """Return a sentence for each state at an index, if states differ, and for each silent voter.

    None: a member that answers and takes part has no hash at `index`.
    """
    leader = _leader(status)
    voters = leader.voters if leader is not None else ()
    silent = [one.name for one in status.members if not one.reachable and one.name in voters]
    there = [one for one in status.members if one.standing in {"voter", "learner"}]
    hashes: dict[str, list[str]] = {}
    for member in there:
        if member.state_hash is None or member.state_hash.index != index:
            return None
        hashes.setdefault(member.state_hash.sha256, []).append(member.name)
    problems = [f"{name} has a vote and does not answer" for name in silent]
    if len(hashes) > 1:
        for sha256, names in sorted(hashes.items(), key=lambda found: len(found[1])):
            problems.append(f"{', '.join(names)}: the state at index {index} has hash {sha256}")
    return problems


@cluster_app.command("scale-to")
def scale_to(
    context: typer.Context,
    count: Annotated[
        int, typer.Argument(help="How many members are to stay.", parser=values.whole(1))
    ],
) -> None:
    """Remove the members with the highest numbers, one at a time, while they still run (admins)."""
    with connected(context.obj) as inventory, interrupted(LOOK):
        for name in surplus_of(inventory.status(), count):
            _remove(inventory, name, context.obj.timeout)
            say(f"{name} is removed", err=True)


def surplus_of(status: Status, count: int) -> list[str]:
    """Return the members with numbers of `count` and more, the highest first: node-4, node-3.

    The leader names the voters, so that a voter that does not answer is among them.
    """
    names = {one.name for one in status.members if one.standing in {"voter", "learner"}}
    for member in status.members:
        if member.role == "leader":
            names |= set(member.voters)
    found = {}
    for name in sorted(names):
        numbered = re.fullmatch(r".*-(\d+)", name)
        if numbered:
            found[name] = int(numbered[1])
    surplus = [name for name, number in found.items() if number >= count]
    return sorted(surplus, key=lambda name: -found[name])


def _remove(inventory: Inventory, name: str, timeout: float) -> None:
    """Remove a member; try again while another change is under way."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            inventory.remove_member(name)
        except Refused as refused:
            if refused.reason != CHANGE_REFUSED or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def member_row(member: Member) -> tuple[object, ...]:
    """Return a member's cells in MEMBER_COLUMNS; None: unknown, or shown to admins alone."""
    if not member.reachable:
        return (member.name, "unreachable", None, None, None, None, None, member.address)
    return (
        member.name,
        member.role,
        member.standing,
        member.term,
        member.commit_index,
        member.applied_index,
        member.pid or None,
        member.address or None,
    )


def _leader(status: Status) -> Member | None:
    return next((one for one in status.members if one.name == status.leader), None)
