"""Every event of a run, one line each, so that two runs of a seed can be compared."""

import hashlib
from collections import deque

from google.protobuf.message import Message as ProtobufMessage

TEXT_MAX = 160  # characters of an event; the digest covers the whole


class Trace:
    """A digest over all lines, their number, and the last of them.

    - The digest depends on every line and on their order.
    """

    def __init__(self, *, keep: int | None) -> None:
        """Keep the last `keep` lines, all when it is None."""
        self.lines: deque[str] = deque(maxlen=keep)
        self.count = 0
        self._digest = hashlib.sha256()

    def note(self, time_us: int, actor: str, text: str) -> None:
        """Note what happened to whom."""
        line = f"{time_us:>10} {actor:<8} {text}"
        self._digest.update(line.encode())
        self.lines.append(line[: TEXT_MAX + 20])
        self.count += 1

    @property
    def digest(self) -> str:
        """Return the digest so far, hexadecimal."""
        return self._digest.hexdigest()


def text_of(event: object) -> str:
    """Return an event as text that is the same in every run of the same seed.

    Where a file lies depends on the machine, so a path is left out.
    """
    if isinstance(event, ProtobufMessage):
        data = event.SerializeToString(deterministic=True)
        return f"{type(event).__name__}[{len(data)} {data.hex()}]"
    slots = getattr(event, "__slots__", None)
    if slots is None:
        return repr(event)
    fields = ", ".join(text_of(getattr(event, slot)) for slot in slots if slot != "path")
    return f"{type(event).__name__}({fields})"
