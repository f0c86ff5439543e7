"""The rules: from facts to findings, each with what is wrong and what to do."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster_health import findings as rules
from cluster_health import page
from cluster_health.facts import (
    Canary,
    Facts,
    KnownMembership,
    Member,
    lead_of,
    membership_of,
    voters_of,
)
from cluster_health.findings import Severity, findings, recent_elections
from cluster_health.serving import COMMIT_MS_MAX, LAG_ENTRIES_MAX, serving
from inventory.v1 import cluster_pb2

VOTERS = ("node-0", "node-1", "node-2")
LEADER = cluster_pb2.MEMBER_ROLE_LEADER
FOLLOWER = cluster_pb2.MEMBER_ROLE_FOLLOWER
VOTER = cluster_pb2.MEMBER_STANDING_VOTER
LEARNER = cluster_pb2.MEMBER_STANDING_LEARNER
UNSPECIFIED = cluster_pb2.MEMBER_STANDING_UNSPECIFIED
JOINING = cluster_pb2.MEMBER_STANDING_JOINING
NOW_MS = 1_800_000_000_000
ROOT = Path(__file__).resolve().parents[3]


def member(name: str, **change: Any) -> Member:  # noqa: ANN401 - fields of a message
    """Return a healthy member with some fields changed; node-0 leads term 3."""
    known: dict[str, Any] = {
        "name": name,
        "reachable": True,
        "role": LEADER if name == "node-0" else FOLLOWER,
        "standing": VOTER,
        "term": 3,
        "leader": "node-0",
        "voters": VOTERS,
        "commit_index": 500,
        "applied_index": 500,
        "last_log_index": 500,
        "volume": cluster_pb2.Volume(size_bytes=1_000, free_bytes=600),
        "clock_skew_ms": 3,
        "version": "0.1.0",
    }
    return cluster_pb2.Member(**{**known, **change})


def facts(*changed: Member, gone: tuple[str, ...] = (), **change: Any) -> Facts:  # noqa: ANN401 - fields
    """Return facts of three members, with some members changed or silent."""
    members: dict[str, Member | None] = {name: member(name) for name in VOTERS}
    members |= {one.name: one for one in changed}
    members |= dict.fromkeys(gone)
    ok = Canary(ok=True, seconds=0.004)
    known: dict[str, Any] = {"assistant": True, "writes": ok, "reads": ok, "replicas": 3, "pods": 3}
    return Facts(members=members, at_ms=NOW_MS, **{**known, **change})


def kinds(known: Facts) -> list[str]:
    """Return the kinds of the findings on these facts."""
    return [one.kind for one in findings(known)]


def test_where_all_is_well_nothing_is_said() -> None:
    """And everything serves."""
    assert findings(facts()) == []
    assert all(serving(facts()).values())
    assert serving(facts()).keys() == {"cluster", "writes", "reads", *(f"node/{n}" for n in VOTERS)}
    assert lead_of(facts()) is not None


def test_two_leaders_of_one_term_are_found_though_they_were_seen_one_after_the_other() -> None:
    """Leaders of two terms are no finding: every election has a leader before and after."""
    led = {2: frozenset({"node-1"}), 3: frozenset({"node-0", "node-1"})}
    [found] = findings(facts(led=led))
    assert (found.kind, found.severity, found.about) == ("two_leaders", Severity.CRITICAL, "3")
    assert "node-0 and node-1 both led term 3" in found.says
    assert findings(facts(led={2: frozenset({"node-1"}), 3: frozenset({"node-0"})})) == []


def test_hashes_are_compared_at_equal_indexes() -> None:
    """The minority is named. Without a majority every member with a hash is named."""

    def hashed(name: str, sha256: str, index: int = 7) -> Member:
        return member(name, state_hash=cluster_pb2.StateHash(index=index, sha256=sha256))

    [found] = findings(facts(hashed("node-0", "a"), hashed("node-1", "a"), hashed("node-2", "b")))
    assert found.kind == "states_differ"
    assert "node-2 differs from the others" in found.says
    assert "node-0" not in found.says
    [found] = findings(facts(hashed("node-0", "a"), hashed("node-1", "b")))
    assert "node-0 and node-1 differ" in found.says
    assert findings(facts(hashed("node-0", "a"), hashed("node-1", "b", index=8))) == []


def test_a_member_that_took_itself_out_of_service_is_told() -> None:
    """The finding has the member's own words."""
    known = facts(member("node-1", diverged="at index 9 its state is another"))
    [found] = findings(known)
    assert (found.kind, found.about) == ("diverged", "node-1")
    assert "at index 9 its state is another" in found.says
    assert not serving(known)["node/node-1"]


