"""One member from its start to its stop: identity, server, node."""

import asyncio
import gc
import os
import random
import time
from collections.abc import Collection

from inventory.raft.v1 import peer_pb2
from inventory.v1 import cluster_pb2
from pki.errors import PkiError
from pki.identities import Kind, ProcessIdentity
from service import metrics
from service.errors import SecretUnusable
from service.faults import Faults
from service.process import contexts_of, on_stop
from service.tasks import until_first

from inventory_node.config import NodeConfig
from inventory_node.core import events
from inventory_node.core.claims import Known
from inventory_node.core.membership import bootstrap
from inventory_node.core.membership.drain import Departure
from inventory_node.core.membership.join import StandingWatch
from inventory_node.core.node import Node, NodeSettings, Ports
from inventory_node.machine import Machine
from inventory_node.ports import Contact
from inventory_node.runtime.data_directory import DataDirectory
from inventory_node.runtime.disk import ThreadedDisk
from inventory_node.runtime.failpoints import hooks_of
from inventory_node.runtime.gateways import Gateways
from inventory_node.runtime.loop import TICK_SECONDS, Loop
from inventory_node.runtime.membership_requests import DepartureRequests, run_standing_watch
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.metrics import NodeCollector, NodeCounts, registry
from inventory_node.runtime.network import MemberTransport
from inventory_node.runtime.peer_api import PeerApi
from inventory_node.runtime.peers import Local, Peers
from inventory_node.runtime.probes import MemberProbes
from inventory_node.runtime.questions import MemberAnswers
from inventory_node.runtime.relay import Relays
from inventory_node.runtime.server import MemberServer, ProbeServer
from inventory_node.runtime.snapshot import quarantined
from inventory_node.runtime.startup import POLL_SECONDS, Startup
from inventory_node.runtime.store import SqliteStore
from inventory_node.runtime.volume import VolumeWatch
from inventory_node.runtime.watcher import MemberWatcher
from inventory_node.wal import Identity, Recovered

SHOW_SECONDS = 0.25
CHECKPOINT_GAP_TICKS = 1_200  # shorter if checkpoints are more frequent
# Full collections are all but off. Over a state in use, a full collection blocks the loop for
# hundreds of milliseconds, and finds hardly any cycle.
GC_THRESHOLDS = (5_000, 5, 1_000)
VERSION = "0.1.0"


class WallClock:
    """The `Clock` port."""

    def elapsed_ms(self) -> int:
        """Return milliseconds that never go back."""
        return time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class Chance:
    """The `Random` port."""

    def below(self, bound: int) -> int:
        """Return an integer from 0 to bound - 1."""
        return random.randrange(bound)  # noqa: S311 - election jitter, not a secret


class SelfDescription:
    """The member's description for a peer that starts, from the member's own first moment on.

    - No description is given before the log is read: the member might seem to be empty.
    """

    def __init__(self, identity: Identity, founding: str) -> None:
        """Begin with the settings' identity, without a cluster's id.

        The member's id is 0 until it is drawn or read, for a member that is none of the first.
        """
        self.identity = identity
        self._founding = founding
        self._cluster_id = ""  # on the disk
        self._is_read = False  # the content of the disk is known
        self._is_bootstrapped = False
        self._term = 0  # the term before the node runs

    def read(self, recovered: Recovered) -> None:
        """Take the content of the disk, long before this member is open."""
        self._is_read = True
        self._cluster_id = recovered.identity.cluster_id if recovered.identity is not None else ""
        self._is_bootstrapped = recovered.identity is not None
        self._term = recovered.hard_state.term

    def take_over(self, recovered: Recovered) -> None:
        """Take the identity that the log holds."""
        if recovered.identity is not None:
            self.identity = recovered.identity
        self._is_bootstrapped = True
        self._term = recovered.hard_state.term

    def response(
        self, node: Node | None, reached: Collection[int]
    ) -> peer_pb2.DescribeResponse | None:
        """Return the description and the reached peers; None before the log is read."""
        if not self._is_read:
            return None
        return peer_pb2.DescribeResponse(
            cluster_id=self._cluster_id,
            founding=self._founding,
            member_id=self.identity.member_id,
            name=self.identity.name,
            bootstrapped=self._is_bootstrapped,
            term=node.view().term if node is not None else self._term,
            reach=peer_pb2.Reach(member_ids=sorted(reached)),
        )


