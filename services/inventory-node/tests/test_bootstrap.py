"""Who a member is, whether it may begin, and the first state."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inventory.raft.v1 import log_pb2
from inventory.v1 import auth_pb2
from inventory_node.bootstrap import (
    BootstrapRefused,
    Described,
    check_identity,
    cluster_id_of,
    initialize_of,
    is_complete,
    may_bootstrap,
    member_id_of,
)
from inventory_node.wal import Identity

NAMES = ["node-0", "node-1", "node-2"]
CLUSTER = cluster_id_of(b"key", NAMES)
OWN = Identity(CLUSTER, member_id_of(CLUSTER, "node-0"), "node-0")
EMPTY = Described("node-1", CLUSTER, member_id_of(CLUSTER, "node-1"), bootstrapped=False, term=0)
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


@pytest.mark.parametrize(
    ("peers", "may"),
    [
        ([EMPTY, EMPTY], True),
        ([EMPTY, BEGUN], True),
        ([BEGUN, BEGUN], True),
        ([None, EMPTY], False),
        ([None, None], False),
        ([], True),
    ],
)
def test_an_empty_member_begins_when_every_other_one_answers(
    peers: list[Described | None],
    may: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Empty, or begun without a term."""
    assert may_bootstrap(OWN, peers) is may


def test_an_empty_volume_beside_a_term_is_refused() -> None:
    """It may have voted before it was lost; even when somebody else does not answer."""
    with pytest.raises(BootstrapRefused, match="restore the volume"):
        may_bootstrap(OWN, [None, LIVING])


def test_another_clusters_peer_is_refused() -> None:
    """The key or the names differ."""
    with pytest.raises(BootstrapRefused, match="another cluster"):
        may_bootstrap(OWN, [replace(BEGUN, cluster_id="other")])


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


CONTENT: dict[str, Any] = {
    "currency": {"code": "USD", "minor_digits": 2},
    "users": [{"name": "Ann", "role": "admin", "password_hash": "$argon2id$…"}],
    "items": [{"name": "Pen", "description": "", "price": "1,012.50", "quantity": 3}],
}


def test_the_first_state_is_read_from_a_file(tmp_path: Path) -> None:
    """Prices are whole minor units from the first byte on."""
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(CONTENT))
    command = log_pb2.Administration.FromString(initialize_of(path, CLUSTER))
    assert command.initialize.cluster_id == CLUSTER
    [user] = command.initialize.users
    [item] = command.initialize.items
    assert user.role == auth_pb2.ROLE_ADMIN
    assert (item.price.units, item.price.nanos) == (1_012, 500_000_000)
    assert initialize_of(None, CLUSTER) == b""


@pytest.mark.parametrize(
    "change",
    [
        {"currency": {"code": "usd", "minor_digits": 2}},
        {"users": [{"name": "Ann", "role": "king", "password_hash": "x"}]},
        {"items": [{"name": "Pen", "description": "", "price": "1.005", "quantity": 3}]},
        {"items": [{"name": "", "description": "", "price": "1", "quantity": 3}]},
        {"items": [{"name": "Pen"}]},
    ],
)
def test_a_bad_first_state_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """In one line that names the file."""
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(CONTENT | change))
    with pytest.raises(BootstrapRefused, match=str(path)):
        initialize_of(path, CLUSTER)
    path.write_text("nonsense")
    with pytest.raises(BootstrapRefused, match="cannot be used"):
        initialize_of(path, CLUSTER)
