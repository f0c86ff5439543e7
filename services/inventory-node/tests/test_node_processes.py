"""Three real node processes on loopback: they elect, replicate, die, come back, and refuse."""

import shutil
import signal
import socket
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pkitest
import pytest
from chaos.callers import question_answered
from chaos.nodes import NAMES, POLL_SECONDS, SECONDS_MAX, STOCK, VOTER, Nodes
from chaos.ports import free_port
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inventory.raft.v1 import forward_pb2, link_pb2, membership_pb2
from inventory.v1 import cluster_pb2
from inventory_cli.up.layout import tls_settings
from pki.identities import parse_identity

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Return a cluster that is not started, and leave none behind."""
    with Nodes(tmp_path) as cluster:
        yield cluster


def test_an_acknowledged_order_survives_its_leader(nodes: Nodes) -> None:
    """SIGKILL the leader: another one holds the order, knows its id, and takes the next."""
    nodes.start_all()
    first = nodes.order("one")
    assert first.on_hand_after == STOCK - 1
    old = nodes.leader()
    nodes.kill(old)
    assert nodes.leader(besides=old) != old
    again = nodes.order("one")
    assert (again.order_id, again.on_hand_after) == (first.order_id, first.on_hand_after)
    second = nodes.order("two")
    assert second.on_hand_after == STOCK - 2
    assert second.order_id > first.order_id
    nodes.start(old)
    leading = nodes.view(nodes.leader())
    assert leading is not None
    nodes.wait_applied(old, leading.applied_index)


def test_orders_survive_everybody(nodes: Nodes) -> None:
    """SIGKILL all three at once: their logs hold what was acknowledged."""
    nodes.start_all()
    orders = [nodes.order(f"order-{number}") for number in range(10)]
    for name in NAMES:
        nodes.processes[name].send_signal(signal.SIGKILL)
    for name in NAMES:
        nodes.processes[name].wait()
    nodes.start_all()
    for number, order in enumerate(orders):
        again = nodes.order(f"order-{number}")
        assert (again.order_id, again.on_hand_after) == (order.order_id, order.on_hand_after)
    assert nodes.order("another").on_hand_after == STOCK - 11


def test_a_stopped_member_ends_with_status_0_and_comes_back(nodes: Nodes) -> None:
    """SIGTERM: what is applied is durable, and the next start replays nothing."""
    nodes.start_all()
    nodes.order("one")
    leading = nodes.view(nodes.leader())
    assert leading is not None
    for name in NAMES:
        nodes.wait_applied(name, leading.applied_index)
    for name in NAMES:
        nodes.processes[name].terminate()
    assert [nodes.processes[name].wait(timeout=SECONDS_MAX) for name in NAMES] == [0, 0, 0]
    nodes.start_all()
    assert nodes.order("two").on_hand_after == STOCK - 2


def test_a_stopped_leader_that_wakes_up_follows(nodes: Nodes) -> None:
    """SIGSTOP for longer than an election: on waking it steps down, and disturbs nobody."""
    nodes.start_all()
    nodes.order("one")
    old = nodes.leader()
    nodes.processes[old].send_signal(signal.SIGSTOP)
    leader = nodes.leader(besides=old)
    elected = nodes.view(leader)
    nodes.processes[old].send_signal(signal.SIGCONT)
    second = nodes.order("two")
    assert second.on_hand_after == STOCK - 2
    assert elected is not None
    nodes.wait_applied(old, second.revision)
    woken, leading = nodes.view(old), nodes.view(leader)
    assert woken is not None
    assert leading is not None
    assert woken.role == cluster_pb2.MEMBER_ROLE_FOLLOWER
    assert (woken.term, leading.term) == (elected.term, elected.term)


def test_nobody_is_elected_before_everybody_has_bootstrapped(nodes: Nodes) -> None:
    """Two of three are a majority, and still they wait, and say for whom."""
    nodes.start("node-0")
    nodes.start("node-1")
    deadline = time.monotonic() + SECONDS_MAX
    while not all('"names": ["node-2"]' in nodes.said(name) for name in NAMES[:2]):
        assert time.monotonic() < deadline, nodes.said("node-0")
        time.sleep(POLL_SECONDS)
    assert all(not list((nodes.folder / name / "wal").iterdir()) for name in NAMES[:2])
    nodes.start("node-2")
    nodes.order("one")


def test_an_emptied_volume_joins_anew_and_votes(nodes: Nodes) -> None:
    """Its old votes are lost, so it draws an id, follows, and has a vote once it has caught up."""
    nodes.start_all()
    nodes.order("one")
    old = nodes.until_standing("node-1", VOTER)
    nodes.kill("node-1")
    shutil.rmtree(nodes.folder / "node-1")
    nodes.start("node-1")
    new = nodes.until_standing("node-1", VOTER)
    assert new.id != old.id
    nodes.order("two")
    nodes.kill("node-2")
    nodes.order("three")
    nodes.kill("node-1")
    nodes.start("node-1")
    assert nodes.until_standing("node-1", VOTER).id == new.id, "the id is the volume's own"
    nodes.order("four")


@pytest.mark.long
def test_a_cluster_grows_and_shrinks(nodes: Nodes) -> None:
    """Two more join by themselves; one is removed, sets its volume aside and joins again."""
    nodes.start_all()
    nodes.order("one")
    for name in ("node-3", "node-4"):
        nodes.start_later(name)
    for name in ("node-3", "node-4"):
        nodes.until_standing(name, VOTER)
    nodes.order("two")
    for name in ("node-0", "node-1"):
        nodes.kill(name)
    nodes.order("three")
    for name in ("node-0", "node-1"):
        nodes.start(name)
        nodes.until_standing(name, VOTER)
    old = nodes.until_standing("node-4", VOTER)
    assert nodes.change(remove="node-4").done.standing == membership_pb2.STANDING_REMOVED
    nodes.until_standing("node-4", cluster_pb2.MEMBER_STANDING_REMOVED)
    assert nodes.processes["node-4"].poll() is None, "it stays up"
    nodes.order("four")
    nodes.kill("node-4")
    nodes.start_later("node-4")
    new = nodes.until_standing("node-4", VOTER)
    assert new.id != old.id
    assert (nodes.folder / "node-4" / f"removed-{old.id}" / "wal").is_dir()
    nodes.order("five")


def test_a_member_that_is_to_wait_joins_when_it_is_asked_for(nodes: Nodes) -> None:
    """As a learner, and with a vote when somebody promotes it."""
    nodes.start_all()
    nodes.order("one")
    nodes.start_later("node-3", INVENTORY_NODE_JOIN="wait")
    waiting = nodes.until_standing("node-3", cluster_pb2.MEMBER_STANDING_JOINING)
    join = membership_pb2.Join(
        member_id=waiting.id,
        name="node-3",
        address=nodes.addresses["node-3"],
        is_empty=True,
        is_learner=True,
    )
    assert nodes.change(join=join).done.standing == membership_pb2.STANDING_LEARNER
    nodes.until_standing("node-3", cluster_pb2.MEMBER_STANDING_LEARNER)
    assert nodes.change(promote="node-3").done.standing == membership_pb2.STANDING_VOTER
    assert nodes.change(transfer="node-3").done.standing == membership_pb2.STANDING_VOTER
    nodes.order("two")
    assert nodes.until_standing("node-3", VOTER).role == cluster_pb2.MEMBER_ROLE_LEADER
    nodes.start_later("node-4")
    nodes.until_standing("node-4", VOTER)  # its leader is none of the members that it was told of


def test_a_data_directory_in_use_is_refused(nodes: Nodes) -> None:
    """Two processes never share a log."""
    nodes.start_all()
    nodes.order("one")
    with Nodes(nodes.folder) as others:
        status, said = others.refused("node-0")
    assert status == 3
    assert said.count("\n") == 1
    assert "is in use" in said
    nodes.order("two")


def test_a_start_waits_for_the_process_before_it(nodes: Nodes) -> None:
    """Until that lets go of the data directory; SIGTERM ends the wait, also of a container's first.

    Python would end by SIGTERM with the status -15; the first process of a container would not end.
    """
    nodes.start_all()
    nodes.order("one")
    with Nodes(nodes.folder) as others:
        others.addresses = nodes.addresses
        waits = others.start("node-0", INVENTORY_NODE_LOCK_SECONDS="3600")
        until_said(others, "node-0", "waits_for_data_directory")
        waits.terminate()
        assert waits.wait(timeout=SECONDS_MAX) == 0
        others.start("node-0", INVENTORY_NODE_LOCK_SECONDS="3600")
        until_said(others, "node-0", "waits_for_data_directory", times=2)
        nodes.kill("node-0")
        others.until_standing("node-0", VOTER)
        nodes.order("two")


def test_a_taken_port_is_one_line(nodes: Nodes) -> None:
    """Also where C-core would share it in silence, and also the port of the metrics."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, said = nodes.refused("node-0", INVENTORY_NODE_LISTEN=address)
        assert (status, said.count("\n")) == (6, 1), said
        assert f"cannot listen on {address}" in said
        status, said = nodes.refused(
            "node-0",
            INVENTORY_NODE_MEMBERS=f"node-0={nodes.addresses['node-0']}",
            INVENTORY_METRICS_LISTEN=address,
        )
        assert status == 6
        assert f"cannot listen on {address}" in said.splitlines()[-1]


