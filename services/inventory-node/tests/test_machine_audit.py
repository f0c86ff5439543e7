"""The audit log: what leaves a record, the chain, the bound, and that orders cost nothing."""

from pathlib import Path

import pytest
from google.rpc import status_pb2
from inventory.raft.v1 import forward_pb2, log_pb2
from inventory.v1 import auth_pb2
from inventory_node.machine import AdminOutcome, Machine, RefusedCommand, audit
from inventory_node.machine.records import AuditRow
from inventory_node.runtime.sqlite import Database
from sim import histories
from sim.machines import (
    ADMIN,
    CUSTOMER,
    START_MS,
    Hand,
    by,
    entry,
    first_state,
    open_database,
    order,
    started,
)
from sim.tables import check_flushed, tables_of
from sim.watched_machine import WatchedMachine
from wire.audit import problem_of
from wire.errors import Reason, reason_of


def taken(hand: Hand) -> list[AuditRow]:
    """Return the records since the last look."""
    changes = hand.machine.take_changes()
    assert changes is not None
    return changes.audit


def administered(hand: Hand, administration: log_pb2.Administration, user_id: int = ADMIN) -> None:
    """Apply an administration that comes from an address, whatever becomes of it."""
    hand.apply(histories.administrate(user_id, 1, administration, "192.0.2.7"))


def test_an_administration_leaves_one_record() -> None:
    """Who did what to whom, from where, when, and under which request id; a retry leaves none."""
    hand = started()
    change = histories.change_role("a", CUSTOMER, auth_pb2.ROLE_VIEWER)
    administered(hand, change)
    administered(hand, change)
    [row] = taken(hand)
    assert row._replace(hash="") == AuditRow(
        1, START_MS, 2, "change_role", "OK", ADMIN, "admin", CUSTOMER, "viewer", "192.0.2.7", "a",
        1, "", "",
    )  # fmt: skip
    administered(hand, histories.create("b", "new", auth_pb2.ROLE_ADMIN))
    administered(hand, histories.rename("c", 6, "newer"))
    administered(hand, histories.checkpoint("d"))
    rows = [row, *taken(hand)]
    assert [(one.kind, one.subject_id, one.detail) for one in rows[1:]] == [
        ("create_user", 6, "admin new"), ("rename_user", 6, "newer"), ("checkpoint", 0, ""),
    ]  # fmt: skip
    assert problem_of(one._asdict() for one in rows) == ""


def test_a_refusal_leaves_no_record() -> None:
    """Neither one of authority nor one of a rule: a refusal changes nothing."""
    hand = started()
    taken(hand)
    administered(hand, histories.disable("a", ADMIN))
    administered(hand, histories.disable("b", ADMIN), CUSTOMER)
    administered(hand, histories.rename("c", 99, "x"))
    hand.mutate(CUSTOMER, histories.delete("d", 1))
    assert taken(hand) == []


def test_orders_and_other_mutations_leave_no_record() -> None:
    """They are in the ledger."""
    hand = started()
    hand.apply(by(CUSTOMER, order("a")), by(ADMIN, histories.delete("b", 2)))
    assert taken(hand) == []


def test_what_gateways_report_is_recorded_once() -> None:
    """Under the actor's name of the time; users may report nothing, admins neither."""
    hand = started()
    report = histories.record_audit("a", "login", CUSTOMER, 3)
    for _ in range(2):
        [applied] = hand.apply(log_pb2.Command(administration=report))
        assert isinstance(applied, AdminOutcome)
    first, second = taken(hand)
    assert (first.kind, first.actor_id, first.actor, first.event_count) == (
        "login", CUSTOMER, "customer", 3,
    )  # fmt: skip
    assert (second.outcome, second.actor_id, second.actor) == (
        "INVALID_CREDENTIALS", 0, "nobody \u00d6",
    )  # fmt: skip
    report.request_id = "b"
    [refused] = hand.apply(histories.administrate(ADMIN, 1, report))
    assert isinstance(refused, RefusedCommand)
    assert reason_of(status_pb2.Status.FromString(refused.status)) is Reason.ROLE_NOT_ALLOWED
    assert taken(hand) == []


