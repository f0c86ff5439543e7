"""Who a member is, whether it may begin, and the first state."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from inventory_node.core.membership.bootstrap import (
    Beginning,
    Described,
    FirstStart,
    beginning,
    check_identity,
    cluster_id_among,
    drawn_cluster_id,
    drawn_id,
    founding_of,
    initialize_of,
    is_complete,
    member_id_of,
)
from inventory_node.errors import BootstrapRefused
from inventory_node.wal import Identity

NAMES = ["node-0", "node-1", "node-2"]
FOUNDING = founding_of(NAMES)
FIRST = {name: member_id_of(FOUNDING, name) for name in NAMES}
CLUSTER = drawn_cluster_id(FOUNDING)
OWN = Identity("", FIRST["node-0"], "node-0")
EMPTY = Described(
    name="node-1",
    says="node-1",
    cluster_id="",
    founding=FOUNDING,
    member_id=FIRST["node-1"],
    bootstrapped=False,
    term=0,
)
BEGUN = replace(EMPTY, bootstrapped=True, cluster_id=CLUSTER)
LIVING = replace(BEGUN, term=3)


def test_ids_follow_from_the_names() -> None:
    """In any order of the names; the cluster's is drawn, and begins with their checksum."""
    assert founding_of(reversed(NAMES)) == FOUNDING
    assert founding_of(NAMES[:2]) != FOUNDING
    assert len(set(FIRST.values())) == 3
    assert all(0 < member_id < 2**63 for member_id in FIRST.values())
    drawn = {drawn_cluster_id(FOUNDING) for _ in range(9)}
    assert len(drawn) == 9
    assert all(one.startswith(FOUNDING) and len(one) == 32 for one in drawn)


def test_ids_stay_over_every_version() -> None:
    """A member that begins by a later version belongs to the cluster that began by this one."""
    assert FOUNDING == "6df88d747962a5a5"
    assert [FIRST[name] for name in NAMES] == [
        5889095568245097445,
        3406642974802373861,
        1730491111621629504,
    ]


@pytest.mark.parametrize(
    ("peers", "decided"),
    [
        ([EMPTY, EMPTY], Beginning.BOOTSTRAP),
        ([EMPTY, BEGUN], Beginning.BOOTSTRAP),
        ([BEGUN, BEGUN], Beginning.BOOTSTRAP),
        ([None, EMPTY], Beginning.WAIT),
        ([None, None], Beginning.WAIT),
        ([], Beginning.BOOTSTRAP),
        ([None, LIVING], Beginning.JOIN),
        ([BEGUN, LIVING], Beginning.JOIN),
    ],
)
def test_an_empty_member_begins_when_every_other_one_answers(
    peers: list[Described | None], decided: Beginning
) -> None:
    """Empty, or begun without a term; beside a term its votes may be lost, so it joins."""
    assert beginning(OWN, FIRST, FOUNDING, peers) is decided


def test_a_member_that_is_none_of_the_first_waits_for_a_cluster_and_joins() -> None:
    """It never begins one, also where all others are empty."""
    own = replace(OWN, name="node-3", member_id=0)
    assert beginning(own, FIRST, FOUNDING, [EMPTY, BEGUN]) is Beginning.WAIT
    assert beginning(own, FIRST, FOUNDING, [None, LIVING]) is Beginning.JOIN


def test_one_member_draws_the_cluster_s_id_and_the_others_take_it() -> None:
    """Two that drew at once would begin two clusters."""
    second = replace(OWN, name="node-1", member_id=FIRST["node-1"])
    founder = replace(EMPTY, name="node-0", says="node-0")
    third = replace(EMPTY, name="node-2", says="node-2")
    assert beginning(second, FIRST, FOUNDING, [founder, third]) is Beginning.WAIT
    start = FirstStart(second, FIRST)
    begun = replace(founder, bootstrapped=True, cluster_id=CLUSTER)
    assert start.hear([begun, third]) is Beginning.BOOTSTRAP
    assert start.identity(Beginning.BOOTSTRAP) == replace(second, cluster_id=CLUSTER)


