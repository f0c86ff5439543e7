"""Health watches lying members, a gateway and an assistant over real gRPC."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pkitest
import pytest
from cluster_health import canaries, watching
from cluster_health.canaries import Canaries
from cluster_health.config import HealthConfig
from cluster_health.facts import LEADER, LEARNER, VOTER, Facts
from cluster_health.findings import findings
from cluster_health.metrics import CanaryCounts, HealthCollector
from cluster_health.serving import COMMIT_MS_MAX, serving
from cluster_health.watching import TERMS_MAX, Watch, addresses_of
from cluster_health.web import application, bound, serve_until
from inventory.raft.v1 import forward_pb2, link_pb2
from inventory.v1 import auth_pb2, auth_pb2_grpc, cluster_pb2, cluster_pb2_grpc
from link.asking import Answers, Forget, Reply
from link.errors import LinkLate
from link.hello import Reception
from link.listening import LinkServer
from pki.identities import Kind, ProcessIdentity
from service.errors import AddressInUse
from service.faults import Faults
from service.probes import Probes
from service.process import secret_in
from wire import errors
from wire.channels import abort, bearer
from wire.tls import ServerTls, TlsFiles

SECONDS_MAX = 20
FOLLOWER = cluster_pb2.MEMBER_ROLE_FOLLOWER
Member = cluster_pb2.Member


class LyingMember:
    """Says of itself whatever a test wants."""

    def __init__(self, name: str, says: Member) -> None:
        """Say this until something else is put in its place."""
        self.says: Member | None = says  # None: answer with nothing
        contexts = pkitest.contexts(name)
        reception = Reception(contexts=contexts, cluster_id=lambda: "c", name=name)
        self.server = LinkServer(reception, lambda *_: Answers(self._answer))

    def _answer(self, question: link_pb2.LinkQuestion, reply: Reply) -> Forget:
        assert question.WhichOneof("question") == "get_member"
        answer = link_pb2.LinkAnswer()
        if self.says is not None:
            answer.get_member.CopyFrom(
                forward_pb2.GetMemberResponse(cluster_id="c", member=self.says)
            )
        reply(answer)
        return lambda: None


class Gateway(auth_pb2_grpc.AuthServiceServicer, cluster_pb2_grpc.ClusterServiceServicer):
    """The part of a gateway that health calls."""

    def __init__(self) -> None:
        """Accept every login and every probe."""
        self.token = "first"  # noqa: S105 - of nothing
        self.logins = 0
        self.probes = 0
        self.works = True
        self.members: list[Member] = []

    async def _check(self, context: Any) -> None:  # noqa: ANN401 - gRPC's
        if bearer(context.invocation_metadata()) != self.token:
            await abort(context, errors.token_invalid("is another's"))
        if not self.works:
            await abort(context, errors.no_quorum())

    async def Login(self, request: auth_pb2.LoginRequest, context: Any) -> auth_pb2.LoginResponse:  # noqa: ANN401, N802 - gRPC's
        """Let health in."""
        self.logins += 1
        if request.username != "health":
            await abort(context, errors.invalid_credentials())
        return auth_pb2.LoginResponse(token=self.token)

    async def GetCurrentUser(self, request: Any, context: Any) -> auth_pb2.GetCurrentUserResponse:  # noqa: ANN401, ARG002, N802 - gRPC's
        """Read."""
        await self._check(context)
        return auth_pb2.GetCurrentUserResponse()

    async def Probe(self, request: Any, context: Any) -> cluster_pb2.ProbeResponse:  # noqa: ANN401, ARG002, N802 - gRPC's
        """Write."""
        await self._check(context)
        self.probes += 1
        return cluster_pb2.ProbeResponse(revision=self.probes)

    async def GetStatus(self, request: Any, context: Any) -> cluster_pb2.GetStatusResponse:  # noqa: ANN401, ARG002, N802 - gRPC's
        """Say where members are."""
        await self._check(context)
        return cluster_pb2.GetStatusResponse(members=self.members)


class Scene:
    """Three members, a gateway and an assistant on free ports, and health watching all of them."""

    def __init__(self) -> None:
        """Everybody is well; node-0 leads term 3."""
        self.lies = {
            f"node-{number}": LyingMember(f"node-{number}", well(f"node-{number}"))
            for number in range(3)
        }
        self.gateway = Gateway()  # type: ignore[abstract]  # health calls no more of it
        self.probes: dict[str, Probes] = {}
        self.servers: dict[str, grpc.aio.Server] = {}
        self.addresses: dict[str, str] = {}
        self.counts = CanaryCounts()
        self.canaries: Canaries
        self.watch: Watch

    async def serve(self, name: str, add: Callable[[grpc.aio.Server], object]) -> str:
        """Serve on a free port."""
        server = self.servers[name] = grpc.aio.server()
        add(server)
        if name == "gateway":
            own = pkitest.folder().keep(ProcessIdentity(Kind.GATEWAY))
            tls = ServerTls(TlsFiles(own.trusted, own.certificate, own.key))
            port = server.add_secure_port("127.0.0.1:0", tls.credentials)
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        self.addresses[name] = f"127.0.0.1:{port}"
        await server.start()
        return self.addresses[name]

    async def member(self, name: str) -> str:
        """Serve a member; return its address."""
        port = await self.lies[name].server.listen("127.0.0.1:0")
        self.addresses[name] = f"127.0.0.1:{port}"
        return self.addresses[name]

    def end(self, name: str) -> None:
        """Let a member be gone."""
        self.lies[name].server.close()

    def add_gateway(self, server: grpc.aio.Server) -> None:
        """Add the gateway's services."""
        auth_pb2_grpc.add_AuthServiceServicer_to_server(self.gateway, server)
        cluster_pb2_grpc.add_ClusterServiceServicer_to_server(self.gateway, server)
        self.probes["gateway"] = Probes(server)

    def add_assistant(self, server: grpc.aio.Server) -> None:
        """Add the assistant's health."""
        self.probes["assistant"] = Probes(server)

    def fail(self) -> None:
        """Let the gateway refuse, and let the canaries wait a short time only."""
        self.gateway.works = False
        inventory = self.canaries._inventory
        inventory._terms = replace(inventory._terms, timeout=0.1)

    async def facts(self) -> Facts:
        """Try the canaries and look, once each."""
        await self.canaries.write()
        await self.canaries.read()
        return await self.watch.observe()

    async def kinds(self) -> list[str]:
        """Return the kinds of the findings."""
        return [one.kind for one in findings(await self.facts())]