def logins(count: int) -> list[log_pb2.Command]:
    """Return reports of two events each."""
    return [
        log_pb2.Command(administration=histories.record_audit(f"r{number}", "login", ADMIN, 1))
        for number in range(count)
    ]


def flushed(machine: Machine, database: Database) -> None:
    """Flush what was applied."""
    changes = machine.take_changes()
    assert changes is not None
    database.flush(changes)
    machine.flushed()
    check_flushed(machine, database)


def test_the_oldest_records_go_first_and_leave_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is a chain that begins with the hash of the last record that is gone."""
    monkeypatch.setattr(audit, "RECORDS_MAX", 5)
    database = open_database(tmp_path / "state.db")
    try:
        machine = Machine(database)
        machine.apply(entry(1, START_MS, first_state()))
        machine.apply(entry(2, START_MS, *logins(2)))
        flushed(machine, database)
        fourth = tables_of(database).audit[-1]
        assert fourth.id == 4
        machine.reload()
        machine.apply(entry(3, START_MS + 1, *logins(4)[2:], *logins(6)[4:5]))
        flushed(machine, database)
        kept = tables_of(database).audit
        assert [one.id for one in kept] == [6, 7, 8, 9, 10]
        assert problem_of(one._asdict() for one in kept) == ""
        assert kept[0].previous_hash not in {"", fourth.hash}
    finally:
        database.close()


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({}, [4, 3, 2, 1]),
        ({"order_by": "id"}, [1, 2, 3, 4]),
        ({"kind": "checkpoint"}, [1]),
        ({"actor_id": ADMIN, "order_by": "id"}, [1, 3]),
        ({"begin_ms": START_MS + 5}, [4, 3]),
        ({"end_ms": START_MS + 5}, [2, 1]),
        ({"kind": "nothing"}, []),
    ],
)
def test_records_are_asked_for_by_actor_kind_and_time(
    tmp_path: Path, fields: dict[str, str | int], ids: list[int]
) -> None:
    """Page after page, each behind the last; by admins alone."""
    database = open_database(tmp_path / "state.db")
    try:
        machine = WatchedMachine(database)
        machine.apply(entry(1, START_MS, first_state()))
        report = log_pb2.Command(administration=histories.record_audit("b", "login", CUSTOMER, 1))
        report.administration.record_audit.events[1].actor_id = 0
        made = histories.administrate(ADMIN, 1, histories.checkpoint("a"))
        del report.administration.record_audit.events[1]
        machine.apply(entry(2, START_MS, made, report))
        renamed = histories.administrate(ADMIN, 1, histories.rename("c", CUSTOMER, "x"))
        report.administration.request_id = "d"
        machine.apply(entry(3, START_MS + 5, renamed, report))
        flushed(machine, database)
        found: list[int] = []
        token = ""
        while True:
            query = forward_pb2.Query()
            query.list_audit_records.MergeFrom(
                auth_pb2.ListAuditRecordsRequest(page_size=1, page_token=token, **fields)  # type: ignore[arg-type]  # checked by protobuf
            )
            question = forward_pb2.Question(user_id=ADMIN, epoch=1, session_id=ADMIN, query=query)
            [answer] = database.answer([(1, question)])
            page = auth_pb2.ListAuditRecordsResponse.FromString(answer.response)
            found += [one.id for one in page.records]
            token = page.next_page_token
            if not token:
                break
        assert found == ids
        question.user_id = question.session_id = CUSTOMER
        [answer] = database.answer([(1, question)])
        status = status_pb2.Status.FromString(answer.error)
        assert reason_of(status) is Reason.ROLE_NOT_ALLOWED
    finally:
        database.close()
