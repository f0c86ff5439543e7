"""Each check of the simulator notices a run that breaks the check's rule."""

from dataclasses import replace

import pytest
from inventory.raft.v1 import raw_pb2
from inventory.v1 import inventory_pb2
from inventory_node.machine import MutationOutcome
from raft import RaftSettings, RawNode, Restored
from raft.messages import (
    AppendReply,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    VoteReply,
)
from sim.checks import (
    ACKNOWLEDGED_MIN,
    LINEARIZABLE_MIN,
    Checks,
    FinalState,
    check_history,
    check_work,
)
from sim.clients import ClientOperation, Read, Receipt
from sim.coverage import Coverage
from sim.durable import Durable, Written
from sim.ledger import Ledger
from sim.violation import LivenessViolation, SafetyViolation

START = {1: 10}
VOTERS = Configuration(frozenset({1, 2, 3}))
NOOP = Entry(1, 1, EntryKind.NOOP, b"")


def order(order_id: int, quantity: int = 1, *, refused: str = "") -> ClientOperation:
    """Return an order that was answered."""
    return ClientOperation(
        client=1,
        request_id=f"r{order_id}",
        kind="order_item",
        changes=((1, -quantity),),
        mutation=b"",
        call_us=1,
        floor=0,
        return_us=2,
        receipt=Receipt(order_id, order_id),
        refused=refused,
    )


def test_a_history_that_fits_passes() -> None:
    """Refusals change nothing."""
    history = [order(1), order(2, 3), order(0, 50, refused="not enough")]
    check_history(history, START, FinalState({1: 6}, ((1, 1, 1), (2, 1, 3))))


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (FinalState({1: 9}, ((1, 1, 1),)), "lost"),
        (FinalState({1: 6}, ((1, 1, 1), (2, 1, 2), (2, 1, 2))), "twice"),
        (FinalState({1: 6}, ((1, 1, 1), (2, 1, 2), (3, 1, 1))), "not acknowledged"),
        (FinalState({1: 8}, ((1, 1, 1), (2, 1, 2))), "stock"),
    ],
    ids=["lost", "doubled", "invented", "oversold"],
)
def test_a_state_that_does_not_fit_is_found(state: FinalState, problem: str) -> None:
    """Orders are missing, doubled or of nobody, or the stock is wrong."""
    with pytest.raises(SafetyViolation, match=problem):
        check_history([order(1), order(2, 2)], START, state)


def test_an_unknown_outcome_is_found() -> None:
    """The end is judged only when every client knows."""
    open_order = replace(order(1), return_us=None)
    with pytest.raises(SafetyViolation, match="not known"):
        check_history([open_order], START, FinalState(START, ()))


ENOUGH = [order(number) for number in range(1, ACKNOWLEDGED_MIN + 1)]
LOOKED = [
    Read(
        client=1, call_us=1, return_us=2, floor=0, revision=0, levels={1: 10}, is_linearizable=True
    )
] * LINEARIZABLE_MIN


def test_a_run_that_did_enough_passes() -> None:
    """Refusals for want of stock do not fail a run."""
    check_work([*ENOUGH, order(0, 50, refused="INSUFFICIENT_STOCK")], LOOKED)


@pytest.mark.parametrize(
    ("history", "reads", "problem"),
    [
        ([*ENOUGH, order(0, refused="INVALID_FIELD")], LOOKED, "was refused: INVALID_FIELD"),
        (ENOUGH[1:], LOOKED, "too little was done"),
        (ENOUGH, [*LOOKED[1:], replace(LOOKED[0], is_linearizable=False)], "too little was done"),
    ],
    ids=["refused", "nothing acknowledged", "nothing read"],
)
def test_a_run_that_shows_nothing_is_found(
    history: list[ClientOperation], reads: list[Read], problem: str
) -> None:
    """A system that refuses everything keeps every promise."""
    with pytest.raises(LivenessViolation, match=problem):
        check_work(history, reads)


def outcome(index: int, on_hand_after: int, order_id: int = 0) -> bytes:
    """Return the outcome of an order at an index."""
    ordered = inventory_pb2.OrderItemResponse(
        order_id=order_id or index, on_hand_after=on_hand_after, revision=index
    )
    return inventory_pb2.Outcome(order_item=ordered).SerializeToString()


def entry(index: int, quantity: int = 1, request_id: str = "") -> Entry:
    """Return an entry with an order of item 1."""
    mutation = inventory_pb2.Mutation()
    mutation.order_item.request_id = request_id or f"r{index}"
    mutation.order_item.item_id, mutation.order_item.quantity = 1, quantity
    command = raw_pb2.RawCommand(
        user_id=2, epoch=1, session_id=2, mutation=mutation.SerializeToString()
    )
    batch = raw_pb2.RawBatch(commands=[command.SerializeToString()])
    return Entry(index, 1, EntryKind.COMMAND, batch.SerializeToString())


