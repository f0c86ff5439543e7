"""Which channels go by the proxy that the environment names."""

import asyncio
import socket
from collections.abc import Callable

import grpc
import grpc.aio
import pytest
from wire.channels import client_channel, is_loopback, straight_channel

NAMES = ("http_proxy", "https_proxy", "grpc_proxy")
ELSEWHERE = "192.0.2.1:50051"  # of RFC 5737: no machine has it


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1:50051", True),
        ("127.9.9.9:50051", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("LOCALHOST:50051", True),
        ("dns:///localhost:50051", True),
        ("inventory.localhost:1", True),
        ("10.0.0.1:50051", False),
        ("[2001:db8::1]:50051", False),
        ("localhost.example.com:50051", False),
        ("inventory-gateway:50051", False),
    ],
)
def test_this_machine_is_known_by_name(address: str, *, here: bool) -> None:
    """Nothing is looked up."""
    assert is_loopback(address) is here


def reaches_the_proxy(
    make: Callable[[str], grpc.aio.Channel],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    seconds_max: float,
) -> bool:
    """Tell whether a channel that connects comes to the proxy before the time is up."""

    async def work(proxy: socket.socket) -> bool:
        accepted = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(proxy))
        async with make(address) as channel:
            call = asyncio.ensure_future(channel.channel_ready())
            await asyncio.wait([accepted, call], timeout=seconds_max, return_when="FIRST_COMPLETED")
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        came = accepted.done()
        accepted.cancel()
        for end in await asyncio.gather(accepted, return_exceptions=True):
            if isinstance(end, tuple):
                end[0].close()
        return came

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        for name in NAMES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        return asyncio.run(work(proxy))


def test_a_user_reaches_a_gateway_elsewhere_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every gRPC client does."""
    assert reaches_the_proxy(client_channel, ELSEWHERE, monkeypatch, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "address"),
    [(straight_channel, ELSEWHERE), (straight_channel, "127.0.0.1:1"),
     (client_channel, "127.0.0.1:1"), (client_channel, "localhost:1")],
)  # fmt: skip
def test_nothing_of_the_system_goes_by_the_proxy(
    make: Callable[[str], grpc.aio.Channel], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a user to this machine."""
    assert not reaches_the_proxy(make, address, monkeypatch, 0.5)
