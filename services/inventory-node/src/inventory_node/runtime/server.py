"""The member's gRPC server."""

import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from inventory.raft.v1 import forward_pb2_grpc, membership_pb2_grpc, peer_pb2_grpc
from service.faults import Faults
from service.process import listen_on
from service.serving import make_inner_server

from inventory_node.runtime.api import Gateways, PeerApi
from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.probes import MemberProbes


async def serve(  # noqa: PLR0913, PLR0917 - what is served
    listen: str,
    gateways: Gateways,
    peer_api: PeerApi,
    membership: MembershipService,
    probes: MemberProbes,
    faults: Faults,
) -> grpc.aio.Server:
    """Serve on host:port; raise AddressInUse."""
    server = make_inner_server(faults)
    forward_pb2_grpc.add_ForwardServiceServicer_to_server(gateways, server)
    peer_pb2_grpc.add_PeerServiceServicer_to_server(peer_api, server)
    membership_pb2_grpc.add_MembershipServiceServicer_to_server(membership, server)
    health_pb2_grpc.add_HealthServicer_to_server(probes.servicer, server)
    listen_on(server, listen)
    await server.start()
    return server