def ledger(*applied: tuple[Entry, bytes]) -> Ledger:
    """Return a ledger that has seen these entries."""
    found = Ledger(START, Coverage())
    for one, kept in applied:
        found.applied(one, [MutationOutcome(kept)])
    return found


def test_orders_that_fit_and_a_retry_pass_the_ledger() -> None:
    """The same request id comes to the same bytes, and changes nothing."""
    found = ledger(
        (entry(1, 2), outcome(1, 8)), (entry(2), outcome(2, 7)), (entry(3, 2, "r1"), outcome(1, 8))
    )
    assert [found.level(1, revision) for revision in range(4)] == [10, 8, 7, 7]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ((entry(2, 2, "r1"), outcome(2, 6)), "applied twice: r1"),
        ((entry(2, 9), outcome(2, -1)), "must be"),
        ((entry(2, 1), outcome(2, 8)), "must be"),
        ((entry(2, 1), outcome(2, 7, order_id=1)), "two orders have the id 1"),
    ],
    ids=["applied again", "oversold", "not taken", "same id"],
)
def test_outcomes_that_do_not_fit_are_found(second: tuple[Entry, bytes], problem: str) -> None:
    """After an order of two."""
    with pytest.raises(SafetyViolation, match=problem):
        ledger((entry(1, 2), outcome(1, 8)), second)


def test_an_acknowledgement_of_nothing_is_found() -> None:
    """A client hears of an outcome that no member applied."""
    with pytest.raises(SafetyViolation, match="was told"):
        ledger().told(2, order(1), outcome(1, 9))


def test_a_mutation_before_what_was_known_is_found() -> None:
    """The mutation's revision is no higher than a revision that its client knew at the call."""
    late = replace(order(1), floor=5)
    with pytest.raises(SafetyViolation, match="was known when it was asked for"):
        ledger((entry(1), outcome(1, 9))).told(2, late, outcome(1, 9))


def read(floor: int, revision: int, quantity: int) -> Read:
    """Return a read of item 1."""
    return Read(
        client=1,
        call_us=1,
        return_us=2,
        floor=floor,
        revision=revision,
        levels={1: quantity},
        is_linearizable=True,
    )


def test_reads_of_their_revision_pass() -> None:
    """Reads before, between and after two orders show the levels of their revisions."""
    found = ledger((entry(1), outcome(1, 9)), (entry(2, 2), outcome(2, 7)))
    for one in (read(0, 0, 10), read(1, 1, 9), read(1, 2, 7)):
        found.levels_told(one)


@pytest.mark.parametrize(
    "one",
    [read(2, 1, 9), read(0, 2, 9), read(0, 3, 7)],
    ids=["stale", "of no revision", "of the future"],
)
def test_a_read_that_does_not_fit_is_found(one: Read) -> None:
    """A read shows less than its client knew before, or a level that never was."""
    found = ledger((entry(1), outcome(1, 9)), (entry(2, 2), outcome(2, 7)))
    with pytest.raises(SafetyViolation, match="a linearizable read shows"):
        found.levels_told(one)


def checks(*applied: int) -> Checks:
    """Return checks that know three members, with empty logs."""
    found = Checks(Ledger(START, Coverage()), Coverage(), VOTERS)
    for member in (1, 2, 3):
        found.started(member, Durable(), [], 0)
    for member in applied:
        found.appended(member, 0, [NOOP])
        found.durable[member].take(Written(None, None, (NOOP,)))
        found.applied(member, NOOP, [])
    return found


def leader(member: int, term: int, *entries: Entry) -> RawNode:
    """Return a member that leads a term and holds `entries` and one more entry."""
    settings = RaftSettings(
        id=member,
        election_timeout_ticks_min=2,
        election_timeout_ticks_max=3,
        heartbeat_ticks=1,
        entries_per_append_max=1,
        bytes_per_append_max=1,
        appends_in_flight_max=1,
        random=lambda _: 0,
    )
    alone = Configuration(frozenset({member}))
    node = RawNode(
        settings,
        Restored(
            hard_state=HardState(term - 1, 0),
            configuration=alone,
            base_index=0,
            base_term=0,
            entries=entries,
            applied_index=0,
        ),
    )
    for _ in range(3):
        node.tick()
        while (ready := node.ready()) is not None:
            if ready.mark is not None:
                node.persisted(ready.mark)
    return node


def test_two_leaders_of_a_term_are_found() -> None:
    """Election safety (Raft Figure 3)."""
    found = checks()
    found.durable[1].terms[1] = 4
    found.settled(leader(1, 4))
    with pytest.raises(SafetyViolation, match="both lead term 4"):
        found.settled(leader(2, 4))


def test_a_leader_without_what_was_applied_is_found() -> None:
    """Leader completeness (Raft §5.4)."""
    with pytest.raises(SafetyViolation, match="leader completeness: member 2 leads term 2"):
        checks(1).settled(leader(2, 2))


def test_a_commit_that_no_majority_has_synced_is_found() -> None:
    """The leader's own disk does not hold the entry."""
    with pytest.raises(SafetyViolation, match="durable quorum: member 1 commits 1"):
        checks().settled(leader(1, 1))