def test_a_missing_member_is_found_and_how_near_the_quorum_is() -> None:
    """One of three is missing: writes go on, and one more loss would stop them."""
    known = facts(gone=("node-2",))
    assert kinds(known) == ["member_missing", "quorum_at_risk"]
    assert "`inventory cluster remove node-2`" in findings(known)[0].remedy
    assert serving(known) == {
        "cluster": True, "writes": True, "reads": True,
        "node/node-0": True, "node/node-1": True, "node/node-2": False,
    }  # fmt: skip
    five = tuple(f"node-{number}" for number in range(5))
    all_five = [member(name, voters=five) for name in five]
    known = facts(*all_five, gone=("node-4",), replicas=5, pods=5)
    assert kinds(known) == ["member_missing"]


def test_without_a_majority_nobody_leads_whatever_a_member_takes_itself_for() -> None:
    """A leader that was cut off still says that it leads."""
    known = facts(gone=("node-1", "node-2"))
    assert lead_of(known) is None
    assert kinds(known) == ["no_leader", "member_missing", "member_missing"]
    assert "1 of 3 voters answer, and it takes 2" in findings(known)[0].says
    assert not serving(known)["cluster"]
    apart = facts(member("node-1", leader="", term=4), member("node-2", leader="", term=4))
    assert kinds(apart) == ["no_leader"]
    assert "an election may be under way" in findings(apart)[0].remedy


def test_a_follower_of_somebody_else_is_found() -> None:
    """The member is cut off, maybe in one direction only."""
    assert kinds(facts(member("node-2", leader=""))) == ["member_apart"]
    assert "follows nobody" in findings(facts(member("node-2", leader="")))[0].says


def test_a_leader_that_commits_nothing_is_found() -> None:
    """The leader is at fault only while something waits to be committed."""
    known = facts(waiting_ms=COMMIT_MS_MAX)
    assert kinds(known) == ["no_commit"]
    assert not serving(known)["cluster"]
    assert serving(facts(waiting_ms=COMMIT_MS_MAX - 1))["cluster"]


def test_voters_are_held_against_what_should_be_there() -> None:
    """Voters are compared with the settings and the started pods; 0 and unknown do not count."""
    assert kinds(facts(replicas=5)) == ["voters_differ"]
    [found] = findings(facts(pods=2))
    assert found.says.startswith("voters ≠ replicas: 3 members have a vote, and 2 were started")
    assert "Scale back to 3" in found.remedy
    for change in ({"replicas": None}, {"replicas": 0}, {"pods": 0}, {"pods": None}, {"pods": 5}):
        assert findings(facts(**change)) == []


def test_voters_are_held_against_what_was_started_where_nobody_leads() -> None:
    """After `kubectl scale` from five to two, the remedy is to scale back, not to start members."""
    five = tuple(f"node-{number}" for number in range(5))
    left = [member(name, role=FOLLOWER, leader="", voters=five) for name in five[:2]]
    known = facts(*left, gone=five[2:], replicas=5, pods=2)
    assert kinds(known)[:2] == ["no_leader", "voters_differ"]
    found = findings(known)[1]
    assert found.severity is Severity.CRITICAL
    assert found.says.startswith("voters ≠ replicas: 5 members have a vote, and 2 were started")
    assert "Scale back to 5" in found.remedy
    assert "voters_differ" not in kinds(replace(known, pods=5))


def test_voters_that_a_rollback_left_behind_come_back_before_they_are_removed() -> None:
    """An upgrade is refused as long as the voters do not answer."""
    five = tuple(f"node-{number}" for number in range(5))
    there = [member(name, voters=five) for name in five[:3]]
    known = facts(*there, gone=five[3:], replicas=3, pods=3)
    [found] = [one for one in findings(known) if one.kind == "voters_differ"]
    assert found.severity is Severity.WARNING
    assert "Scale back to 5" in found.remedy


