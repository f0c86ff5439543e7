"""Links between members; a link loses, doubles, delays and reorders messages."""

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from raft.messages import Message

STRAGGLE_ROUNDS_MAX = 40  # long enough that a message arrives in a later term


@dataclass(slots=True)
class LinkFaults:
    """The fault probabilities of one run, and the longest delay in rounds."""

    drop: float
    double: float
    delay_rounds_max: int
    straggle: float


class CoreNetwork:
    """The messages under way, by the round in which a message arrives."""

    def __init__(self, random: Random, faults: LinkFaults) -> None:
        """Begin without messages and without cut links."""
        self._random = random
        self.faults = faults
        self._arrivals: defaultdict[int, list[Message]] = defaultdict(list)
        self.cut: set[tuple[int, int]] = set()  # sender, recipient

    def send(self, round_number: int, message: Message) -> None:
        """Drop, double or delay a message by chance."""
        random, faults = self._random, self.faults
        copies = 2 if random.random() < faults.double else 1
        for _ in range(copies):
            if random.random() >= faults.drop:
                # The square makes short delays common and long delays possible.
                delay = int(random.random() ** 2 * faults.delay_rounds_max)
                if random.random() < faults.straggle:
                    delay += random.randint(0, STRAGGLE_ROUNDS_MAX)
                self._arrivals[round_number + 1 + delay].append(message)

    def arrivals(self, round_number: int) -> list[Message]:
        """Return the messages that arrive in this round, in random order."""
        messages = [
            message
            for message in self._arrivals.pop(round_number, ())
            if (message.sender, message.recipient) not in self.cut
        ]
        self._random.shuffle(messages)
        return messages

    def hold(self, round_number: int, message: Message) -> None:
        """Delay a message to a paused member by a few rounds."""
        self._arrivals[round_number + self._random.randint(1, 4)].append(message)

    def isolate(self, member: int, members: list[int]) -> None:
        """Cut off a member, alone or together with one other member."""
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
