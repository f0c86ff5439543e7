"""The member's two ports: for the links of members, gateways and watchers, and for gRPC health."""

from collections.abc import Sequence

import grpc.aio  # noqa: TC002 - for the types
from grpc_health.v1 import health_pb2_grpc
from inventory.raft.v1 import link_pb2
from link.asking import Answers
from link.connection import LinkUser
from link.errors import HelloRefused, Reason
from link.hello import Reception
from link.listening import LinkServer
from link.purposes import Purpose
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


class Gate:
    """The keys that admit callers.

    - The watch key admits to watching, and the cluster's key to everything else.
    """

    def __init__(self, key: str, watch_key: str = "") -> None:
        """Admit callers with these keys; nobody may watch with an empty `watch_key`."""
        self.key = key
        self._watch_key = watch_key

    def keys(self, purpose: Purpose.ValueType) -> Sequence[str]:
        """Return the keys that admit a caller for a purpose."""
        if purpose == link_pb2.PURPOSE_WATCH:
            return (self._watch_key,) if self._watch_key else ()
        return (self.key,)


class MemberServer:
    """The links of this member's callers, by their purposes."""

    def __init__(  # noqa: PLR0913, PLR0917 - one for each purpose
        self,
        own: Local,
        gate: Gate,
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
        reception = Reception(cluster_id=own.cluster_id, name=own.contact.name, keys=gate.keys)
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

    def _admit(self, hello: link_pb2.LinkHello) -> LinkUser:
        """Return the user of a link; raise HelloRefused."""
        match hello.purpose:
            case link_pb2.PURPOSE_PEER:
                return self._peer_api.session(hello.caller)
            case link_pb2.PURPOSE_SNAPSHOT:
                return self._peer_api.snapshot_session(hello.caller)
            case link_pb2.PURPOSE_GATEWAY:
                return self._gateways.session()
            case link_pb2.PURPOSE_RELAY:
                return self._relays.carry(hello)
            case link_pb2.PURPOSE_QUESTION:
                return Answers(self._answers.answer)
            case link_pb2.PURPOSE_WATCH:
                return Answers(self._answers.answer_watcher)
            case _:
                raise HelloRefused(Reason.REASON_PURPOSE, "nothing is served for this purpose")


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