class StopSignal:
    """SIGTERM and SIGINT: the first lets the member leave in time, the second ends it at once."""

    def __init__(self) -> None:
        """Start without a signal."""
        self.has_come = False
        self._leave = asyncio.Event()

    def come(self, *, may_leave: bool) -> bool:
        """Note a signal; return whether the member must stop at once."""
        is_first, self.has_come = not self.has_come, True
        if is_first and may_leave:
            self._leave.set()
            return False
        return True

    async def wait_to_leave(self) -> None:
        """Return once the member should leave in time."""
        await self._leave.wait()


class MemberProcess:
    """One member from its start to its stop: identity, server, node."""

    def __init__(self, config: NodeConfig) -> None:
        """Read the certificate; nothing is opened yet."""
        self._config = config
        self._counts = NodeCounts()
        self._hooks = hooks_of(self._counts.timings, config.failpoints)
        self._contexts = contexts_of(config, identity_in(config))
        names = list(config.members)
        founding = bootstrap.founding_of(names)
        self._ids = {name: bootstrap.member_id_of(founding, name) for name in names}
        own_id = self._ids.get(config.node_name, 0)
        self._description = SelfDescription(Identity("", own_id, config.node_name), founding)
        self._node: Node | None = None
        self._watcher: MemberWatcher | None = None
        self._volume: VolumeWatch | None = None
        self._standing_watch: StandingWatch | None = None
        self._faults = Faults()
        self._stop_signal = StopSignal()

    @property
    def _identity(self) -> Identity:
        return self._description.identity

    def view(self) -> cluster_pb2.Member:
        """Return the member as the member sees itself, with facts that only the process knows."""
        config = self._config
        member = cluster_pb2.Member(name=config.node_name, id=self._identity.member_id)
        if self._node is not None:
            member = self._node.view()
            if self._watcher is not None:
                member.elections.extend(self._watcher.elections)
        volume = self._volume.seen if self._volume is not None else None
        if volume is not None:
            member.volume.CopyFrom(volume)
        if self._standing_watch is not None and self._standing_watch.was_removed:
            member.standing = cluster_pb2.MEMBER_STANDING_REMOVED
        member.address = config.address
        member.pid = os.getpid()
        member.version = VERSION
        member.reachable = True
        return member

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raise Exit or Halted."""
        self._faults.watch_links()
        config, identity = self._config, self._identity
        peers = {
            self._ids[name]: Contact(name, address)
            for name, address in config.members.items()
            if name != config.node_name
        }
        loop = Loop()
        contact = Contact(config.node_name, config.address)
        own = Local("", identity.member_id, contact, self._contexts)
        network_peers = Peers(own, peers, loop.post, self._hooks)
        self._volume = VolumeWatch(config.data_dir)
        gateways = Gateways(loop.post)
        peer_api = PeerApi(
            own, loop.post, self._known, network_peers.connect_caller, network_peers.name_of
        )
        membership = MembershipService(loop.post)
        answers = MemberAnswers(
            own,
            lambda: self._description.response(self._node, network_peers.reached),
            self.view,
            membership,
            network_peers.name_of,
        )
        relays = Relays(own, network_peers.address_of)
        server = MemberServer(own, gateways, peer_api, answers, relays)
        probes = MemberProbes()
        await probes.mark_alive()
        await server.listen(config.node_listen)
        probe_server = ProbeServer(config.node_health_listen, probes, self._faults)
        await probe_server.start()
        on_stop(lambda: self._stop(loop))
        network = MemberTransport(network_peers, gateways, peer_api, membership)

        def know(recovered: Recovered) -> None:
            self._description.read(recovered)
            own.cluster_id = recovered.identity.cluster_id if recovered.identity else ""

        startup = Startup(
            DataDirectory(config.data_dir, config.raft_segment_bytes),
            identity,
            self._ids,
            network_peers,
            is_ending=lambda: self._stop_signal.has_come,
            know=know,
        )

        async def live() -> None:
            recovered = await startup.open(config.address)
            self._description.take_over(recovered)
            own.member_id = self._identity.member_id
            network_peers.introduce()
            departure = Departure(own.cluster_id)
            leaving = DepartureRequests(departure, membership, network_peers)
            await until_first(
                self._live(recovered, network_peers, network, loop, probes),
                self._leave(leaving, loop),
            )

        try:
            await until_first(network_peers.run(), relays.run(), live())
        finally:
            self._volume.close()
            await probes.mark_draining()
            server.close()
            network_peers.close()
            await probe_server.stop()

    def _known(self) -> Known | None:
        """Return what messages are compared with; None before the node runs."""
        return self._node.known if self._node is not None else None

    def _stop(self, loop: Loop) -> None:
        """Begin to leave; stop at once without time to leave, or at a second signal."""
        may_leave = self._node is not None and bool(self._config.node_leave_seconds)
        if self._stop_signal.come(may_leave=may_leave):
            loop.post(events.StopRequested())

    async def _leave(self, leaving: DepartureRequests, loop: Loop) -> None:
        """Wait for a signal, then until this member may stop or its time is up; then stop."""
        await self._stop_signal.wait_to_leave()
        await leaving.run(self.view, self._config.node_leave_seconds)
        loop.post(events.StopRequested())
        await asyncio.Event().wait()

    async def _live(
        self,
        recovered: Recovered,
        peers: Peers,
        network: MemberTransport,
        loop: Loop,
        probes: MemberProbes,
    ) -> None:
        """Run the node until the node ends."""
        config, identity = self._config, self._identity
        initialize = bootstrap.initialize_of(config.bootstrap_file, identity.cluster_id)
        installed = recovered.installed_index
        checkpoint_ticks = round(config.node_checkpoint_seconds / TICK_SECONDS)
        counts, hooks = self._counts, self._hooks
        disk = ThreadedDisk(config.data_dir / "wal", loop.emit, hooks)
        store = SqliteStore(config.data_dir, installed, loop.emit, hooks)
        settings = NodeSettings(
            name=identity.name,
            member_id=identity.member_id,
            cluster_id=identity.cluster_id,
            members={member_id: name for name, member_id in self._ids.items()},
            initialize=initialize,
            quarantined=quarantined(config.data_dir, installed),
            checkpoint_ticks=checkpoint_ticks,
            checkpoint_gap_ticks=min(CHECKPOINT_GAP_TICKS, checkpoint_ticks),
            log_tail_entries=config.raft_tail_entries,
        )
        watcher = self._watcher = MemberWatcher(counts, orders=config.log_level == "debug")
        ports = Ports(
            disk=disk,
            store=store,
            transport=network,
            clock=WallClock(),
            random=Chance(),
            observer=watcher,
            hooks=hooks,
        )
        machine = Machine(store)
        node = Node(settings, ports, recovered, machine)
        node.allow_campaigns(allowed=False)
        self._node = node
        if config.metrics_listen:
            collector = NodeCollector(
                self.view, counts, lambda: loop.lag_seconds, lambda: network.traffic(loop)
            )
            metrics.serve(config.metrics_listen, registry(collector), lambda: self._faults.count)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        loop.run(node, network.send_queued)
        if self._stop_signal.has_come:
            loop.post(events.StopRequested())
        try:
            await until_first(
                loop.ended, self._watch(node, peers, probes), self._take_part(node, peers)
            )
        finally:
            disk.close()
            store.close()

    async def _take_part(self, node: Node, peers: Peers) -> None:
        """Ask for membership and a vote; once removed, stay up without campaigning."""
        is_auto = self._config.node_join == "auto"
        watch = StandingWatch(self._identity, self._config.address, auto=is_auto)
        self._standing_watch = watch
        await run_standing_watch(watch, peers, self.view)
        node.allow_campaigns(allowed=False)
        await asyncio.Event().wait()

    async def _watch(self, node: Node, peers: Peers, probes: MemberProbes) -> None:
        """Allow elections once all members have bootstrapped, and report the member's health."""
        founding = bootstrap.founding_of(self._ids)
        # With a term, this member asks no peer, so a peer that hangs causes no delay.
        while not node.view().term:
            described = await peers.describe()
            for peer in filter(None, described):
                bootstrap.check_peer(self._identity, founding, peer)
            if bootstrap.is_complete(0, described):
                break
            await _pause()
        node.allow_campaigns(allowed=True)
        while True:
            await probes.show(self.view(), ending=self._stop_signal.has_come)
            await asyncio.sleep(SHOW_SECONDS)


def identity_in(config: NodeConfig) -> ProcessIdentity:
    """Return whom this member's certificate must name; raise SecretUnusable."""
    try:
        return ProcessIdentity(Kind.MEMBER, config.node_name)
    except PkiError as error:
        raise SecretUnusable(str(error)) from error


async def _pause() -> None:
    """Wait before the peers are asked again: a peer cannot announce a change."""
    await asyncio.sleep(POLL_SECONDS)