@pytest.mark.parametrize("folder", ["bootstrap.json", "/proc/inventory"])
def test_a_data_directory_that_cannot_be_written_is_one_line(nodes: Nodes, folder: str) -> None:
    """A file in its place, or a place where nobody may write."""
    status, said = nodes.refused("node-0", INVENTORY_DATA_DIR=str(nodes.folder / folder))
    assert (status, said.count("\n")) == (3, 1), said
    assert "cannot be written" in said


def test_members_of_different_authorities_do_not_begin(nodes: Nodes) -> None:
    """They say why, at both ends, and begin once their certificates fit."""
    nodes.start("node-0")
    foreign = pkitest.folder("another").keep(parse_identity("node-1"))
    nodes.start("node-1", **tls_settings(foreign))
    for name, sentence in (("node-0", "is not accepted here"), ("node-1", "does not accept")):
        nodes.until_said(name, sentence)
        nodes.until_said(name, "caller_refused")
    assert all(not list((nodes.folder / name / "wal").iterdir()) for name in NAMES[:2])
    nodes.kill("node-1")
    nodes.start("node-1")
    nodes.start("node-2")
    assert nodes.order("one").on_hand_after == STOCK - 1


def test_a_certificate_of_another_process_is_refused_at_the_start(nodes: Nodes) -> None:
    """Whatever else is right; and so is a key that others may read."""
    gateway = tls_settings(nodes.gateway)
    status, said = nodes.refused("node-0", **gateway)
    assert (status, said.count("\n")) == (2, 1), said
    assert "is the certificate of gateway, and this is member node-0" in said
    own = nodes.pki.files(parse_identity("node-0"))
    own.key.chmod(0o644)
    status, said = nodes.refused("node-0")
    assert (status, said.count("\n")) == (2, 1), said
    assert "is open to others" in said


