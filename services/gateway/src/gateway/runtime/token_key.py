"""The file of the keys that sign tokens: read at the start, and again when it changes."""

import asyncio
from pathlib import Path

import structlog
from service.errors import SecretUnusable
from service.process import secret_in

from gateway.signing_keys import KeyRing, SigningKey, keys_in

LOOK_SECONDS = 1.0

_log = structlog.get_logger()


def _keys_of(path: Path) -> tuple[SigningKey, ...]:
    try:
        return keys_in(secret_in(path))
    except ValueError as error:
        raise SecretUnusable(f"the key {path} {error}") from error


class TokenKeyFile:
    """A key ring that follows its file.

    - A file that cannot be used any more changes nothing, and is reported once.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; raise SecretUnusable."""
        self._path = path
        self._stamp = self._stamp_now()
        self.ring = KeyRing(_keys_of(path))

    def _stamp_now(self) -> tuple[int, ...]:
        """Return what changes when the file is replaced; empty for a file that is not there."""
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def look(self) -> None:
        """Read the file again if it changed."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            keys = _keys_of(self._path)
        except SecretUnusable as error:
            _log.warning("token_key_not_read", reason=str(error))
            return
        if [key.id for key in keys] != [key.id for key in self.ring.keys]:
            self.ring.replace(keys)
            _log.info("token_key_read", kids=[key.id for key in keys])

    async def follow(self) -> None:
        """Look at the file again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()
