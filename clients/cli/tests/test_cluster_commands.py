"""The judgements of `inventory cluster check` and `scale-to` on a status."""

from inventory_cli.cluster import differences_of, problems_of, surplus_of
from inventory_client import Member, Status
from inventory_client.models import StateHash

VOTERS = ("node-0", "node-1", "node-2")


def member(name: str, **change: object) -> Member:
    """Return a healthy member with some fields changed."""
    facts: dict[str, object] = {
        "name": name,
        "address": "a:1",
        "reachable": True,
        "role": "leader" if name == "node-0" else "follower",
        "term": 3,
        "leader": "node-0",
        "commit_index": 5_000,
        "applied_index": 5_000,
        "durable_index": 5_000,
        "pid": 1,
        "version": "1",
        "state_hash": None,
        "standing": "voter",
        "id": 7,
        "voters": VOTERS,
    }
    return Member(**{**facts, **change})  # type: ignore[arg-type]  # by name


def status(*members: Member, leader: str = "node-0") -> Status:
    """Return the status of a cluster with these members."""
    return Status("c", members, leader, "")


WELL = [member(name) for name in VOTERS]


def test_every_voter_has_to_be_well() -> None:
    """Each problem names the member and says what to do."""
    assert problems_of(status(*WELL)) == []
    assert "no member leads" in problems_of(status(*WELL, leader=""))[0]
    silent = member("node-2", reachable=False, leader="", standing="")
    assert problems_of(status(*WELL[:2], silent)) == [
        "node-2 has a vote and does not answer; start it, or remove it"
    ]
    assert problems_of(status(*WELL[:2])) == [
        "node-2 has a vote and does not answer; start it, or remove it"
    ]
    lost = member("node-2", leader="")
    assert problems_of(status(*WELL[:2], lost)) == ["node-2 follows nobody, and node-0 leads"]
    late = member("node-2", applied_index=3_999)
    assert "node-2 is 1001 entries behind" in problems_of(status(*WELL[:2], late))[0]
    other = member("node-2", diverged="its state differs")
    assert "node-2 is out of service" in problems_of(status(*WELL[:2], other))[0]


def test_who_has_no_vote_forbids_nothing() -> None:
    """A removed member may be down for good."""
    gone = member("node-3", reachable=False, leader="", standing="")
    assert problems_of(status(*WELL, gone)) == []


def test_the_highest_numbers_go_first() -> None:
    """Names are ordered by their numbers: 10 is above 9. A removed member stays removed."""
    names = ("inventory-node-9", "inventory-node-10", "inventory-node-2")
    members = [member(name) for name in names]
    assert surplus_of(status(*members), 3) == ["inventory-node-10", "inventory-node-9"]
    assert surplus_of(status(*members), 11) == []
    removed = member("inventory-node-11", standing="removed")
    learner = member("inventory-node-12", standing="learner")
    assert surplus_of(status(removed, learner), 3) == ["inventory-node-12"]


def test_a_voter_that_does_not_answer_leaves_too() -> None:
    """The voter's pod will go, and the voter's vote must go with the pod."""
    silent = member("node-4", reachable=False, standing="", voters=())
    five = (*VOTERS, "node-3", "node-4")
    leader = member("node-0", voters=five)
    assert surplus_of(status(leader, member("node-3"), silent), 3) == ["node-4", "node-3"]


def test_states_are_compared_at_the_index_that_was_asked_for() -> None:
    """Members that differ and silent members are named; removed members do not count."""
    same, other = StateHash(7, "aa"), StateHash(7, "bb")
    agree = [member(name, state_hash=same) for name in VOTERS]
    removed = member("node-3", standing="removed", state_hash=StateHash(3, "cc"))
    assert differences_of(status(*agree, removed), 7) == []
    assert differences_of(status(*agree), 8) is None
    assert differences_of(status(*agree[:2], member("node-2")), 7) is None
    silent = member("node-2", reachable=False, standing="")
    assert differences_of(status(*agree[:2], silent), 7) == [
        "node-2 has a vote and does not answer"
    ]
    assert differences_of(status(*agree[:2], member("node-2", state_hash=other)), 7) == [
        "node-2: the state at index 7 has hash bb",
        "node-0, node-1: the state at index 7 has hash aa",
    ]
