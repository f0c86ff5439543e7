"""The member's gRPC server."""

import socket

import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from inventory.raft.v1 import forward_pb2_grpc, membership_pb2_grpc, peer_pb2_grpc
from wire.faults import Faults, serving

from inventory_node.runtime.api import Gateways, PeerApi
from inventory_node.runtime.changes import Changes
from inventory_node.runtime.probes import Probes


class AddressTaken(Exception):  # noqa: N818 - what is the case
    """An address cannot be listened on."""


async def serve(  # noqa: PLR0913, PLR0917 - what is served
    listen: str,
    gateways: Gateways,
    peer_api: PeerApi,
    changes: Changes,
    probes: Probes,
    faults: Faults,
) -> grpc.aio.Server:
    """Serve on host:port; raise AddressTaken."""
    _check_free(listen)
    server = serving(faults)
    forward_pb2_grpc.add_ForwardServiceServicer_to_server(gateways, server)
    peer_pb2_grpc.add_PeerServiceServicer_to_server(peer_api, server)
    membership_pb2_grpc.add_MembershipServiceServicer_to_server(changes, server)
    health_pb2_grpc.add_HealthServicer_to_server(probes.servicer, server)
    try:
        server.add_insecure_port(listen)
    except RuntimeError as error:
        raise AddressTaken(f"cannot listen on {listen}: is the port taken? ({error})") from error
    await server.start()
    return server


def _check_free(listen: str) -> None:
    """Raise AddressTaken in the system's words: C-core would write lines of its own on stderr."""
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AddressTaken(f"cannot listen on {listen}: {error.strerror}") from error