def test_voters_are_remembered_when_nobody_answers() -> None:
    """The cluster shrank from three to one, and the one is down: the remedy is no scaling."""
    membership = KnownMembership(3, 500, ("node-0",), ())
    known = Facts(members={"node-0": None}, at_ms=NOW_MS, membership=membership, replicas=1, pods=1)
    assert kinds(known) == ["no_leader", "member_missing"]
    assert "0 of 1 voters answer, and it takes 1" in findings(known)[0].says
    assert findings(known)[1].about == "node-0"
    assert serving(known).keys() == {"cluster", "writes", "reads", "node/node-0"}


@pytest.mark.parametrize(
    ("replicas", "says"),
    [(1, "no member answers; there should be 1."), (None, "no member answers.")],
)
def test_where_nobody_ever_said_who_votes_nobody_is_named(replicas: int | None, says: str) -> None:
    """Health began anew while no member answers: the first members may have left since."""
    known = facts(gone=VOTERS, replicas=replicas, pods=1)
    [found] = findings(known)
    assert found.kind == "no_leader"
    assert found.says == f"No majority follows a leader: {says}"
    assert found.remedy.startswith("Start the members;")
    assert membership_of(known) is None
    assert voters_of(known) == ()


def test_members_that_do_not_know_who_votes_are_counted() -> None:
    """The members come up on empty volumes; health can only say how many members answer."""
    empty = {"role": FOLLOWER, "standing": JOINING, "leader": "", "voters": (), "term": 0}
    one = member("node-0", **empty)
    two = member("node-1", **empty)
    [found] = findings(facts(one, gone=VOTERS[1:]))
    assert "1 answers, and none says who has a vote; there should be 3." in found.says
    assert found.remedy == "Start the members that do not answer."
    [found] = findings(facts(one, gone=VOTERS[1:], replicas=None))
    assert found.remedy == "Start the members that do not answer."
    [found] = findings(facts(one, two, gone=VOTERS[2:], replicas=2))
    assert "2 answer, and none says" in found.says
    assert "an election may be under way" in found.remedy


def test_who_knows_the_highest_term_and_the_longest_log_says_who_votes() -> None:
    """Answers and memory are compared by term and log; a leader's answer is above both."""
    apart = {"role": FOLLOWER, "leader": ""}
    for before, voters in (
        (KnownMembership(3, 501, ("node-0",), ()), ("node-0",)),
        (KnownMembership(3, 500, ("node-0",), ()), ("node-0",)),
        (KnownMembership(3, 499, ("node-0",), ()), VOTERS),
        (KnownMembership(2, 900, ("node-0",), ()), VOTERS),
    ):
        left = facts(member("node-2", **apart), gone=VOTERS[:2], membership=before)
        assert voters_of(left) == voters
    led = facts(membership=KnownMembership(9, 900, ("node-0",), ()))
    assert voters_of(led) == VOTERS
    assert findings(led) == []


def test_paused_members_are_no_trouble() -> None:
    """No member should run: none is missing, and nothing differs."""
    known = facts(gone=VOTERS, replicas=0, pods=None, writes=Canary(ok=False, seconds=3, why="x"))
    [found] = findings(known)
    assert (found.kind, found.severity) == ("paused", Severity.NOTICE)
    assert not serving(known)["writes"]
    assert kinds(facts(gone=VOTERS))[0] == "no_leader"


def test_a_lag_is_what_the_leader_committed_and_a_member_has_not_applied() -> None:
    """A lag of exactly `LAG_ENTRIES_MAX` is no finding."""
    commit = LAG_ENTRIES_MAX + 100
    leader = member("node-0", commit_index=commit, applied_index=commit, last_log_index=commit)
    near = member("node-1", applied_index=100)
    far = member("node-2", applied_index=99)
    known = facts(leader, near, far)
    [found] = findings(known)
    assert (found.kind, found.about) == ("member_lags", "node-2")
    assert "10,001 entries behind" in found.says
    answers = serving(known)
    assert (answers["node/node-1"], answers["node/node-2"]) == (True, False)