def test_a_founder_that_lost_its_volume_takes_the_id_that_it_drew_before() -> None:
    """Another member has it on its disk: the bootstrap that was cut short goes on."""
    start = FirstStart(OWN, FIRST)
    third = replace(EMPTY, name="node-2", says="node-2")
    assert start.hear([BEGUN, third]) is Beginning.BOOTSTRAP
    assert start.identity(Beginning.BOOTSTRAP) == replace(OWN, cluster_id=CLUSTER)
    again = FirstStart(OWN, FIRST)
    assert again.hear([EMPTY, third]) is Beginning.BOOTSTRAP
    drawn = again.identity(Beginning.BOOTSTRAP).cluster_id
    assert drawn.startswith(FOUNDING)
    assert drawn != CLUSTER


def test_a_member_that_joins_draws_its_id_and_takes_the_cluster_s() -> None:
    """From any member that has it."""
    start = FirstStart(OWN, FIRST)
    assert start.hear([None, LIVING]) is Beginning.JOIN
    joined = start.identity(Beginning.JOIN)
    assert joined.cluster_id == CLUSTER
    assert joined.member_id not in {0, *FIRST.values()}


def test_members_of_two_clusters_are_refused() -> None:
    """Two volumes that were mixed up."""
    other = replace(BEGUN, name="node-2", says="node-2", cluster_id=drawn_cluster_id(FOUNDING))
    assert cluster_id_among([None, EMPTY, BEGUN]) == CLUSTER
    with pytest.raises(BootstrapRefused, match="node-1 and node-2 belong to different clusters"):
        beginning(OWN, FIRST, FOUNDING, [BEGUN, other])


def test_a_peer_of_an_earlier_version_does_not_say_whom_it_reaches() -> None:
    """Which differs from reaching nobody."""
    assert EMPTY.reached is None


def test_an_empty_member_names_those_that_it_waits_for() -> None:
    """Of the first members, whichever answered before."""
    start = FirstStart(OWN, FIRST)
    assert list(start.silent) == []
    assert start.hear([None, None]) is Beginning.WAIT
    assert list(start.silent) == ["node-1", "node-2"]
    assert start.hear([EMPTY, None]) is Beginning.WAIT
    assert list(start.silent) == ["node-2"]
    assert start.hear([EMPTY, replace(EMPTY, name="node-2", says="node-2")]) is Beginning.BOOTSTRAP
    later = FirstStart(replace(OWN, name="node-3", member_id=0), FIRST)
    assert later.hear([EMPTY, EMPTY]) is Beginning.WAIT


def test_a_drawn_id_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn again where it is taken, or 0."""
    draws = iter([0, 7, 8])
    monkeypatch.setattr("secrets.randbits", lambda _: next(draws))
    assert drawn_id([7]) == 8
    monkeypatch.setattr("secrets.randbits", lambda bits: (1 << bits) - 1)
    assert drawn_id([]) < 2**63


def test_another_member_at_a_listed_address_is_refused() -> None:
    """Two entries of the list are mixed up."""
    with pytest.raises(BootstrapRefused, match="node-2 answers at the address of node-1"):
        beginning(OWN, FIRST, FOUNDING, [replace(BEGUN, says="node-2")])


def test_another_clusters_peer_is_refused() -> None:
    """Or one with another list of first members, also if it is empty."""
    begun = replace(OWN, cluster_id=drawn_cluster_id(FOUNDING))
    with pytest.raises(BootstrapRefused, match="another cluster"):
        beginning(begun, FIRST, FOUNDING, [BEGUN])
    with pytest.raises(BootstrapRefused, match="node-1 was started with other first members"):
        beginning(OWN, FIRST, FOUNDING, [replace(EMPTY, founding=founding_of(NAMES[:2]))])


@pytest.mark.parametrize(
    ("own_term", "peers", "complete"),
    [
        (0, [BEGUN, BEGUN], True),
        (0, [BEGUN, EMPTY], False),
        (0, [BEGUN, None], False),
        (0, [LIVING, None], True),
        (2, [None, None], True),
        (0, [], True),
    ],
)
def test_elections_begin_when_everybody_has_bootstrapped(
    own_term: int,
    peers: list[Described | None],
    complete: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A term anywhere proves that they once had."""
    assert is_complete(own_term, peers) is complete