def well(name: str, **change: Any) -> Member:  # noqa: ANN401 - fields of a message
    """Return the self-description of a healthy member, with some fields changed."""
    known: dict[str, Any] = {
        "name": name,
        "reachable": True,
        "role": LEADER if name == "node-0" else FOLLOWER,
        "standing": VOTER,
        "term": 3,
        "leader": "node-0",
        "voters": ("node-0", "node-1", "node-2"),
        "commit_index": 50,
        "applied_index": 50,
        "last_log_index": 50,
        "volume": cluster_pb2.Volume(size_bytes=100, free_bytes=60),
        "clock_skew_ms": -2,
    }
    return Member(**{**known, **change})


@asynccontextmanager
async def scene(**settings: Any) -> AsyncIterator[Scene]:  # noqa: ANN401 - fields of the settings
    """Serve everybody."""
    made = Scene()
    for name in made.lies:
        await made.member(name)
    await made.serve("gateway", made.add_gateway)
    await made.serve("assistant", made.add_assistant)
    for probes in made.probes.values():
        await probes.mark_ready()
    files = pkitest.folder().keep(ProcessIdentity(Kind.HEALTH))
    known: dict[str, Any] = {
        "health_listen": "127.0.0.1:1",
        "health_http_listen": "127.0.0.1:1",
        "health_members": ",".join(f"{name}={made.addresses[name]}" for name in sorted(made.lies)),
        "health_gateway": made.addresses["gateway"],
        "health_assistant": made.addresses["assistant"],
        "health_replicas": 3,
        "tls_certificate_file": files.certificate,
        "tls_key_file": files.key,
        "tls_trusted_file": files.trusted,
    }
    config = HealthConfig(**{**known, **settings})
    made.canaries = Canaries(made.addresses["gateway"], config, made.counts)
    made.watch = Watch(config, pkitest.contexts("health"), made.canaries)
    try:
        yield made
    finally:
        await made.canaries.close()
        await made.watch.close()
        for lying in made.lies.values():
            lying.server.close()
        for server in made.servers.values():
            await server.stop(0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(SECONDS_MAX):
            await scenario()

    asyncio.run(bounded())


def lie(name: str, **change: Any) -> Callable[[Scene], None]:  # noqa: ANN401 - fields of a message
    """Return how a member is made to say something else."""

    def tell(made: Scene) -> None:
        made.lies[name].says = well(name, **change)

    return tell


def hashes(made: Scene) -> None:
    """Let one member report another hash than the others."""
    for name, sha256 in zip(made.lies, "aab", strict=True):
        state_hash = cluster_pb2.StateHash(index=9, sha256=sha256)
        made.lies[name].says = well(name, state_hash=state_hash)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for answers for as long as a busy machine may need."""
    monkeypatch.setattr(watching, "ANSWER_SECONDS_MAX", SECONDS_MAX)
    monkeypatch.setattr(canaries, "CALL_SECONDS_MAX", SECONDS_MAX)


LIES = {
    "two_leaders": lie("node-1", role=LEADER, leader="node-1"),
    "states_differ": hashes,
    "diverged": lie("node-2", diverged="its state differs at index 9"),
    "member_apart": lie("node-1", leader="node-2"),
    "member_lags": lie("node-0", commit_index=20_000, last_log_index=20_000, applied_index=20_000),
    "disk_filling": lie("node-1", volume=cluster_pb2.Volume(size_bytes=100, free_bytes=3)),
    "clock_skew": lie("node-2", clock_skew_ms=-5_000),
}


def test_where_everybody_is_well_nothing_is_found_and_everything_serves() -> None:
    """The members answer over real gRPC, and the canaries succeed."""

    async def scenario() -> None:
        async with scene() as made:
            known = await made.facts()
            assert findings(known) == []
            assert all(serving(known).values())
            assert made.gateway.probes == 1
            assert made.gateway.logins == 1

    run(scenario)


@pytest.mark.parametrize("kind", LIES)
def test_a_lie_is_found(kind: str) -> None:
    """Health finds each lie that one member can tell about itself."""

    async def scenario() -> None:
        async with scene() as made:
            assert await made.kinds() == []
            LIES[kind](made)
            assert kind in await made.kinds()

    run(scenario)


def test_two_leaders_are_remembered_when_one_steps_down() -> None:
    """Health remembers the leaders of the newest `TERMS_MAX` terms."""

    async def scenario() -> None:
        async with scene() as made:
            await made.watch.observe()
            made.lies["node-0"].says = well("node-0", role=FOLLOWER, leader="node-1")
            made.lies["node-1"].says = well("node-1", role=LEADER, leader="node-1")
            assert "two_leaders" in await made.kinds()
            for term in range(4, 4 + TERMS_MAX):
                made.lies["node-1"].says = well("node-1", role=LEADER, leader="node-1", term=term)
                await made.watch.observe()
            assert list(made.watch.facts.led) == list(range(4, 4 + TERMS_MAX))

    run(scenario)


def test_a_member_that_does_not_answer_is_missing() -> None:
    """The member is missing until it answers. Without a majority no member counts as leader."""

    async def scenario() -> None:
        async with scene() as made:
            made.end("node-2")
            assert await made.kinds() == ["member_missing", "quorum_at_risk"]
            made.end("node-1")
            known = await made.facts()
            assert findings(known)[0].kind == "no_leader"
            assert not serving(known)["cluster"]

    run(scenario)


async def late(question: link_pb2.LinkQuestion, seconds: float) -> link_pb2.LinkAnswer:
    """Stand for a member whose time is over, as far as health sees."""
    del question
    raise LinkLate(seconds)


def test_a_member_that_is_late_once_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no dead member; late twice, it is missing, and back at its next answer."""

    async def scenario() -> None:
        async with scene() as made:
            assert await made.kinds() == []
            asker = made.watch._asker("node-1", made.addresses["node-1"])
            monkeypatch.setattr(asker, "ask", late)
            assert await made.kinds() == []
            assert "member_missing" in await made.kinds()
            assert "member_missing" in await made.kinds()
            monkeypatch.undo()
            assert await made.kinds() == []

    run(scenario)


def test_a_member_that_answers_with_nothing_is_missing() -> None:
    """Its calls end well and bring no message; so do those of a gateway. Health goes on."""

    async def nothing(*_: object) -> None:
        """End the call."""

    def add_nothing(server: grpc.aio.Server) -> None:
        handler: Any = grpc.stream_stream_rpc_method_handler(nothing)
        generic = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})
        server.add_generic_rpc_handlers((generic,))

    async def scenario() -> None:
        async with scene() as made:
            assert await made.kinds() == []
            made.lies["node-1"].says = None
            await made.servers["gateway"].stop(0)
            server = made.servers["gateway"] = grpc.aio.server()
            add_nothing(server)
            server.add_insecure_port(made.addresses["gateway"])
            await server.start()
            known = await made.watch.observe()
            assert known.members["node-1"] is None
            assert known.members["node-2"] is not None
            assert known.gateway is False

    run(scenario)