def test_members_with_different_lists_do_not_begin(nodes: Nodes) -> None:
    """Each would begin a cluster of its own."""
    lists = ",".join(f"{name}={nodes.addresses[name]}" for name in NAMES[:2])
    nodes.start("node-0")
    nodes.start("node-1", INVENTORY_NODE_MEMBERS=lists)
    status, said = nodes.first_to_end()
    assert status == 5
    assert "was started with other first members" in said.splitlines()[-1]
    assert all(not list((nodes.folder / name / "wal").iterdir()) for name in NAMES[:2])


def test_health_and_metrics_show_the_member(nodes: Nodes) -> None:
    """Three names of gRPC health, and what Prometheus reads."""
    port = free_port()
    nodes.start("node-0", INVENTORY_METRICS_LISTEN=f"127.0.0.1:{port}")
    with grpc.insecure_channel(nodes.probe_addresses["node-0"]) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        def serves(service: str) -> bool:
            request = health_pb2.HealthCheckRequest(service=service)
            status = health.Check(  # type: ignore[attr-defined]  # the stubs leave it out
                request, timeout=SECONDS_MAX, wait_for_ready=True
            ).status
            return bool(status == health_pb2.HealthCheckResponse.SERVING)

        assert [serves(name) for name in ("liveness", "startup", "readiness", "")] == [
            True, False, False, False,
        ]  # fmt: skip
        nodes.start("node-1")
        nodes.start("node-2")
        nodes.order("one")
        deadline = time.monotonic() + SECONDS_MAX
        while not all(serves(name) for name in ("liveness", "startup", "readiness", "")):
            assert time.monotonic() < deadline, nodes.said("node-0")
            time.sleep(POLL_SECONDS)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS_MAX) as page:
        text = page.read().decode()
    shown = dict(line.split() for line in text.splitlines() if not line.startswith("#"))
    assert float(shown["inventory_node_peers_connected"]) == 2
    for name in ("term", "commit_index", "wal_sync_seconds_count", "loop_busy_seconds_total"):
        assert float(shown[f"inventory_node_{name}"]) > 0, name


