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
    cluster_id_of,
    drawn_id,
    initialize_of,
    is_complete,
    member_id_of,
)
from inventory_node.errors import BootstrapRefused
from inventory_node.wal import Identity

NAMES = ["node-0", "node-1", "node-2"]
CLUSTER = cluster_id_of(b"key", NAMES)
OWN = Identity(CLUSTER, member_id_of(CLUSTER, "node-0"), "node-0")
EMPTY = Described(
    name="node-1",
    says="node-1",
    cluster_id=CLUSTER,
    member_id=member_id_of(CLUSTER, "node-1"),
    bootstrapped=False,
    term=0,
)
BEGUN = replace(EMPTY, bootstrapped=True)
LIVING = replace(BEGUN, term=3)


def test_ids_follow_from_the_key_and_the_names() -> None:
    """A bootstrap that was cut short goes on with the same ids, in any order of the names."""
    assert cluster_id_of(b"key", reversed(NAMES)) == CLUSTER
    assert cluster_id_of(b"other", NAMES) != CLUSTER
    assert cluster_id_of(b"key", NAMES[:2]) != CLUSTER
    ids = {member_id_of(CLUSTER, name) for name in NAMES}
    assert len(ids) == 3
    assert all(0 < member_id < 2**63 for member_id in ids)


def test_ids_stay_over_every_version() -> None:
    """A member that begins by a later version belongs to the cluster that began by this one."""
    assert CLUSTER == "2a13c19a20fb2158a4f63f530c99bbec"
    ids = [3402694070640767866, 872879681359819573, 5908661273229165636]
    assert [member_id_of(CLUSTER, name) for name in NAMES] == ids


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
    assert beginning(OWN, peers, is_first=True) is decided


def test_a_member_that_is_none_of_the_first_waits_for_a_cluster_and_joins() -> None:
    """It never begins one, also where all others are empty."""
    own = replace(OWN, name="node-3", member_id=0)
    assert beginning(own, [EMPTY, BEGUN], is_first=False) is Beginning.WAIT
    assert beginning(own, [None, LIVING], is_first=False) is Beginning.JOIN


def test_a_peer_of_an_earlier_version_does_not_say_whom_it_reaches() -> None:
    """Which differs from reaching nobody."""
    assert EMPTY.reached is None


def test_an_empty_member_names_those_that_it_waits_for() -> None:
    """Of the first members, whichever answered before."""
    start = FirstStart(OWN, {name: member_id_of(CLUSTER, name) for name in NAMES})
    assert list(start.silent) == []
    assert start.hear([None, None]) is Beginning.WAIT
    assert list(start.silent) == ["node-1", "node-2"]
    assert start.hear([EMPTY, None]) is Beginning.WAIT
    assert list(start.silent) == ["node-2"]
    assert start.hear([EMPTY, replace(EMPTY, name="node-2", says="node-2")]) is Beginning.BOOTSTRAP
    later = FirstStart(replace(OWN, name="node-3", member_id=0), dict.fromkeys(NAMES, 1))
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
        beginning(OWN, [replace(BEGUN, says="node-2")], is_first=True)


def test_another_clusters_peer_is_refused() -> None:
    """The key or the names differ."""
    with pytest.raises(BootstrapRefused, match="another cluster"):
        beginning(OWN, [replace(BEGUN, cluster_id="other")], is_first=True)


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
    check_identity(OWN, OWN, tmp_path)
    with pytest.raises(BootstrapRefused, match="belongs to member node-0"):
        check_identity(OWN, replace(OWN, name="node-1"), tmp_path)


def test_a_volume_of_another_cluster_names_every_cause(tmp_path: Path) -> None:
    """The key, and the list of first members: another list makes another id of the same key."""
    key, names = b"key", ("node-0", "node-1", "node-2")
    ids = [cluster_id_of(key, names), cluster_id_of(key, names[:1])]
    began, found = (replace(OWN, cluster_id=one) for one in ids)
    with pytest.raises(BootstrapRefused, match=r"cluster key and the list of first members \(INV"):
        check_identity(began, found, tmp_path)


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