def test_voters_are_held_against_the_replicas() -> None:
    """Voters are compared with the replicas of the settings."""

    async def scenario() -> None:
        async with scene(health_replicas=5) as made:
            assert await made.kinds() == ["voters_differ"]

    run(scenario)


def test_a_leader_that_commits_nothing_is_found_when_it_stays_so() -> None:
    """Health measures how long the commit index stands still while entries wait."""

    async def scenario() -> None:
        async with scene() as made:
            made.lies["node-0"].says = well("node-0", last_log_index=51)
            assert (await made.watch.observe()).waiting_ms == 0
            name, index, since_ms = made.watch._committed
            made.watch._committed = (name, index, since_ms - COMMIT_MS_MAX)
            assert await made.kinds() == ["no_commit"]
            made.lies["node-0"].says = well("node-0", last_log_index=52, commit_index=51)
            assert (await made.watch.observe()).waiting_ms == 0
            assert await made.kinds() == []

    run(scenario)


def test_a_gateway_without_a_majority_is_told_from_one_that_is_gone() -> None:
    """Reads and writes fail in both cases."""

    async def scenario() -> None:
        async with scene() as made:
            made.fail()
            assert await made.kinds() == ["writes_fail", "reads_fail"]
            await made.probes["assistant"].mark_draining()
            await made.servers["gateway"].stop(0)
            found = await made.kinds()
            assert found == ["gateway_down", "writes_fail", "reads_fail", "assistant_down"]

    run(scenario)


