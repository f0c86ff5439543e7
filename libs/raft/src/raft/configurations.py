"""The configurations of a log, by the entries that hold a configuration."""

from collections.abc import Callable
from dataclasses import dataclass

from raft.errors import ProtocolViolation
from raft.messages import Configuration, Entry


@dataclass(frozen=True, slots=True)
class ConfigurationCodec:
    """The caller's format for a configuration in the payload of an entry."""

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


PLAIN = ConfigurationCodec(_encode_plainly, _decode_plainly)  # `1,2+3`: voters 1, 2, learner 3


class Configurations:
    """The configurations of a log and of the base of the log.

    - The configurations ascend by the index of their entry. The first configuration is in force at
      the base.
    - The last configuration is in force, committed or not (dissertation §4.1). If its entry is
      truncated, the configuration before is in force again.
    """

    __slots__ = ("_all", "_codec", "current", "index")

    def __init__(self, index: int, configuration: Configuration, codec: ConfigurationCodec) -> None:
        """Begin with the configuration at the base of a log."""
        self._codec = codec
        self.replace(index, configuration)

    @property
    def previous(self) -> Configuration:
        """Return the configuration before the current one, or the only one that is held."""
        return self._all[-2:][0][1]

    def at(self, index: int) -> Configuration:
        """Return the configuration at an index; raise ProtocolViolation below the base."""
        for first, configuration in reversed(self._all):
            if first <= index:
                return configuration
        raise ProtocolViolation(f"who took part at {index} is forgotten: the log is cut above it")

    def append(self, entry: Entry) -> None:
        """Put the configuration of an entry in force; the entry is behind all other entries."""
        self._set([*self._all, (entry.index, self._codec.decode(entry.payload))])

    def truncate(self, index: int) -> None:
        """Forget the configurations at `index` and behind `index`."""
        if self.index >= index:
            self._set([pair for pair in self._all if pair[0] < index])

    def compact(self, index: int) -> None:
        """Make `index` the base."""
        kept = [pair for pair in self._all if pair[0] > index]
        self._set([(index, self.at(index)), *kept])

    def replace(self, index: int, configuration: Configuration) -> None:
        """Replace all configurations by the configuration of a snapshot (Raft §7)."""
        self._set([(index, configuration)])

    def _set(self, configurations: list[tuple[int, Configuration]]) -> None:
        self._all = configurations
        self.index, self.current = configurations[-1]
