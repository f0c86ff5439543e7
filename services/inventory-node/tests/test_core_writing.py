"""From a gateway's frame to its answer, with every sync and message let go by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from inventory.raft.v1 import forward_pb2, log_pb2, membership_pb2, raw_pb2
from inventory.v1 import auth_pb2, cluster_pb2, inventory_pb2
from inventory_node.core.events import ChangeAsked, DiskFailed, StopRequested, StoreFailed, Tick
from inventory_node.core.node import NodeSettings
from inventory_node.errors import Halted
from raft.messages import AppendRequest, Entry, EntryKind
from sim import histories
from sim.manual_cluster import HandMember, ManualCluster, get_item, order


def ordered(reply: forward_pb2.Reply) -> inventory_pb2.OrderItemResponse:
    """Read the outcome of an order that was taken."""
    assert reply.WhichOneof("result") == "outcome", reply
    outcome = inventory_pb2.Outcome.FromString(reply.outcome)
    assert outcome.WhichOneof("result") == "order_item", outcome
    return outcome.order_item


def on_hand(cluster: ManualCluster, member: HandMember, number: int = 99) -> int:
    """Read item 1 at the leader."""
    member.ask(questions=[get_item(number)])
    cluster.settle()
    return inventory_pb2.GetItemResponse.FromString(member.replies()[number].answer).item.quantity


def commands_sent(member: HandMember) -> list[int]:
    """Count the commands of each entry that waits to be delivered to member 2."""
    return [
        len(raw_pb2.RawBatch.FromString(entry.payload).commands)
        for message in member.transport.messages
        if isinstance(message, AppendRequest) and message.recipient == 2
        for entry in message.entries
    ]


class TestNoOutcomeBeforeAMajorityHasSynced:
    """The one promise that the whole system rests on."""

    def test_followers_that_have_not_synced_do_not_count(self, tmp_path: Path) -> None:
        """With both followers' syncs held there is no answer; with one of them done there is."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        cluster[2].disk_held = cluster[3].disk_held = True
        leader.ask(order("a"))
        cluster.settle()
        assert leader.replies() == {}
        cluster[3].disk_held = False
        cluster.settle()
        assert ordered(leader.replies()[1]).on_hand_after == 99

    def test_a_leader_answers_only_what_its_own_log_has_synced(self, tmp_path: Path) -> None:
        """Two synced followers are a majority, but the leader applies only its own synced log."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.disk_held = True
        leader.ask(order("a"))
        cluster.settle()
        assert leader.replies() == {}
        leader.disk_held = False
        cluster.settle()
        assert ordered(leader.replies()[1]).on_hand_after == 99

    def test_a_probe_waits_for_a_majority_as_an_order_does(self, tmp_path: Path) -> None:
        """It says that writes commit, so it is one, down to the sync."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        user = log_pb2.NewUser(name="health", folded_name="health", role=auth_pb2.ROLE_MACHINE)
        user.password_hash = "hash"  # noqa: S105 - of nothing
        made = log_pb2.Administration(request_id="a", create_user=log_pb2.CreateUser(user=user))
        leader.ask(log_pb2.Command(administration=made))
        cluster.settle()
        [created] = leader.replies().values()
        health = log_pb2.AdministrationOutcome.FromString(created.administration).user
        login = histories.start_session("b", health.id, 1, "secret")
        leader.ask(log_pb2.Command(administration=login), first_id=2)
        cluster.settle()
        outcome = log_pb2.AdministrationOutcome.FromString(leader.replies()[2].administration)
        cluster[2].disk_held = cluster[3].disk_held = True
        probe = log_pb2.Command(
            user_id=health.id,
            epoch=1,
            session_id=outcome.session.session.id,
            probe=log_pb2.Probe(),
        )
        leader.ask(probe, first_id=3)
        cluster.settle()
        assert 3 not in leader.replies()
        cluster[3].disk_held = False
        cluster.settle()
        reply = leader.replies()[3]
        outcome = log_pb2.AdministrationOutcome.FromString(reply.administration)
        assert outcome.revision == leader.node.view().applied_index

    def test_an_answered_order_survives_the_loss_of_power_everywhere(self, tmp_path: Path) -> None:
        """Nothing was flushed: the logs alone bring it back."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a", quantity=7))
        cluster.settle()
        assert ordered(leader.replies()[1]).on_hand_after == 93
        for member in cluster.members.values():
            member.crash()
        for member in cluster.members.values():
            member.start()
        leader = cluster.elect(2)
        cluster.open()
        assert on_hand(cluster, leader) == 93


class TestWaiters:
    """A waiter succeeds only when the entry of its own (index, term) is applied."""

    def test_a_lost_lead_makes_the_outcome_unknown(self, tmp_path: Path) -> None:
        """Also when the entry was never to survive: the gateway asks again with the same id."""
        cluster = ManualCluster(tmp_path)
        old = cluster.elect(1)
        cluster.open()
        old.cut_off = True
        old.ask(order("a", quantity=2))
        cluster.settle()
        new = cluster.elect(2)
        assert old.replies() == {}
        old.cut_off = False
        cluster.pass_time(4)
        assert old.replies()[1].retry == forward_pb2.RETRY_UNKNOWN
        new.ask(order("a", quantity=2))
        cluster.settle()
        assert ordered(new.replies()[1]).on_hand_after == 98

    def test_a_request_repeated_to_the_next_leader_is_applied_once(self, tmp_path: Path) -> None:
        """The first leader's entry did survive; the retry is answered from the log's memory."""
        cluster = ManualCluster(tmp_path)
        old = cluster.elect(1)
        cluster.open()
        old.disk_held = True
        old.ask(order("a", quantity=2))
        cluster.settle()
        old.cut_off = True
        new = cluster.elect(2)
        new.ask(order("a", quantity=2))
        cluster.settle()
        assert ordered(new.replies()[1]).on_hand_after == 98
        assert on_hand(cluster, new) == 98

    def test_a_follower_sends_to_the_leader_at_once(self, tmp_path: Path) -> None:
        """Nothing was proposed, and the gateway may ask elsewhere without a doubt."""
        cluster = ManualCluster(tmp_path)
        cluster.elect(1)
        cluster.open()
        cluster[2].ask(order("a"))
        replies = cluster[2].replies()
        assert replies[1].retry == forward_pb2.RETRY_NOT_LEADER

    def test_commands_not_yet_proposed_are_told_so(self, tmp_path: Path) -> None:
        """What waits behind a sync when the lead is lost was never in any log."""
        cluster = ManualCluster(tmp_path)
        old = cluster.elect(1)
        cluster.open()
        old.disk_held = old.cut_off = True
        old.ask(order("a"))
        old.ask(order("b"), first_id=2)
        cluster.elect(2)
        old.cut_off = False
        cluster.pass_time(4)
        assert old.replies()[1].retry == forward_pb2.RETRY_UNKNOWN
        assert old.replies()[2].retry == forward_pb2.RETRY_NOT_LEADER


class TestBatches:
    """The sync gathers, no timer does, and every queue has an end."""

    def test_what_comes_during_a_sync_is_one_entry(self, tmp_path: Path) -> None:
        """The first command leaves at once; the next three share the entry after it."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.disk_held = True
        for number in range(1, 5):
            leader.ask(order(f"r{number}"), first_id=number)
        assert commands_sent(leader) == [1]
        leader.transport.messages.clear()
        leader.disk_held = False
        leader.work()
        assert commands_sent(leader) == [3]

    def test_an_entry_is_bounded_in_commands_and_bytes(self, tmp_path: Path) -> None:
        """A frame over the bounds becomes several entries."""
        command_bytes = len(order("r1").SerializeToString())

        def small(settings: NodeSettings) -> NodeSettings:
            return replace(settings, batch_commands_max=3, batch_bytes_max=2 * command_bytes)

        cluster = ManualCluster(tmp_path, change=small)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(*(order(f"r{number}") for number in range(5)))
        assert commands_sent(leader) == [2, 2, 1]

    def test_past_the_bound_of_the_queue_a_command_is_sent_away(self, tmp_path: Path) -> None:
        """Nothing was proposed, so the gateway may send it again after a while."""

        def small(settings: NodeSettings) -> NodeSettings:
            return replace(settings, commands_waiting_max=2)

        cluster = ManualCluster(tmp_path, change=small)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(*(order(f"r{number}") for number in range(4)))
        cluster.settle()
        replies = leader.replies()
        assert [reply for reply in replies if replies[reply].HasField("retry")] == [3, 4]
        assert replies[4].retry == forward_pb2.RETRY_OVERLOADED
        assert ordered(replies[2]).on_hand_after == 98

    def test_past_the_bound_of_uncommitted_bytes_commands_wait(self, tmp_path: Path) -> None:
        """In the order in which they came; none is lost when a majority is there again."""

        def tight(settings: NodeSettings) -> NodeSettings:
            return replace(settings, uncommitted_bytes_max=200, batch_commands_max=1)

        cluster = ManualCluster(tmp_path, change=tight)
        leader = cluster.elect(1)
        cluster.open()
        cluster[2].cut_off = cluster[3].cut_off = True
        for number in range(1, 31):
            leader.ask(order(f"r{number}"), first_id=number)
        while leader.work():
            pass
        assert leader.node._raft.uncommitted_bytes <= 200 + 100
        assert len(leader.node._write.proposals._waiting) > 20
        cluster[2].cut_off = cluster[3].cut_off = False
        cluster.pass_time(8)
        replies = leader.replies()
        assert [ordered(replies[n]).on_hand_after for n in range(1, 31)] == [*range(99, 69, -1)]

    def test_a_command_out_of_bounds_never_enters_the_log(self, tmp_path: Path) -> None:
        """The refusal is final; those around it go through."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        before = leader.node.view().last_log_index
        leader.ask(order("a", quantity=0))
        cluster.settle()
        assert leader.replies()[1].HasField("error")
        assert leader.node.view().last_log_index == before

    def test_a_turn_applies_a_bounded_number_of_commands(self, tmp_path: Path) -> None:
        """A burst of committed entries does not hold up the heartbeat behind it."""

        def small(settings: NodeSettings) -> NodeSettings:
            return replace(settings, apply_commands_per_turn_max=4, batch_commands_max=4)

        cluster = ManualCluster(tmp_path, change=small)
        leader = cluster.elect(1)
        cluster.open()
        leader.disk_held = True
        leader.ask(*(order(f"r{number}") for number in range(12)))
        cluster.settle()
        leader.disk_held = False
        leader.disk.drain()
        leader.node.handle(leader.inbox.popleft())
        assert leader.node.busy
        assert len(leader.replies()) == 4
        leader.handle(Tick())
        assert not leader.node.busy
        assert len(leader.replies()) == 12


class TestStamps:
    """Log time never goes back."""

    def timestamps(self, member: HandMember) -> list[int]:
        """Read the stamps of the commands in a member's log."""
        return [
            raw_pb2.RawBatch.FromString(entry.payload).stamp_ms
            for entry in member.log_entries()
            if entry.kind is EntryKind.COMMAND
        ]

    def test_a_leader_whose_clock_goes_back_repeats_its_last_stamp(self, tmp_path: Path) -> None:
        """Time stands still until the clock has caught up."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        for number, ms in enumerate((5_000, 4_000, 6_000), start=1):
            leader.clock.ms = 1_700_000_000_000 + ms
            leader.ask(order(f"r{number}"), first_id=number)
            cluster.settle()
        assert [stamp - 1_700_000_000_000 for stamp in self.timestamps(leader)[-3:]] == [
            5_000,
            5_000,
            6_000,
        ]

    def test_a_leader_whose_clock_is_behind_the_log_goes_on_from_the_log(
        self, tmp_path: Path
    ) -> None:
        """Its predecessor's stamps bind it, applied or not."""
        cluster = ManualCluster(tmp_path)
        old = cluster.elect(1)
        cluster.open()
        old.clock.ms += 60_000
        old.ask(order("a"))
        cluster.settle()
        old.cut_off = True
        new = cluster.elect(2)
        new.ask(order("b"))
        cluster.settle()
        assert self.timestamps(new)[-1] == old.clock.ms