def test_a_token_that_ended_is_replaced_once() -> None:
    """Both canaries find out at the same time."""

    async def scenario() -> None:
        async with scene() as made:
            await made.facts()
            made.gateway.token = "second"  # noqa: S105 - of nothing
            await asyncio.gather(made.canaries.write(), made.canaries.read())
            assert made.canaries.writes is not None
            assert made.canaries.reads is not None
            assert made.canaries.writes.ok
            assert made.canaries.reads.ok
            assert made.gateway.logins == 2

    run(scenario)


def test_a_member_that_joined_later_is_found_by_what_the_gateway_says() -> None:
    """Health watches the member at its address from then on."""

    async def scenario() -> None:
        async with scene() as made:
            made.lies["node-3"] = LyingMember("node-3", well("node-3", standing=LEARNER))
            address = await made.member("node-3")
            made.gateway.members = [Member(name="node-3", address=address)]
            await made.canaries.learn()
            known = await made.facts()
            assert known.members.keys() == {"node-0", "node-1", "node-2", "node-3"}
            assert serving(known)["node/node-3"]
            made.fail()
            await made.canaries.learn()
            assert made.canaries.addresses == {"node-3": address}

    run(scenario)


def test_a_first_member_that_was_removed_is_not_looked_for() -> None:
    """Scaled from three to one: the leader's voters count once a member leads."""

    async def scenario() -> None:
        async with scene(health_replicas=1) as made:
            made.end("node-1")
            made.end("node-2")
            assert (await made.facts()).members.keys() == made.lies.keys()
            made.lies["node-0"].says = well("node-0", voters=["node-0"], learners=["node-2"])
            known = await made.facts()
            assert known.members.keys() == {"node-0", "node-2"}
            made.lies["node-0"].says = well("node-0", voters=["node-0"])
            known = await made.facts()
            assert findings(known) == []
            assert all(serving(known).values())

    run(scenario)


