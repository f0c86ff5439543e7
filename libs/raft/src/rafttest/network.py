"""Links between members that lose, double, delay and reorder what they carry."""

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from raft.messages import Message

STRAGGLE_ROUNDS_MAX = 40  # long enough to arrive in another term


@dataclass(slots=True)
class LinkFaults:
    """Probabilities of one run, and the longest delay in rounds."""

    drop: float
    double: float
    delay_rounds_max: int
    straggle: float


class CoreNetwork:
    """Messages under way, by the round in which they arrive."""

    def __init__(self, random: Random, faults: LinkFaults) -> None:
        """Begin with nothing under way and nobody cut off."""
        self._random = random
        self.faults = faults
        self._arrivals: defaultdict[int, list[Message]] = defaultdict(list)
        self.cut: set[tuple[int, int]] = set()  # sender, recipient

    def send(self, round_number: int, message: Message) -> None:
        """Decide what becomes of a message."""
        random, faults = self._random, self.faults
        copies = 2 if random.random() < faults.double else 1
        for _ in range(copies):
            if random.random() >= faults.drop:
                # The square makes short delays common and long ones possible.
                delay = int(random.random() ** 2 * faults.delay_rounds_max)
                if random.random() < faults.straggle:
                    delay += random.randint(0, STRAGGLE_ROUNDS_MAX)
                self._arrivals[round_number + 1 + delay].append(message)

    def arrivals(self, round_number: int) -> list[Message]:
        """Return what arrives in this round, in no order."""
        messages = [
            message
            for message in self._arrivals.pop(round_number, ())
            if (message.sender, message.recipient) not in self.cut
        ]
        self._random.shuffle(messages)
        return messages

    def hold(self, round_number: int, message: Message) -> None:
        """Keep a message for a member that is paused: it comes soon after."""
        self._arrivals[round_number + self._random.randint(1, 4)].append(message)

    def isolate(self, member: int, members: list[int]) -> None:
        """Cut off a member, or leave it with one other."""
        friend = self._random.choice(members)
        for other in members:
            if other not in (member, friend):
                self.cut |= {(member, other), (other, member), (friend, other), (other, friend)}

    def partition(self, members: list[int]) -> None:
        """Cut off a random part of the members, or one direction of one link."""
        random = self._random
        if random.random() < 0.2:  # noqa: PLR2004 - one partition in five
            sender, recipient = random.sample(members, 2)
            self.cut.add((sender, recipient))
            return
        part = set(random.sample(members, random.randint(1, len(members) - 1)))
        for sender in members:
            for recipient in members:
                if (sender in part) != (recipient in part):
                    self.cut.add((sender, recipient))

    def heal(self) -> None:
        """Mend every link."""
        self.cut.clear()