def test_a_volume_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """The message names both."""
    found = replace(OWN, cluster_id=CLUSTER)
    check_identity(found, "node-0", FOUNDING, tmp_path)
    with pytest.raises(BootstrapRefused, match=r"belongs to member node-0 .* this is node-1"):
        check_identity(found, "node-1", FOUNDING, tmp_path)


def test_a_volume_of_another_list_of_members_is_refused(tmp_path: Path) -> None:
    """The cluster's id says so, long after the cluster began."""
    found = replace(OWN, cluster_id=CLUSTER)
    with pytest.raises(BootstrapRefused, match=r"the list of first members \(INVENTORY_NODE"):
        check_identity(found, "node-0", founding_of(NAMES[:1]), tmp_path)


CONTENT: dict[str, Any] = {
    "currency": {"code": "USD", "minor_digits": 2},
    "users": [
        {
            "name": "Ann",
            "role": "admin",
            "password_hash": "$argon2id$…",
            "must_change_password": True,
        }
    ],
    "items": [{"name": "Pen", "description": "Blue", "price": "1,012.50", "quantity": 3}],
}


def test_the_first_state_is_read_from_a_file(tmp_path: Path) -> None:
    """Prices are whole minor units from the first byte on."""
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(CONTENT))
    command = log_pb2.Administration.FromString(initialize_of(path, CLUSTER))
    assert command.request_id == "initialize", "each member that may propose it names it alike"
    assert command.initialize.cluster_id == CLUSTER
    [user] = command.initialize.users
    [item] = command.initialize.items
    assert user.role == auth_pb2.ROLE_ADMIN
    assert user.must_change_password
    assert (item.price.units, item.price.nanos) == (1_012, 500_000_000)
    assert (item.description, item.quantity, item.price.currency_code) == ("Blue", 3, "USD")
    assert initialize_of(None, CLUSTER) == b""


@pytest.mark.parametrize(
    ("code", "digits", "wanted"), [("USD", 3, 2), ("JPY", 2, 0), ("KWD", 2, 3)]
)
def test_decimals_that_the_currency_has_not_are_refused(
    tmp_path: Path, code: str, digits: int, wanted: int
) -> None:
    """Clients know a currency by its code alone."""
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(CONTENT | {"currency": {"code": code, "minor_digits": digits}}))
    with pytest.raises(BootstrapRefused) as caught:
        initialize_of(path, CLUSTER)
    problem = f"The field currency.minor_digits of {code} must be {wanted}, not {digits}."
    assert str(caught.value) == f"the bootstrap file {path} cannot be used: {problem}"


@pytest.mark.parametrize(
    "change",
    [
        {"currency": {"code": "usd", "minor_digits": 2}},
        {"currency": {"code": "ZZZ", "minor_digits": 2}},
        {"currency": {"code": "XAU", "minor_digits": 0}},
        {"currency": {"code": "USD", "minor_digits": 99}},
        {"users": [{"name": "Ann", "role": "king", "password_hash": "x"}]},
        {"users": [{"name": "Ann", "role": 7, "password_hash": "x"}]},
        {"items": [{"name": "Pen", "description": "", "price": "1.005", "quantity": 3}]},
        {"items": [{"name": "", "description": "", "price": "1", "quantity": 3}]},
        {"items": [{"name": "Pen"}]},
        {"users": [CONTENT["users"][0] | {"must_change_password": "yes"}]},
    ],
)
def test_a_bad_first_state_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """In one line that names the file."""
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(CONTENT | change))
    with pytest.raises(BootstrapRefused, match=str(path)):
        initialize_of(path, CLUSTER)
    path.write_text("[" * 100_000)
    with pytest.raises(BootstrapRefused, match="cannot be used"):
        initialize_of(path, CLUSTER)
    path.write_text("nonsense")
    with pytest.raises(BootstrapRefused, match="cannot be used"):
        initialize_of(path, CLUSTER)