def test_who_votes_is_remembered_when_the_only_voter_is_lost() -> None:
    """Scaled from three to one, and the one ends: health does not look for removed members."""

    async def scenario() -> None:
        async with scene(health_replicas=1) as made:
            made.lies["node-0"].says = well("node-0", voters=["node-0"])
            made.end("node-1")
            made.end("node-2")
            assert await made.kinds() == []
            made.end("node-0")
            for _ in range(2):
                known = await made.watch.observe()
                assert known.members.keys() == {"node-0"}
                assert [one.kind for one in findings(known)] == ["no_leader", "member_missing"]
                assert "0 of 1 voters answer" in findings(known)[0].says
                assert [name for name in serving(known) if "/" in name] == ["node/node-0"]

    run(scenario)


def test_a_removed_member_does_not_undo_its_removal() -> None:
    """The removed member answers and does not know of its removal; the last leader knew."""

    async def scenario() -> None:
        async with scene(health_replicas=1) as made:
            made.lies["node-0"].says = well("node-0", voters=["node-0"])
            made.lies["node-1"].says = well("node-1", leader="", last_log_index=49)
            await made.watch.observe()
            made.end("node-0")
            made.end("node-2")
            known = await made.watch.observe()
            assert known.members.keys() == {"node-0", "node-1"}
            assert "0 of 1 voters answer" in findings(known)[0].says

    run(scenario)


def test_who_votes_is_not_made_up_when_nobody_has_said_it() -> None:
    """Health began anew, and no member answers. The first member that answers is believed."""

    async def scenario() -> None:
        async with scene(health_replicas=2) as made:
            for name in made.lies:
                made.end(name)
            known = await made.watch.observe()
            assert known.members.keys() == made.lies.keys()
            [found] = findings(known)
            assert "no member answers; there should be 2." in found.says
            voters = ("node-0", "node-3")
            made.lies["node-3"] = LyingMember("node-3", well("node-3", leader="", voters=voters))
            made.canaries.addresses = {"node-3": await made.member("node-3")}
            known = await made.watch.observe()
            assert known.members.keys() == set(voters)
            assert "1 of 2 voters answer" in findings(known)[0].says
            made.end("node-3")
            known = await made.watch.observe()
            assert known.members.keys() == set(voters)
            assert "0 of 2 voters answer" in findings(known)[0].says

    run(scenario)


def test_a_removed_member_that_answers_is_shown() -> None:
    """A removed member that answers stays among the facts."""

    async def scenario() -> None:
        async with scene(health_replicas=1) as made:
            made.lies["node-0"].says = well("node-0", voters=["node-0"])
            assert (await made.facts()).members.keys() == made.lies.keys()

    run(scenario)


@pytest.mark.parametrize(("process", "authority"), [("health", "another"), ("metrics", "tests")])
def test_a_wrong_certificate_sees_nobody(process: str, authority: str) -> None:
    """Members describe themselves only to a caller for whom their authority vouches."""

    async def scenario() -> None:
        async with scene() as made:
            contexts = pkitest.contexts(process, authority)
            other = Watch(made.watch._config, contexts, made.canaries)
            known = await other.observe()
            assert set(known.members.values()) == {None}
            await other.close()

    run(scenario)


def test_metrics_say_what_is_served_and_what_is_wrong() -> None:
    """The metrics count the canaries, too."""

    async def scenario() -> None:
        async with scene() as made:
            made.counts.registry.register(HealthCollector(lambda: made.watch.facts))
            value = made.counts.registry.get_sample_value
            made.end("node-2")
            await made.facts()
            assert value("inventory_health_serving", {"name": "writes"}) == 1
            assert value("inventory_health_serving", {"name": "node/node-2"}) == 0
            assert value("inventory_health_findings", {"severity": "warning"}) == 2
            assert value("inventory_health_findings", {"severity": "critical"}) == 0
            labels = {"canary": "write", "result": "ok"}
            assert value("inventory_health_paused") == 0
            assert value("inventory_health_canaries_total", labels) == 1
            assert value("inventory_health_canary_seconds_count", {"canary": "read"}) == 1

    run(scenario)


