"""When `inventory up` is ready, and which members it names as missing."""

from pathlib import Path

import pytest
from inventory.v1 import cluster_pb2
from inventory_cli.up import view
from inventory_cli.up.layout import Layout
from inventory_cli.up.processes import Child, Children
from inventory_cli.up.readiness import STRAGGLER_SECONDS, Readiness, missing_of
from inventory_cli.up.view import StatusPoller
from inventory_client import Inventory, Member, Status, Unauthenticated
from pki.identities import Kind, ProcessIdentity

VOTERS = ("node-0", "node-1", "node-2")


def status(following: str, leader: str = "node-0", voters: tuple[str, ...] = VOTERS) -> Status:
    """Return a cluster in which the members with these numbers follow the leader."""
    members = tuple(
        Member.from_wire(
            cluster_pb2.Member(
                name=name,
                reachable=name[-1] in following,
                leader=leader if name[-1] in following else "",
                voters=voters,
            )
        )
        for name in VOTERS
    )
    return Status("c", members, leader, "")


@pytest.mark.parametrize(
    ("seen", "missing"),
    [
        (None, None),
        (status("012"), set()),
        (status("01"), {"node-2"}),
        (status("0"), None),
        (status("12", leader=""), None),
        (status("01", voters=("node-0", "node-1")), set()),  # node-2 was removed
        (status("012", voters=(*VOTERS, "node-3")), {"node-3"}),
        (status("01", voters=(*VOTERS, "node-3")), None),  # half of four
    ],
)
def test_a_leader_and_a_majority_are_enough(seen: Status | None, missing: set[str] | None) -> None:
    """A leader and a majority of the voters make the system ready."""
    assert missing_of(seen) == missing


@pytest.fixture
def children() -> Children:
    """Return three started members."""
    run = Path("/data/run")
    return Children(
        [
            Child(name=name, environment={}, log=run / f"{name}.log", lock=0, starts=1)
            for name in VOTERS
        ]
    )


def test_who_is_slow_is_waited_for(children: Children) -> None:
    """A member that comes within the wait is not missing."""
    readiness = Readiness(children)
    readiness.update(status("01"), 10.0)
    assert not readiness.is_ready
    readiness.update(status("012"), 10.2)
    assert readiness.is_ready
    assert readiness.troubles() == []


def test_who_is_too_slow_is_said_until_it_comes(children: Children) -> None:
    """The line names the member, and the log of a member that `inventory up` started."""
    readiness = Readiness(children)
    readiness.update(status("01"), 10.0)
    readiness.update(status("01"), 10.0 + STRAGGLER_SECONDS)
    assert readiness.is_ready
    said = "node-2 is missing, the others serve without it; its log is /data/run/node-2.log"
    assert readiness.troubles() == [said]
    readiness.update(None, 20.0)
    readiness.update(status("12", leader="node-1"), 21.0)
    assert readiness.troubles() == []
    assert children.notes == ["node-2 is there"]


def test_who_died_is_not_waited_for(children: Children) -> None:
    """The supervisor saw the member die, so the start does not wait for the member."""
    children.children[2].died_at = 9.0
    readiness = Readiness(children)
    readiness.update(status("01"), 10.0)
    assert readiness.is_ready
    children.children[2].died_at, children.children[2].starts = None, 2
    again = Readiness(children)
    again.update(status("01"), 12.0)
    assert again.is_ready


def test_a_member_of_somebody_else_has_its_log_elsewhere(children: Children) -> None:
    """An operator added the member by hand."""
    readiness = Readiness(children)
    four = (*VOTERS, "node-3")
    readiness.update(status("012", voters=four), 10.0)
    readiness.update(status("012", voters=four), 10.0 + STRAGGLER_SECONDS)
    assert readiness.troubles() == ["node-3 is missing, the others serve without it"]


def test_the_watcher_asks_on_after_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It shows why there is no status, and the next status."""
    monkeypatch.setattr(view, "ASK_PAUSE_SECONDS", 0)
    layout = Layout(tmp_path)
    layout.pki.make("tests")
    layout.pki.issue(ProcessIdentity(Kind.HEALTH))
    said: list[str] = []
    poller = StatusPoller("127.0.0.1:1", layout)

    def get_status(_: Inventory) -> Status:
        said.append(poller.trouble)
        if len(said) == 1:
            raise Unauthenticated("The token has expired.")
        poller.stop()
        return status("012")

    monkeypatch.setattr(Inventory, "status", get_status)
    poller.start()
    poller.wait()
    assert said == ["", "The token has expired."]
    assert poller.status == status("012")