@pytest.mark.parametrize(
    ("free", "severity"),
    [(150, None), (149, Severity.WARNING), (50, Severity.WARNING), (49, Severity.CRITICAL)],
)
def test_a_disk_that_fills_is_found_before_it_is_full(free: int, severity: Severity | None) -> None:
    """The finding is a warning first, and critical later."""
    volume = cluster_pb2.Volume(size_bytes=1_000, free_bytes=free)
    found = findings(facts(member("node-1", volume=volume)))
    assert [(one.kind, one.severity) for one in found] == (
        [("disk_filling", severity)] if severity else []
    )


def test_a_member_that_has_not_looked_at_its_disk_or_clock_is_not_accused() -> None:
    """An absent measurement does not count as zero."""
    known = member("node-1")
    known.ClearField("volume")
    known.ClearField("clock_skew_ms")
    assert findings(facts(known)) == []


@pytest.mark.parametrize(("skew_ms", "way"), [(1_001, "ahead of"), (-4_200, "behind")])
def test_a_clock_that_is_off_is_found(skew_ms: int, way: str) -> None:
    """The clock is ahead or behind."""
    [found] = findings(facts(member("node-2", clock_skew_ms=skew_ms)))
    assert found.kind == "clock_skew"
    assert way in found.says
    assert findings(facts(member("node-2", clock_skew_ms=skew_ms // abs(skew_ms) * 1_000))) == []


def election(term: int, age_s: int) -> cluster_pb2.Election:
    """Return an election that was seen `age_s` seconds ago."""
    made = cluster_pb2.Election(term=term, leader="node-0")
    made.see_time.FromMilliseconds(NOW_MS - age_s * 1_000)
    return made


def test_many_elections_are_counted_once_each() -> None:
    """Every member remembers elections; the member that saw an election first gives its time."""
    one = member("node-0", elections=[election(1, 900), election(2, 300), election(3, 100)])
    two = member("node-1", elections=[election(2, 299), election(3, 101)])
    assert findings(facts(one, two)) == []
    recent = recent_elections(facts(one, two))
    assert [one.term for one in recent] == [3, 2, 1]
    assert recent[0].see_time == election(3, 101).see_time
    two.elections.extend([election(4, 3), election(5, 2)])
    assert findings(facts(one, two)) == []
    two.elections.append(election(6, 1))
    assert kinds(facts(one, two)) == ["elections"]


def test_members_on_empty_volumes_are_told_from_a_first_start() -> None:
    """Two of three lost their data: nothing may be elected, and the runbook is named."""
    empty = {"standing": JOINING, "leader": "", "voters": (), "term": 0}
    lost = [member(name, **empty) for name in VOTERS[1:]]
    alone = member("node-0", role=FOLLOWER, leader="")
    found = findings(facts(alone, *lost))
    assert [one.kind for one in found] == ["volumes_lost", "no_leader"]
    assert "node-1 and node-2 have come up on an empty volume" in found[0].says
    first = [member(name, role=FOLLOWER, **empty) for name in VOTERS]
    assert kinds(facts(*first)) == ["no_leader"]
    opening = [member(name, **empty | {"standing": UNSPECIFIED}) for name in VOTERS[1:]]
    assert kinds(facts(alone, *opening)) == ["no_leader"]
    begun = member("node-0", role=FOLLOWER, leader="", term=0)
    assert kinds(facts(begun, *lost)) == ["no_leader"]


def test_a_removed_member_is_not_missed() -> None:
    """A member without a vote may be silent."""
    two = ("node-0", "node-1")
    members = [member(name, voters=two) for name in two]
    assert findings(facts(*members, gone=("node-2",), replicas=2, pods=2)) == []


def test_a_learner_serves_and_is_no_voter() -> None:
    """A learner follows the leader."""
    known = facts(member("node-3", standing=LEARNER))
    assert findings(known) == []
    assert serving(known)["node/node-3"]
    assert voters_of(known) == VOTERS


def test_what_is_around_the_members_is_told_with_what_it_means() -> None:
    """A lost gateway is urgent, a lost assistant is not; an unwatched assistant is not missed."""
    failed = Canary(ok=False, seconds=3, why="nobody answers")
    known = facts(gateway=False, assistant=False, writes=failed, reads=failed)
    assert kinds(known) == ["gateway_down", "writes_fail", "reads_fail", "assistant_down"]
    assert "nobody answers" in findings(known)[1].says
    assert findings(facts(assistant=None)) == []
    assert serving(known) == serving(facts()) | {"writes": False, "reads": False}


def test_before_the_first_try_nothing_serves_and_nothing_is_wrong() -> None:
    """A health process that has just started knows nothing."""
    known = facts(writes=None, reads=None)
    assert findings(known) == []
    assert not serving(known)["writes"]
    assert page.headline(known, []) == "Looking for the first time."


def test_the_worst_comes_first() -> None:
    """Findings are ordered by severity, whatever the order of the rules."""
    volume = cluster_pb2.Volume(size_bytes=100, free_bytes=1)
    known = facts(member("node-1", volume=volume), assistant=False)
    assert kinds(known) == ["disk_filling", "assistant_down"]


def test_every_finding_has_a_runbook_and_every_runbook_a_finding() -> None:
    """And each is told of in docs/operating.md."""
    text = Path(rules.__file__).read_text()
    there = {path.stem for path in page.RUNBOOKS.glob("*.md")}
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)",\n', text)) & (there | {"no-such"})
    assert named == there
    for found in every_finding():
        assert found.runbook in there, found
    operating = (ROOT / "docs" / "operating.md").read_text()
    for name in there:
        assert f"runbooks/{name}.md" in operating, name


def every_finding() -> list[rules.Finding]:
    """Return findings of many kinds."""
    failed = Canary(ok=False, seconds=3, why="no")
    known = facts(
        member("node-1", diverged="it differs", clock_skew_ms=9_000),
        gone=("node-2",),
        led={3: frozenset(VOTERS)},
        gateway=False,
        assistant=False,
        writes=failed,
        reads=failed,
        replicas=5,
    )
    before = KnownMembership(3, 500, VOTERS, ())
    silent = [
        facts(gone=VOTERS, membership=before),
        facts(gone=VOTERS),
        facts(gone=VOTERS, replicas=0),
    ]
    return [found for moment in (known, *silent) for found in findings(moment)]


@pytest.mark.parametrize("found", every_finding(), ids=lambda one: one.kind)
def test_a_finding_is_sentences(found: rules.Finding) -> None:
    """A finding has a sentence about what is wrong, and a sentence about what to do."""
    for text in (found.says, found.remedy):
        assert text.endswith((".", "`.")) or found.kind in {"writes_fail", "reads_fail"}
        assert text[0].isupper() or text.startswith(("node-", "`", "voters ≠"))


def test_what_members_say_is_shown_and_not_run() -> None:
    """HTML in a member's words is shown as text."""
    evil = "<script>alert(1)</script>"
    shown = page.page(facts(member("node-1", version=evil, diverged=evil)))
    assert evil not in shown
    assert "&lt;script&gt;" in shown


def test_the_document_for_programs_is_json_of_everything() -> None:
    """The document has the names that docs/operating.md tells."""
    document = json.loads(json.dumps(page.status(facts(gone=("node-2",)))))
    assert document["serving"]["node/node-2"] is False
    assert document["leader"] == "node-0"
    assert [one["reachable"] for one in document["members"]] == [True, True, False]
    assert document["findings"][0] == {
        "kind": "member_missing",
        "about": "node-2",
        "severity": "warning",
        "says": "node-2 has a vote and does not answer.",
        "remedy": findings(facts(gone=("node-2",)))[0].remedy,
        "runbook": "runbooks/member-missing",
    }
    assert document["members"][0]["free_percent"] == 60


@pytest.mark.parametrize(
    ("known", "headline"),
    [
        (facts(), "Everything is well."),
        (facts(assistant=False), "Orders are taken, and one thing needs a look."),
        (facts(gone=("node-2",)), "Orders are taken, and 2 things need a look."),
        (facts(writes=Canary(ok=False, seconds=3, why="no")), "Nothing can be written."),
        (facts(gone=VOTERS, replicas=0), "The members are paused."),
    ],
)
def test_one_sentence_says_how_it_is(known: Facts, headline: str) -> None:
    """At the top of the page."""
    assert page.headline(known, findings(known)) == headline
    assert f"<h1>{headline}</h1>" in page.page(replace(known))
