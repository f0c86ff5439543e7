"""One snapshot to one peer, over as many streams as needed.

The peer answers every chunk once the chunk is stored, so progress shows. A chunk without an answer
in time ends the stream, and the next stream resumes at the offset that the peer reports. A peer
that makes no progress for some streams in a row is given up, so that the log is not pinned for
ever. So is a peer that was forgotten meanwhile.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio
from inventory.raft.v1 import peer_pb2
from wire.outbox import BROKEN

CHUNK_BYTES = 1 << 20
ANSWER_SECONDS_MAX = 15.0  # until a chunk is stored
INSTALL_SECONDS_MAX = 300.0  # until the last chunk is stored, verified, recorded and switched to
STREAM_SECONDS_MAX = 900.0
PAUSE_SECONDS = 1.0  # between two streams
TRIES_MAX = 10  # streams in a row without progress


class SnapshotSender:
    """A file on its way to a peer.

    - A stream begins at the offset that the peer reports.
    - At most `TRIES_MAX` streams in a row make no progress.
    """

    def __init__(
        self,
        stub: Any,  # noqa: ANN401 - the stubs ask for an iterator, and it is written to
        metadata: tuple[tuple[str, str], ...],
        path: Path,
        chunk_of: Callable[[int, bytes], peer_pb2.SnapshotChunk],
    ) -> None:
        """Send the file at `path`; `chunk_of` puts bytes at an offset into a chunk."""
        self._stub = stub
        self._metadata = metadata
        self._path = path
        self._chunk_of = chunk_of
        self._taken = 0  # bytes that the peer has stored

    async def send(self) -> str:
        """Send the whole file; return the problem, or an empty string."""
        problem, tries, furthest = "", 0, 0
        while tries < TRIES_MAX:
            if problem:
                await asyncio.sleep(PAUSE_SECONDS)
            try:
                problem = await self._stream()
            except (grpc.aio.UsageError, asyncio.CancelledError):
                if _is_ending():
                    raise
                return "the peer is not known any more"  # the peer's channel is closed
            except BROKEN as error:
                problem = reason_of(error)
            except TimeoutError:
                problem = "a chunk was not stored in time"
            except OSError as error:
                return f"the copy cannot be read: {error}"
            if not problem:
                return ""
            tries += 1
            if self._taken > furthest:
                tries, furthest = 0, self._taken
        return problem

    async def _stream(self) -> str:
        size = self._path.stat().st_size
        call = self._stub.SendSnapshot(metadata=self._metadata, timeout=STREAM_SECONDS_MAX)
        try:
            with self._path.open("rb") as file:
                answer = await self._exchange(call, self._chunk_of(0, b""), ANSWER_SECONDS_MAX)
                while not answer.installed and not answer.problem:
                    self._taken = answer.taken
                    file.seek(answer.taken)
                    data = file.read(CHUNK_BYTES)
                    if not data:
                        return "the peer has all of it and has not installed it"
                    is_last = answer.taken + len(data) == size
                    seconds = INSTALL_SECONDS_MAX if is_last else ANSWER_SECONDS_MAX
                    chunk = self._chunk_of(answer.taken, data)
                    answer = await self._exchange(call, chunk, seconds)
                    if answer.taken <= chunk.offset and not answer.installed:
                        break
            return "" if answer.installed else answer.problem or "a chunk was not taken"
        finally:
            call.cancel()

    async def _exchange(
        self,
        call: Any,  # noqa: ANN401 - the stubs name no class for it
        chunk: peer_pb2.SnapshotChunk,
        seconds: float,
    ) -> peer_pb2.SnapshotAnswer:
        """Send a chunk and wait for its answer; raise TimeoutError or what broke the stream."""
        async with asyncio.timeout(seconds):
            await call.write(chunk)
            answer = await call.read()
        if not isinstance(answer, peer_pb2.SnapshotAnswer):
            await raise_end(call)
        return answer


def _is_ending() -> bool:
    """Whether this task itself is to end; a call on a closed channel looks the same."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def raise_end(call: grpc.aio.Call) -> NoReturn:
    """Wait for the end of a call, and raise the call's status.

    Awaiting the call itself would raise CancelledError when a failed write has cancelled the call.
    The error would look as if this task was to end.
    """
    raise grpc.aio.AioRpcError(
        await call.code(),
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        details=await call.details(),
    )


def reason_of(error: Exception) -> str:
    """Return a few words on why a stream broke."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.details() or error.code().name
    return str(error) or type(error).__name__