def test_logs_that_do_not_match_are_found() -> None:
    """Two logs differ in an entry's payload, or in the entry before it."""
    other = Entry(1, 1, EntryKind.COMMAND, b"b")
    with pytest.raises(SafetyViolation, match="log matching"):
        checks(1).appended(2, 0, [other])
    with pytest.raises(SafetyViolation, match="log matching"):
        checks(1).appended(2, 1, [NOOP])


def test_members_that_apply_different_things_are_found() -> None:
    """State machine safety (Raft Figure 3), of entries and of outcomes."""
    one = entry(1)
    for other, kept in ((entry(1, 2), outcome(1, 9)), (one, outcome(1, 8))):
        found = checks()
        for member in (1, 2):
            found.durable[member].take(Written(None, None, (one,)))
        found.applied(1, one, [MutationOutcome(outcome(1, 9))])
        with pytest.raises(SafetyViolation, match="another entry"):
            found.applied(2, other, [MutationOutcome(kept)])


def test_an_entry_that_is_applied_before_its_own_sync_is_found() -> None:
    """The member's own disk holds no entry at the index, or an entry of another term."""
    for term in (0, 2):
        found = checks(1, 2)
        found.durable[3].terms[1] = term
        with pytest.raises(SafetyViolation, match="own disk: member 3 applies 1 of term 1"):
            found.applied(3, NOOP, [])


def test_an_entry_that_is_applied_twice_is_found() -> None:
    """The member applies the entry twice within one life of its process."""
    with pytest.raises(SafetyViolation, match="applies 1 after 1"):
        checks(1).applied(1, NOOP, [])


def test_states_that_differ_at_one_index_are_found() -> None:
    """The first hash of an index counts as right."""
    found = checks()
    found.applied_log.hashed(1, 5, "a")
    with pytest.raises(SafetyViolation, match="another state at 5"):
        found.applied_log.hashed(2, 5, "b")


def test_data_that_go_aside_too_early_are_found() -> None:
    """By all that was applied, the member still takes part."""
    found = checks()
    found.applied_log.set_aside(4)
    with pytest.raises(SafetyViolation, match="member 3 sets its data aside"):
        found.applied_log.set_aside(3)


def test_promises_that_no_disk_keeps_are_found() -> None:
    """A vote, an accepted append, and a second vote."""
    found = checks()
    with pytest.raises(SafetyViolation, match="the vote of 1 for 2"):
        found.left(VoteReply(1, 2, 1, granted=True))
    with pytest.raises(SafetyViolation, match="durable promises: AppendReply"):
        found.left(AppendReply(sender=1, recipient=2, term=1, accepted=True, index=1))
    found.durable[1].take(Written(HardState(1, 2), None, (NOOP,)))
    found.left(AppendReply(sender=1, recipient=2, term=1, accepted=True, index=1))
    found.left(VoteReply(1, 2, 1, granted=True))
    with pytest.raises(SafetyViolation, match="voted twice"):
        found.left(VoteReply(1, 3, 1, granted=True))


def durable(hard_state: HardState, *terms: int) -> Durable:
    """Return a log with these terms, from index 1 on."""
    return Durable(hard_state, 0, dict(enumerate(terms, start=1)), len(terms))


@pytest.mark.parametrize(
    "after",
    [
        durable(HardState(1, 1), 1, 1),
        durable(HardState(2, 1), 1),
        durable(HardState(2, 2), 1, 1),
        durable(HardState(2, 1)),
    ],
    ids=["term", "entry", "vote", "all"],
)
def test_a_log_that_forgets_is_found(after: Durable) -> None:
    """A log that was synced must be there at the next start."""
    assert durable(HardState(2, 1), 1, 1).forgotten_by(after)


def test_a_log_that_an_unsynced_batch_has_changed_forgets_nothing() -> None:
    """The unsynced batch may have reached the disk before the crash."""
    before = durable(HardState(4, 1), 1, 3)
    before.pending = Written(HardState(5, 0), None, (Entry(2, 2, EntryKind.NOOP, b""),))
    assert not before.forgotten_by(durable(HardState(5, 0), 1, 2)), "of an earlier term: seed 138"
    assert not before.forgotten_by(durable(HardState(4, 1), 1, 3))
    assert before.forgotten_by(durable(HardState(5, 0), 1))
    before.pending = None
    assert before.forgotten_by(durable(HardState(5, 0), 1, 2))


def test_a_vote_whose_sync_failed_may_be_there_at_the_next_start() -> None:
    """Nobody was told of the vote, and the member keeps the vote: seeds 11153 and 11199."""
    before = durable(HardState(2, 0), 1)
    assert not before.forgotten_by(durable(HardState(2, 2), 1))
    assert durable(HardState(2, 2), 1).forgotten_by(before)
    assert durable(HardState(2, 2), 1).forgotten_by(durable(HardState(2, 1), 1))