def test_a_pause_that_was_asked_for_is_told_from_an_outage() -> None:
    """A pause has a metric of its own, so that alerts stay quiet."""

    async def scenario() -> None:
        for replicas, paused in ((0, 1), (3, 0)):
            async with scene(health_replicas=replicas) as made:
                made.counts.registry.register(HealthCollector(lambda: made.watch.facts))
                value = made.counts.registry.get_sample_value
                await made.facts()
                assert value("inventory_health_paused") == 0
                for name in made.lies:
                    made.end(name)
                await made.facts()
                assert value("inventory_health_paused") == paused

    run(scenario)


async def fetched(address: str, path: str) -> tuple[int, str, str]:
    """Return status, content type and body of a GET on another thread."""

    def fetch() -> tuple[int, str, str]:
        try:
            with urllib.request.urlopen(f"http://{address}{path}") as answer:
                return answer.status, answer.headers["content-type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read().decode()

    return await asyncio.to_thread(fetch)


@asynccontextmanager
async def web(made: Scene) -> AsyncIterator[str]:
    """Serve the pages; yield their address."""
    stopped = asyncio.Event()
    ready = lambda: bool(made.watch.facts.at_ms)  # noqa: E731 - as the service has it
    with bound("127.0.0.1:0") as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        app = application(lambda: made.watch.facts, ready, Faults())
        task = asyncio.create_task(serve_until(stopped, app, listening))
        try:
            yield address
        finally:
            stopped.set()
            await task


def test_http_answers_probes_programs_and_people() -> None:
    """503 before the first look, and while writes do not commit."""

    async def scenario() -> None:
        async with scene() as made, web(made) as address:
            assert (await fetched(address, "/livez"))[0] == 200
            assert (await fetched(address, "/readyz"))[0] == 503
            assert (await fetched(address, "/healthz"))[0] == 503
            await made.facts()
            assert (await fetched(address, "/readyz"))[0] == 200
            assert (await fetched(address, "/healthz"))[::2] == (200, "ok\n")
            status, kind, body = await fetched(address, "/status")
            assert (status, kind) == (200, "application/json")
            assert json.loads(body)["leader"] == "node-0"
            for path in ("/", "/fragment"):
                status, kind, body = await fetched(address, path)
                assert (status, kind) == (200, "text/html; charset=utf-8")
                assert "Everything is well." in body
            made.fail()
            await made.facts()
            status, _, body = await fetched(address, "/healthz")
            assert status == 503
            assert body.startswith("writes do not commit\ncritical: A write through the gateway")
            assert (await fetched(address, "/livez"))[0] == 200

    run(scenario)


def test_runbooks_are_served_and_nothing_else_of_the_disk() -> None:
    """A runbook is served by its name alone; other names and paths are not found."""

    async def scenario() -> None:
        async with scene() as made, web(made) as address:
            status, kind, body = await fetched(address, "/runbooks/no-leader")
            assert (status, kind) == (200, "text/html; charset=utf-8")
            assert "<h1>Nobody leads" in body
            assert ".md" not in body
            assert "../configuration" not in body
            for name in ("none", "..%2F..%2FREADME", "no-leader.md"):
                assert (await fetched(address, f"/runbooks/{name}"))[0] == 404

    run(scenario)


def test_an_address_that_is_taken_is_an_error() -> None:
    """Uvicorn alone would end the process."""
    with bound("127.0.0.1:0") as first:
        taken = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(AddressInUse, match=re.escape(f"cannot listen on {taken}")):
            bound(taken)


def test_addresses_are_counted() -> None:
    """An unknown name has no known addresses."""
    assert addresses_of("127.0.0.1") == 1
    assert addresses_of("no-such-name.invalid") is None


def test_a_key_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    """The refusal is one sentence."""
    with pytest.raises(match="cannot be read"):
        secret_in(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(match="is empty"):
        secret_in(tmp_path / "empty")
