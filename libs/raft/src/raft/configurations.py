"""Who takes part, by the entries that say so."""

from collections.abc import Callable
from dataclasses import dataclass

from raft.errors import InvariantViolation
from raft.messages import Configuration, Entry


@dataclass(frozen=True, slots=True)
class ConfigurationCodec:
    """How a configuration stands in the payload of its entry: the caller's format, on its disk."""

    encode: Callable[[Configuration], bytes]
    decode: Callable[[bytes], Configuration]


def _encode_plainly(configuration: Configuration) -> bytes:
    parts = (configuration.voters, configuration.learners)
    return "+".join(",".join(map(str, sorted(part))) for part in parts).encode()


def _decode_plainly(payload: bytes) -> Configuration:
    voters, learners = (
        frozenset(int(member) for member in part.split(",") if member)
        for part in payload.decode().split("+")
    )
    return Configuration(voters, learners)


PLAIN = ConfigurationCodec(_encode_plainly, _decode_plainly)  # `1,2,3+4`: voters, learners
NOBODY = Configuration(frozenset())


class Configurations:
    """The configurations of a log and its base.

    - Ascending by the index of their entry; the first is the one that holds at the base.
    - The last is in force, committed or not (dissertation §4.1); one that is cut off the log's end
      gives way to the one before it.
    """

    __slots__ = ("_all", "_codec", "current", "index")

    def __init__(self, index: int, configuration: Configuration, codec: ConfigurationCodec) -> None:
        """Begin at the base of a log."""
        self._codec = codec
        self.replace(index, configuration)

    @property
    def previous(self) -> Configuration:
        """Return the configuration before the current one, or this where none is held."""
        return self._all[-2:][0][1]

    def at(self, index: int) -> Configuration:
        """Return the configuration that holds at an index, the base or above."""
        for first, configuration in reversed(self._all):
            if first <= index:
                return configuration
        raise InvariantViolation(f"who took part at {index} is forgotten: the log is cut above it")

    def add(self, entry: Entry) -> None:
        """Let the configuration of an entry be in force, which stands behind all others."""
        self._set([*self._all, (entry.index, self._codec.decode(entry.payload))])

    def truncate(self, index: int) -> None:
        """Forget the entry at `index` and everything behind it."""
        if self.index >= index:
            self._set([one for one in self._all if one[0] < index])

    def compact(self, index: int) -> None:
        """Let `index` be the base."""
        kept = [one for one in self._all if one[0] > index]
        self._set([(index, self.at(index)), *kept])

    def replace(self, index: int, configuration: Configuration) -> None:
        """Let a snapshot take the place of everything."""
        self._set([(index, configuration)])

    def _set(self, configurations: list[tuple[int, Configuration]]) -> None:
        self._all = configurations
        self.index, self.current = configurations[-1]
