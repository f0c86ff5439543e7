"""gRPC as this system uses it: options for both ends, and refusals in and out.

The options replace defaults of C-core that are wrong for a cluster on one network. By default,
C-core resolves names no sooner than every 30 s, backs off to 120 s, shares ports silently, and
finds a dead peer only by keepalive. C-core also sends traffic through the proxy that `https_proxy`
and similar variables name. Processes of this system reach one another without a proxy:
`straight_channel`.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from wire.errors import retry_ms_of
from wire.tls import ClientTls

MESSAGE_BYTES_MAX = 16 << 20  # between processes of this system
REQUEST_BYTES_MAX = 256 << 10  # of a caller from outside; a frame of `Submit` is the longest
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
ACCEPTED_KEY = "accepted"  # in a stream's first metadata: the caller may send frames

_BOTH = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # The keepalive timeout becomes the kernel's TCP_USER_TIMEOUT, which counts from the first
    # retransmission. The ping timeout bounds how long a ping may stay unanswered; its default is a
    # minute.
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
)
CLIENT_OPTIONS = (
    *_BOTH,
    # A cut connection is noticed, and another connection used, within a caller's deadline of 5 s.
    ("grpc.keepalive_time_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
SERVER_OPTIONS = (
    *_BOTH,
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    # A connection that does not speak HTTP/2 ends. Its default is two minutes.
    ("grpc.server_handshake_timeout_ms", 5_000),
    # A few bytes may become any number of bytes, and no limit counts these.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.per_message_decompression", 0),
)
# Of servers whose callers are not trusted: what they hold of a connection is bounded.
PUBLIC_SERVER_OPTIONS = (
    *SERVER_OPTIONS,
    ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),  # the last of two counts
    ("grpc.max_concurrent_streams", 128),
    # Bytes of a stream that are received before the call reads them. By default C-core allows
    # 4 MiB, and more where the network is fast.
    ("grpc.http2.lookahead_bytes", 64 << 10),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_allowed_incoming_connections", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
)

_NO_PROXY = (("grpc.enable_http_proxy", 0),)

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def straight_channel(address: str, tls: ClientTls | None = None) -> grpc.aio.Channel:
    """Open a channel to host:port past every proxy that the environment names; see `_channel`."""
    return _channel(address, (*CLIENT_OPTIONS, *_NO_PROXY), tls)


def client_channel(address: str, tls: ClientTls | None = None) -> grpc.aio.Channel:
    """Open a user's channel to host:port, through a proxy if gRPC's rules name one.

    `https_proxy`, `http_proxy` and `no_proxy` count as for every gRPC client, except on this
    machine: a proxy elsewhere cannot reach a server on this machine's loopback.
    """
    if is_loopback(address):
        return straight_channel(address, tls)
    return _channel(address, CLIENT_OPTIONS, tls)


def _channel(
    address: str, options: Iterable[tuple[str, Any]], tls: ClientTls | None
) -> grpc.aio.Channel:
    """Open a channel that speaks TLS, or plain text for None."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options=tuple(options))
    return grpc.aio.secure_channel(address, tls.credentials, options=(*options, *tls.options))


def is_loopback(address: str) -> bool:
    """Tell by its name whether an address is on this machine; nothing is looked up."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition("/")[2].rpartition(":")[0].strip("[]").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def abort(
    context: "grpc.aio.ServicerContext[Any, Any]", status: status_pb2.Status
) -> NoReturn:
    """End a call with a refusal: its code, its sentence, and itself as the status details.

    The delay before a retry is also set for gRPC's own retries (gRFC A6).
    """
    metadata: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    retry_ms = retry_ms_of(status)
    if retry_ms is not None:
        metadata.append((PUSHBACK_KEY, str(retry_ms)))
    context.set_trailing_metadata(tuple(metadata))
    await context.abort(_CODES[status.code], status.message)
    raise RuntimeError("abort returned")  # for the type checker: abort never returns


async def accept(context: "grpc.aio.ServicerContext[Any, Any]") -> None:
    """Tell the caller that its stream is accepted, before anything is read from the stream."""
    await context.send_initial_metadata(((ACCEPTED_KEY, "1"),))


async def is_accepted(
    call: "grpc.aio.StreamStreamCall[Any, Any] | grpc.aio.StreamUnaryCall[Any, Any]",
) -> bool:
    """Wait until a stream is accepted; False: the stream's end says why it is not accepted.

    A refused call has metadata, too, but not ACCEPTED_KEY.
    """
    return any(key == ACCEPTED_KEY for key, _ in await call.initial_metadata())


def status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    """Return the refusal that ended a call; None when the call ended without a refusal."""
    pairs: Any = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    for key, value in pairs or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def bearer(metadata: Any) -> str | None:  # noqa: ANN401 - grpc.aio's own pairs
    """Return the token of an `authorization: Bearer …` header (RFC 6750), or None."""
    for key, value in metadata or ():
        if key.lower() == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and token:
                return token.strip()
    return None


def authorization(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata with a token."""
    return (("authorization", f"Bearer {token}"),)
