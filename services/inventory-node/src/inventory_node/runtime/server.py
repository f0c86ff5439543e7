"""The member's two ports: for the links of members, gateways and watchers, and for gRPC health."""

from collections.abc import Callable  # noqa: TC003 - for the types

import grpc.aio  # noqa: TC002 - for the types
from grpc_health.v1 import health_pb2_grpc
from inventory.raft.v1 import link_pb2
from link.asking import Answers
from link.connection import LinkUser
from link.hello import Reception
from link.listening import LinkServer
from pki.identities import ProcessIdentity
from service.errors import AddressInUse
from service.faults import Faults
from service.process import listen_on
from service.serving import make_server

from inventory_node.runtime.gateways import Gateways
from inventory_node.runtime.peer_api import PeerApi
from inventory_node.runtime.peers import Local
from inventory_node.runtime.probes import MemberProbes
from inventory_node.runtime.questions import MemberAnswers
from inventory_node.runtime.relay import Relays

STOP_SECONDS = 0.2  # for calls under way


class MemberServer:
    """The links of this member's callers, by their purposes."""

    def __init__(
        self,
        own: Local,
        gateways: Gateways,
        peer_api: PeerApi,
        answers: MemberAnswers,
        relays: Relays,
    ) -> None:
        """Serve nothing before `listen`."""
        self._gateways = gateways
        self._peer_api = peer_api
        self._answers = answers
        self._relays = relays
        reception = Reception(
            contexts=own.contexts, cluster_id=lambda: own.cluster_id, name=own.contact.name
        )
        self._server = LinkServer(reception, self._admit)

    async def listen(self, address: str) -> int:
        """Serve on host:port; return the port. Raises AddressInUse."""
        try:
            return await self._server.listen(address)
        except OSError as error:
            raise AddressInUse(address, error.strerror) from error

    def close(self) -> None:
        """End all links."""
        self._server.close()

    def _admit(self, hello: link_pb2.LinkHello, peer: ProcessIdentity) -> LinkUser:
        """Return the user of a link of `peer`; raise HelloRefused."""
        users: dict[int, Callable[[], LinkUser]] = {
            link_pb2.PURPOSE_PEER: lambda: self._peer_api.session(hello),
            link_pb2.PURPOSE_SNAPSHOT: lambda: self._peer_api.snapshot_session(hello),
            link_pb2.PURPOSE_GATEWAY: self._gateways.session,
            link_pb2.PURPOSE_RELAY: lambda: self._relays.carry(hello),
            link_pb2.PURPOSE_CARRIED: lambda: self._server.carried(str(peer)),
            link_pb2.PURPOSE_QUESTION: lambda: Answers(self._answers.answers_for(peer)),
            link_pb2.PURPOSE_WATCH: lambda: Answers(self._answers.answer_watcher),
        }
        return users[hello.purpose]()


class ProbeServer:
    """gRPC health on a port of its own, if an address is configured."""

    def __init__(self, listen: str, probes: MemberProbes, faults: Faults) -> None:
        """Listen on host:port, or nowhere if it is empty; raise AddressInUse."""
        self._server: grpc.aio.Server | None = None
        if listen:
            self._server = make_server(faults)
            health_pb2_grpc.add_HealthServicer_to_server(probes.servicer, self._server)
            listen_on(self._server, listen)

    async def start(self) -> None:
        """Serve."""
        if self._server is not None:
            await self._server.start()

    async def stop(self) -> None:
        """Finish the calls under way, and serve no more."""
        if self._server is not None:
            await self._server.stop(STOP_SECONDS)
