"""Second faults that go with some of the first: some happenings need two faults at once.

Whether a fault gets a second one is drawn by a generator of its own. So the other details of the
first fault do not depend on it.
"""

from collections.abc import Callable
from functools import partial
from random import Random

from sim.faults import FaultKind, SimFault
from sim.network import Cut
from sim.operators import Operators
from sim.process import SimProcess
from sim.world import SimWorld

LAST_US = (200_000, 1_200_000)  # from the end of a fault to the end of what goes with it
VOTERS_MIN = 5  # of whom two are no majority, and the others are
Ending = Callable[[], None]


class CompoundFaults:
    """Begins second faults.

    - Each method returns what ends the second fault, or the first and the second fault. The fault
      injector owes the call.
    """

    def __init__(self, world: SimWorld, operators: Operators) -> None:
        """Work on `world`; `operators` ask for changes."""
        self._world = world
        self._operators = operators

    def compound(self, fault: SimFault, process: SimProcess, ending: Ending) -> Ending:
        """Begin what goes with a fault, if anything does; return what ends both.

        `ending` ends the fault that has begun.
        """
        random = Random(f"{fault.draw} compound")
        if random.getrandbits(1):
            return ending
        if fault.kind is FaultKind.REMOVE and process is self._world.leader():
            return self._cut_short(process, random)
        if fault.kind in {FaultKind.APART, FaultKind.ISOLATE}:
            return self._hold_flushes(process, random, ending)
        leader = self._world.leader()
        is_slow = fault.kind in {FaultKind.SLOW_DISK, FaultKind.HUNG_DISK}
        if is_slow and leader is not None and self._is_minority(leader, process):
            return self._end_both(ending, self._set_apart(leader, process, random))
        return ending

    def _end_both(self, first: Ending, second: Ending) -> Ending:
        def over() -> None:
            first()
            second()

        return over

    def _cut_short(self, leader: SimProcess, random: Random) -> Ending:
        """Cut off a leader that removes itself, and later ask it to lead again."""
        others = [name for name in self._world.processes if name != leader.name]
        cuts = self._cut([leader.name], others)

        def over() -> None:
            self._mend(cuts)
            again = partial(self._operators.hand_over, leader)
            self._world.timeline.after(random.randrange(*LAST_US), again)

        return over

    def _hold_flushes(self, process: SimProcess, random: Random, ending: Ending) -> Ending:
        """Let a member's flush hang until the member is behind the log and gets a snapshot."""
        troubles = process.host.troubles
        troubles.flushes_hang += 1

        def over() -> None:
            ending()
            self._world.timeline.after(random.randrange(*LAST_US), troubles.end_hung_flush)

        return over

    def split_pair(self, fault: SimFault) -> Ending | None:
        """Leave a leader with one follower, whose disk hangs until the next term; None: do not."""
        random = Random(f"{fault.draw} compound")
        leader = self._world.leader()
        if leader is None or not random.randrange(4):
            return None
        followers = [one for one in self._world.running() if self._is_minority(leader, one)]
        return self._set_apart(leader, random.choice(followers), random) if followers else None

    def _is_minority(self, leader: SimProcess, follower: SimProcess) -> bool:
        """Tell whether a leader and a follower are voters, and far from a majority."""
        voters = leader.raft.configuration.voters if leader.raft is not None else frozenset()
        return leader is not follower and follower.id in voters and len(voters) >= VOTERS_MIN

    def _set_apart(self, leader: SimProcess, follower: SimProcess, random: Random) -> Ending:
        peers, gateways = self._world.names()
        inside = [leader.name, follower.name, *gateways]
        cuts = self._cut(inside, [name for name in peers if name not in inside])
        troubles = follower.host.troubles
        troubles.disk_hangs += 1

        def over() -> None:
            self._mend(cuts)
            self._world.timeline.after(random.randrange(*LAST_US), troubles.end_hung_disk)

        return over

    def _cut(self, inside: list[str], outside: list[str]) -> list[Cut]:
        network = self._world.network
        return [network.cut(inside, outside), network.cut(outside, inside)]

    def _mend(self, cuts: list[Cut]) -> None:
        for cut in cuts:
            self._world.network.mend(cut)
