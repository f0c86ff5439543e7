"""What a peer says does not reach the log as it is."""

import socket
import struct
import subprocess
import sys
import threading

import pytest

SECONDS_MAX = 60  # no busy machine needs so long
CALL_SECONDS = 2  # the call connects again and again; what it hears would be in the log long before
FORGED = b'x\n{"event": "all is well", "level": "info"}\n\x1b[31mred'
PROGRAM = """
import {module}.__main__
import asyncio
import grpc.aio
from wire.channels import straight_channel


async def call():
    async with straight_channel("127.0.0.1:{port}") as channel:
        try:
            await channel.unary_unary("/test.Any/Any")(b"", timeout={seconds})
        except grpc.aio.AioRpcError:
            print("refused")


asyncio.run(call())
"""


def frame(kind: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2 of the connection itself."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind]) + bytes(5) + payload


def say_goodbye(listening: socket.socket, heard: list[bytes]) -> None:
    """Answer every connection with a GOAWAY that holds a forged line; keep what the caller says."""
    listening.settimeout(SECONDS_MAX)
    while True:
        try:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(frame(4, b"") + frame(7, struct.pack(">II", 0, 11) + FORGED))
                while said := connection.recv(1 << 16):
                    heard.append(said)
        except OSError:
            return


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["inventory_node", "gateway", "assistant", "business_metrics", "cluster_health"]
)
def test_a_goodbye_with_a_forged_line_is_not_logged(module: str) -> None:
    """As `python -m` imports each process."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard: list[bytes] = []
        threading.Thread(target=say_goodbye, args=(listening, heard), daemon=True).start()
        port = listening.getsockname()[1]
        program = PROGRAM.format(module=module, port=port, seconds=CALL_SECONDS)
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, timeout=SECONDS_MAX,
        )  # fmt: skip
    assert heard
    assert done.stdout == "refused\n"
    assert done.stderr == ""