def test_each_certificate_opens_its_own_links_alone(nodes: Nodes) -> None:
    """Members and gateways alone talk to a member, and a watcher may only look."""
    nodes.start("node-0", INVENTORY_NODE_MEMBERS=f"node-0={nodes.addresses['node-0']}")
    nodes.leader()
    question, watch = link_pb2.PURPOSE_QUESTION, link_pb2.PURPOSE_WATCH
    for identity, purpose, is_answered in (
        ("health", question, False),
        ("health", watch, True),
        ("metrics", watch, False),
        ("gateway", watch, False),
        ("gateway", question, True),
        ("gateway", link_pb2.PURPOSE_PEER, False),
        ("node-1", question, True),
    ):
        files = nodes.pki.keep(parse_identity(identity))
        look = link_pb2.LinkQuestion(get_member=forward_pb2.GetMemberRequest())
        said = question_answered("node-0", nodes.addresses["node-0"], files, look, purpose)
        assert (said is not None) == is_answered, (identity, purpose)


def test_a_first_member_that_was_removed_while_it_was_down_joins_anew(nodes: Nodes) -> None:
    """Its log does not say so, so it asks; its old id never votes again."""
    nodes.start_all()
    revision = nodes.order("one").revision
    gone = next(name for name in NAMES if name != nodes.leader())
    nodes.wait_applied(gone, revision)  # one that holds nothing yet would come back with its old id
    old = nodes.until_standing(gone, VOTER)
    nodes.kill(gone)
    nodes.change(remove=gone)
    nodes.start(gone)
    again = until_view(nodes, gone, lambda one: one.standing == VOTER and one.id != old.id)
    assert again.id != old.id
    assert (nodes.folder / gone / f"removed-{old.id}" / "wal").is_dir()
    assert nodes.order("two").on_hand_after == STOCK - 2


