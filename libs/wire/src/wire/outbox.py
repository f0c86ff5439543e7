"""The writing side of a stream: one task, since grpc.aio allows one write at a time.

Everything that is queued during a write is sent in the next frame. A write that fails ends the
call, so that the call's reader notices. A stream whose writer ended quietly would look alive for
ever.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import grpc.aio

Frame = TypeVar("Frame")
Written_contra = TypeVar("Written_contra", contravariant=True)

BROKEN = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)


class Call(Protocol[Written_contra]):
    """A stream that can be written to and ended."""

    async def write(self, request: Written_contra) -> None:
        """Write one frame."""
        ...

    def cancel(self) -> bool:
        """End the call."""
        ...


class Outbox(Generic[Frame]):
    """Asks for the next frame until there is no frame, then waits to be woken.

    - At most one write is under way.
    - After a failed write the call is cancelled, always.
    """

    def __init__(self, following: Callable[[], Frame | None]) -> None:
        """`following` makes the next frame; None: no frame waits."""
        self._following = following
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Note that a frame waits."""
        self._wake.set()

    async def write_to(self, call: Call[Frame]) -> None:
        """Write frames until the call breaks."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (frame := self._following()) is not None:
                try:
                    await call.write(frame)
                except BROKEN:
                    call.cancel()
                    return
