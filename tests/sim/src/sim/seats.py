"""Sessions that the first users have from the first command on, each under its user's id.

No member of a cluster makes them: there a session begins with a log-in, whose command is an entry
of the log. A test of what users do says only who does it.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from inventory_node.machine.records import SessionRecord, UserRecord

FAMILY, SECRET = sha256(b"family").digest(), sha256(b"secret").digest()


def seats(users: Iterable[UserRecord], stamp_ms: int) -> Iterator[SessionRecord]:
    """Yield a session for each of the first users."""
    for user in users:
        yield SessionRecord(
            id=user.id,
            user_id=user.id,
            epoch=user.epoch,
            create_ms=stamp_ms,
            refresh_ms=stamp_ms,
            label="first",
            source="",
            family_hash=FAMILY,
            secret_hash=SECRET,
        )