def until_view(
    nodes: Nodes, name: str, wanted: Callable[[cluster_pb2.Member], bool]
) -> cluster_pb2.Member:
    """Wait until a member is seen as wanted; return it."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        member = nodes.view(name)
        if member is not None and wanted(member):
            return member
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{nodes.view(name)}\n{nodes.said(name)}")


def until_said(nodes: Nodes, name: str, word: str, times: int = 1) -> None:
    """Wait until a member, which runs on, has logged something so often."""
    deadline = time.monotonic() + SECONDS_MAX
    while nodes.said(name).count(word) < times:
        assert time.monotonic() < deadline, nodes.said(name)
        assert nodes.processes[name].poll() is None, nodes.said(name)
        time.sleep(POLL_SECONDS)


def until_unready(nodes: Nodes, name: str) -> None:
    """Wait until the readiness probe of a member keeps clients away."""
    asked = health_pb2.HealthCheckRequest(service="readiness")
    serving = health_pb2.HealthCheckResponse.SERVING
    deadline = time.monotonic() + SECONDS_MAX
    with grpc.insecure_channel(nodes.probe_addresses[name]) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while stub.Check(asked, timeout=SECONDS_MAX).status == serving:
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)


def test_a_member_whose_database_was_changed_leaves_service_and_is_rebuilt(nodes: Nodes) -> None:
    """A row of a stopped member's database: found after its start, while the others serve on.

    Its next start sets the data aside and joins anew, as soon as a leader says that there is a
    majority without it; before that it stays out of service.
    """
    often = {"INVENTORY_NODE_CHECKPOINT_SECONDS": "1"}
    for name in NAMES:
        nodes.start(name, **often)
    revision = nodes.order("one").revision
    leader = nodes.leader()
    wrong, other = (name for name in NAMES if name != leader)
    nodes.wait_applied(wrong, revision)
    nodes.processes[wrong].terminate()
    assert nodes.processes[wrong].wait(timeout=SECONDS_MAX) == 0
    (path,) = (nodes.folder / wrong).glob("state-*/state.db")
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute("UPDATE items SET quantity = 5").rowcount == 1
    connection.close()
    nodes.start(wrong, **often)
    before = until_view(nodes, wrong, lambda member: bool(member.diverged))
    until_unready(nodes, wrong)
    assert '"diverged"' in nodes.said(wrong)
    assert nodes.order("two").on_hand_after == STOCK - 2
    for name in (leader, other):
        view = nodes.view(name)
        assert view is not None
        assert not view.diverged

    for name in NAMES:
        nodes.kill(name)
    nodes.start(wrong, **often)
    assert until_view(nodes, wrong, lambda member: bool(member.diverged)).id == before.id
    nodes.kill(wrong)
    for name in (leader, other):
        nodes.start(name, **often)
    nodes.leader()
    nodes.start(wrong, **often)
    rebuilt = until_view(
        nodes, wrong, lambda member: member.standing == VOTER and member.id != before.id
    )
    assert not rebuilt.diverged
    assert (nodes.folder / wrong / f"diverged-{before.id}").is_dir()
    assert nodes.order("three").on_hand_after == STOCK - 3

    def agrees(member: cluster_pb2.Member) -> bool:
        view = nodes.view(nodes.leader())
        return bool(
            view and view.state_hash.index > rebuilt.applied_index
        ) and member.state_hash == (view.state_hash if view else None)

    assert not until_view(nodes, wrong, agrees).diverged


class TestLeaving:
    """SIGTERM with time to leave: a member that a majority needs serves on meanwhile."""

    def start_all(self, nodes: Nodes, seconds: str) -> None:
        """Start every member, and wait until each is known to each."""
        for name in NAMES:
            nodes.start(name, INVENTORY_NODE_LEAVE_SECONDS=seconds)
        nodes.order("one")
        leading = nodes.view(nodes.leader())
        assert leading is not None
        for name in NAMES:
            nodes.wait_applied(name, leading.applied_index)

    def lose(self, nodes: Nodes, name: str, witness: str) -> None:
        """Kill a member, and wait until another has noticed: its sockets were closed."""
        nodes.kill(name)
        until_said(nodes, witness, "peer_lost")

    def one_that_is_needed(self, nodes: Nodes) -> str:
        """Kill a follower and ask the other one to stop; return its name."""
        leaving, away = (name for name in NAMES if name != nodes.leader())
        self.lose(nodes, away, leaving)
        nodes.processes[leaving].terminate()
        return leaving

    @pytest.mark.parametrize("leads", [True, False], ids=["the leader", "a follower"])
    def test_one_that_is_needed_waits_for_the_one_that_is_away(
        self,
        nodes: Nodes,
        leads: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        """Orders go on, though it is asked to go, and it goes when the other is back."""
        self.start_all(nodes, "3600")
        leader = nodes.leader()
        follower, away = (name for name in NAMES if name != leader)
        leaving = leader if leads else follower
        self.lose(nodes, away, leaving)
        nodes.processes[leaving].terminate()
        until_said(nodes, leaving, "leaves_later")
        until_unready(nodes, leaving)
        assert nodes.order("two").on_hand_after == STOCK - 2
        nodes.start(away, INVENTORY_NODE_LEAVE_SECONDS="3600")
        assert nodes.processes[leaving].wait(timeout=SECONDS_MAX) == 0
        assert nodes.order("three").on_hand_after == STOCK - 3

    @pytest.mark.long
    def test_its_time_is_bounded(self, nodes: Nodes) -> None:
        """Nobody comes back."""
        self.start_all(nodes, "1")
        leaving = self.one_that_is_needed(nodes)
        assert nodes.processes[leaving].wait(timeout=SECONDS_MAX) == 0
        assert "leaves_all_the_same" in nodes.said(leaving)

    @pytest.mark.long
    def test_a_second_signal_ends_it_at_once(self, nodes: Nodes) -> None:
        """Whoever sends it knows better."""
        self.start_all(nodes, "3600")
        leaving = self.one_that_is_needed(nodes)
        until_said(nodes, leaving, "leaves_later")
        nodes.processes[leaving].terminate()
        assert nodes.processes[leaving].wait(timeout=SECONDS_MAX) == 0

    @pytest.mark.long
    def test_when_all_are_to_go_they_go(self, nodes: Nodes) -> None:
        """Nobody waits for another that waits as well."""
        self.start_all(nodes, "3600")
        for name in NAMES:
            nodes.processes[name].terminate()
        assert [nodes.processes[name].wait(timeout=SECONDS_MAX) for name in NAMES] == [0, 0, 0]

    @pytest.mark.long
    def test_two_that_are_to_go_go_one_after_the_other(self, nodes: Nodes) -> None:
        """The second waits until the first is back."""
        self.start_all(nodes, "3600")
        leader = nodes.leader()
        two = [name for name in NAMES if name != leader]
        for name in two:
            nodes.processes[name].terminate()
        first = None
        deadline = time.monotonic() + SECONDS_MAX
        while first is None:
            first = next((name for name in two if nodes.processes[name].poll() == 0), None)
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)
        [second] = set(two) - {first}
        until_said(nodes, second, "leaves_later")
        assert nodes.order("two").on_hand_after == STOCK - 2
        nodes.start(first, INVENTORY_NODE_LEAVE_SECONDS="3600")
        assert nodes.processes[second].wait(timeout=SECONDS_MAX) == 0
        assert nodes.order("three").on_hand_after == STOCK - 3