class TestLeadership:
    """Gateways follow what members push."""

    def leaderships(self, member: HandMember) -> list[tuple[int, str]]:
        """Read what was pushed so far."""
        return [
            (frame.leadership.term, frame.leadership.leader)
            for _, frame in member.transport.frames
            if frame.HasField("leadership")
        ]

    def test_a_session_is_greeted_and_told_of_changes_alone(self, tmp_path: Path) -> None:
        """Nobody is known at first; the same news is not told twice."""
        cluster = ManualCluster(tmp_path)
        cluster.open()
        assert self.leaderships(cluster[3]) == [(0, "")]
        cluster.elect(1)
        cluster.pass_time(6)
        term = cluster[1].node.view().term
        assert self.leaderships(cluster[3])[-1] == (term, "node-1")
        assert len(set(self.leaderships(cluster[3]))) == len(self.leaderships(cluster[3]))


class TestTheEnd:
    """Stopping makes durable what is applied; a failure ends the process."""

    def test_stopping_flushes_and_then_reports(self, tmp_path: Path) -> None:
        """Who waits is sent away first; a lone member has nobody to hand over to."""
        cluster = ManualCluster(tmp_path, count=1)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a"))
        cluster.settle()
        leader.store_held = True
        leader.ask(order("b"), first_id=2)
        leader.handle(StopRequested())
        assert leader.replies()[2].retry == forward_pb2.RETRY_UNKNOWN
        cluster.settle()
        assert not leader.node.stopped
        leader.store_held = False
        cluster.settle()
        assert leader.node.stopped
        assert leader.node.view().durable_index == leader.node.view().applied_index

    def test_a_leader_that_stops_hands_over_first(self, tmp_path: Path) -> None:
        """What comes meanwhile is held, then sent to the successor; nothing is refused."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a"))
        leader.handle(StopRequested())
        leader.ask(order("b"), first_id=2)
        assert not leader.node.stopped
        assert not leader.replies()
        cluster.settle()
        assert leader.node.stopped
        assert leader.replies()[1].HasField("outcome")
        assert leader.replies()[2].retry == forward_pb2.RETRY_NOT_LEADER
        roles = [cluster[other].node.view().role for other in (2, 3)]
        assert cluster_pb2.MEMBER_ROLE_LEADER in roles

    def test_a_leader_that_is_handing_over_already_stops_after_it(self, tmp_path: Path) -> None:
        """An operator's transfer is under way when the process is asked to end."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        cluster.open()
        leader.ask(order("a"))
        request = membership_pb2.ChangeRequest(cluster_id="cluster", transfer="node-2")
        leader.handle(ChangeAsked(1, request))
        leader.handle(StopRequested())
        assert not leader.replies(), "it still leads"
        cluster.settle()
        assert leader.node.stopped
        assert cluster[2].leads

    def test_a_leader_whose_successor_is_silent_stops_all_the_same(self, tmp_path: Path) -> None:
        """After an election timeout; or at once, when it is asked again."""
        cluster = ManualCluster(tmp_path)
        leader = cluster.elect(1)
        leader.handle(StopRequested())
        cluster.open()
        leader.ask(order("a"))
        for _ in range(12):
            assert not leader.replies()
            leader.handle(Tick())
        assert leader.replies()[1].retry == forward_pb2.RETRY_NOT_LEADER
        again = ManualCluster(tmp_path / "again")
        leader = again.elect(1)
        leader.handle(StopRequested())
        leader.handle(StopRequested())
        again.settle()
        assert leader.node.stopped

    @pytest.mark.parametrize(
        "event", [DiskFailed(1, "input/output error"), StoreFailed("disk image is malformed")]
    )
    def test_a_failed_disk_or_database_halts(
        self, tmp_path: Path, event: DiskFailed | StoreFailed
    ) -> None:
        """A second sync after a failed one proves nothing."""
        cluster = ManualCluster(tmp_path, count=1)
        with pytest.raises(Halted, match=event.problem):
            cluster[1].handle(event)

    def test_a_leader_whose_disk_hangs_gives_up_the_lead(self, tmp_path: Path) -> None:
        """The others elect one whose disk works."""

        def small(settings: NodeSettings) -> NodeSettings:
            return replace(settings, disk_hung_ticks=10)

        cluster = ManualCluster(tmp_path, change=small)
        leader = cluster.elect(1)
        cluster.open()
        leader.disk_held = True
        leader.ask(order("a"))
        cluster.pass_time(10, 1)
        assert leader.leads
        cluster.pass_time(2, 1)
        assert not leader.leads
        assert leader.replies()[1].retry == forward_pb2.RETRY_UNKNOWN
        new = cluster.elect(2)
        new.ask(order("a"))
        cluster.settle()
        assert ordered(new.replies()[1]).on_hand_after == 99

    def test_a_gap_between_log_and_state_halts(self, tmp_path: Path) -> None:
        """Applying around a hole would fork the replicas."""
        cluster = ManualCluster(tmp_path, count=1)
        cluster.elect(1)
        gap = Entry(cluster[1].node.view().applied_index + 2, 1, EntryKind.NOOP, b"")
        cluster[1].node._write.applier.queue([gap])
        with pytest.raises(Halted, match="gap"):
            cluster[1].handle(Tick())
