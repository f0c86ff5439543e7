"""Gathers the facts: asks members over links, gateway and assistant over gRPC; counts members."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from inventory.raft.v1 import forward_pb2, link_pb2
from inventory_client.calls import SharedChannel
from link.asking import LinkAsker
from link.errors import LinkError, LinkLate
from link.hello import Introduction
from pki.contexts import PkiContexts
from service.probes import READINESS
from wire.tls import ClientTls

from cluster_health.canaries import GATEWAY_NAME, Canaries
from cluster_health.config import HealthConfig
from cluster_health.facts import LEADER, Facts, KnownMembership, Member, lead_of, membership_of

ROUND_SECONDS = 1.0
ANSWER_SECONDS_MAX = 1.0
COUNT_SECONDS = 5.0  # between two counts of the started members
TERMS_MAX = 16  # terms whose leaders are remembered


class Watch:
    """Gathers facts, a round at a time.

    - A round asks everybody at once, and takes ANSWER_SECONDS_MAX at most.
    - A member is asked at its address in the settings, else at its address in the gateway's status.
    - A member that is late in one round counts as it was in the round before. A member that is late
      in two rounds, or that refuses, does not answer.
    - The members that take part are remembered over rounds, as told by the last leader, or by the
      member with the highest term. A member that takes no part and does not answer is left out,
      also while nobody leads.
    - The leaders of the newest TERMS_MAX terms are remembered over rounds.
    """

    def __init__(self, config: HealthConfig, contexts: PkiContexts, canaries: Canaries) -> None:
        """Ask nobody yet. `contexts`: the certificate by which members let themselves be asked."""
        self._config = config
        self._contexts = contexts
        self._canaries = canaries
        self._channels: dict[str, SharedChannel] = {}  # by address
        self._askers: dict[tuple[str, str], LinkAsker] = {}  # by a member's name and address
        self._before: dict[str, Member | bool] = {}  # the last round's answers, by address
        self._led: dict[int, frozenset[str]] = {}
        self._membership: KnownMembership | None = None
        self._committed = ("", 0, 0)  # the leader, its commit index, and since when (monotonic ms)
        self._pods: int | None = None
        self.facts = Facts(members=dict.fromkeys(config.members))

    async def run(self, on_facts: Callable[[Facts], None]) -> None:
        """Gather facts for ever; `on_facts` gets the facts of each round."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._observe_forever(on_facts))
            if self._config.health_pods:
                group.create_task(self._count_forever(self._config.health_pods))

    async def _observe_forever(self, on_facts: Callable[[Facts], None]) -> None:
        while True:
            started = time.monotonic()
            on_facts(await self.observe())
            await asyncio.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - started)))

    async def observe(self) -> Facts:
        """Ask everybody once; return and keep the facts."""
        addresses = self._canaries.addresses | self._config.members
        async with asyncio.TaskGroup() as group:
            asked = {
                name: group.create_task(self._member(name, address))
                for name, address in sorted(addresses.items())
            }
            gateway = group.create_task(self._serves(self._config.health_gateway))
            assistant = (
                group.create_task(self._serves(self._config.health_assistant))
                if self._config.health_assistant
                else None
            )
        members = {name: task.result() for name, task in asked.items()}
        self._remember(members)
        self.facts = Facts(
            members=expected(members, self._membership),
            at_ms=time.time_ns() // 1_000_000,
            led=dict(self._led),
            membership=self._membership,
            waiting_ms=self._waiting_ms(members),
            gateway=gateway.result(),
            assistant=assistant.result() if assistant is not None else None,
            writes=self._canaries.writes,
            reads=self._canaries.reads,
            replicas=self._config.health_replicas,
            pods=self._pods,
        )
        return self.facts

    async def close(self) -> None:
        """End the channels and the links."""
        for asker in self._askers.values():
            asker.close()
        for channel in self._channels.values():
            await channel.close()

    def _channel(self, address: str) -> SharedChannel:
        """Return the channel to the gateway, by mutual TLS, or to the assistant."""
        if address not in self._channels:
            is_gateway = address == self._config.health_gateway
            files = self._config.grpc_tls_files
            tls = ClientTls(files, GATEWAY_NAME) if is_gateway else None
            self._channels[address] = SharedChannel(address, tls, ignore_proxy=True)
        return self._channels[address]

    def _asker(self, name: str, address: str) -> LinkAsker:
        if (name, address) not in self._askers:
            opening = Introduction(
                contexts=self._contexts,
                purpose=link_pb2.PURPOSE_WATCH,
                caller=link_pb2.Caller(name="health"),
                recipient=name,
            )
            self._askers[name, address] = LinkAsker(address, lambda: opening)
        return self._askers[name, address]

    async def _member(self, name: str, address: str) -> Member | None:
        question = link_pb2.LinkQuestion(get_member=forward_pb2.GetMemberRequest())
        try:
            answer = await self._asker(name, address).ask(question, ANSWER_SECONDS_MAX)
        except LinkError as error:
            before = self._before.pop(address, None)
            return before if isinstance(error, LinkLate) and isinstance(before, Member) else None
        if not answer.HasField("get_member"):
            self._before.pop(address, None)
            return None
        self._before[address] = answer.get_member.member
        return answer.get_member.member

    async def _serves(self, address: str) -> bool:
        stub = health_pb2_grpc.HealthStub(await self._channel(address).open())
        request = health_pb2.HealthCheckRequest(service=READINESS)
        try:
            answer = await stub.Check(request, timeout=ANSWER_SECONDS_MAX)  # type: ignore[attr-defined]  # the stubs leave it out
        except grpc.aio.AioRpcError as error:
            return bool(self._before.pop(address, False)) and is_late(error)
        if not isinstance(answer, health_pb2.HealthCheckResponse):  # likewise
            self._before.pop(address, None)
            return False
        serves = bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        self._before[address] = serves
        return serves

    def _remember(self, members: Mapping[str, Member | None]) -> None:
        """Remember the leader of each term, and the members that take part."""
        self._membership = membership_of(Facts(members=members, membership=self._membership))
        for name, member in members.items():
            if member is not None and member.role == LEADER:
                self._led[member.term] = self._led.get(member.term, frozenset()) | {name}
        for term in sorted(self._led)[:-TERMS_MAX]:
            del self._led[term]

    def _waiting_ms(self, members: Mapping[str, Member | None]) -> int:
        """Return how long the leader has had entries to commit without committing any."""
        lead = lead_of(Facts(members=members))
        leader = members.get(lead.name) if lead is not None else None
        now_ms = time.monotonic_ns() // 1_000_000
        if leader is None or leader.last_log_index <= leader.commit_index:
            self._committed = ("", 0, now_ms)
            return 0
        name, index, since_ms = self._committed
        if (name, index) != (leader.name, leader.commit_index):
            since_ms = now_ms
        self._committed = (leader.name, leader.commit_index, since_ms)
        return now_ms - since_ms

    async def _count_forever(self, name: str) -> None:
        """Count the addresses of a name, in a thread of its own: a resolver may block for long."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="names") as thread:
            while True:
                self._pods = await loop.run_in_executor(thread, addresses_of, name)
                await asyncio.sleep(COUNT_SECONDS)


def expected(
    members: Mapping[str, Member | None], membership: KnownMembership | None
) -> dict[str, Member | None]:
    """Return the members that answer or take part; all if no member ever told who takes part."""
    if membership is None:
        return dict(members)
    belong = {*membership.voters, *membership.learners}
    return {name: one for name, one in members.items() if one is not None or name in belong}


def is_late(error: grpc.aio.AioRpcError) -> bool:
    """Return whether the call ran out of time, rather than found nobody to answer."""
    return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def addresses_of(name: str) -> int | None:
    """Return how many addresses a name resolves to; None if it does not resolve."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return None
    return len({address[0] for *_, address in found})
