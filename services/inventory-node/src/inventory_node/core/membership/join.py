"""A member's questions about itself: are its data of use, is it a member, may it vote.

`DataCheck` decides at the start, before there is a node. `StandingWatch` decides while the node
runs. Both return requests and take answers. The caller sends the requests to the other members,
waits between two tries, and moves data.
"""

import enum
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from raft.messages import EntryKind

from inventory_node.codec import decode_configuration
from inventory_node.wal import Identity, Recovered

ALONE_TIMES = 4  # views without a leader, until a member asks for its standing
ATTEMPTS_MAX = 6  # of a start to learn the member's standing: an election is over by then
TAKING_PART = (membership_pb2.STANDING_LEARNER, membership_pb2.STANDING_VOTER)

Request = membership_pb2.ChangeRequest
Response = membership_pb2.ChangeResponse


def standing_request(identity: Identity, address: str, term: int, *, is_empty: bool) -> Request:
    """Return a request for the standing of a member in `term`.

    The request asks for no vote. A leader of an earlier term does not answer the request.
    """
    join = membership_pb2.Join(
        member_id=identity.member_id,
        name=identity.name,
        address=address,
        is_empty=is_empty,
        is_learner=True,
        term=term,
    )
    return Request(cluster_id=identity.cluster_id, join=join)


def voters_of(recovered: Recovered) -> frozenset[int]:
    """Return the voters by the newest configuration in the log, committed or not."""
    for entry in reversed(recovered.entries):
        if entry.kind == EntryKind.CONFIGURATION:
            return decode_configuration(entry.payload).voters
    return recovered.configuration.voters


class StandingWatch:
    """How one member comes to take part, and how the member learns that it was removed.

    - The member asks for membership and for a vote only if the member joins by itself (`auto`).
    - Only a leader's answer makes the member count as removed, never the member's own log. The log
      may hold a removal that another leader takes back (Raft §5.3), and until then this member may
      be the only electable member (dissertation §4.2.2). The log may also end before the entry that
      added the member.
    """

    def __init__(self, identity: Identity, address: str, *, auto: bool) -> None:
        """Start for this member, which others find at `address`."""
        self.was_removed = False
        self._identity = identity
        self._address = address
        self._auto = auto
        self._alone = 0  # views in a row without a known leader

    def observe(self, member: cluster_pb2.Member) -> Request | None:
        """Take the member's own view; return the request to the others, None for no request."""
        self._alone = 0 if member.leader else self._alone + 1
        match member.standing:
            case cluster_pb2.MEMBER_STANDING_REMOVED:
                return self._request(member.term, is_empty=False)
            case cluster_pb2.MEMBER_STANDING_VOTER:
                is_alone = self._alone >= ALONE_TIMES
                return self._request(member.term, is_empty=False) if is_alone else None
            case _:
                request = self._request(member.term, is_empty=not member.last_log_index)
                request.join.is_learner = False
                return request if self._auto else None

    def _request(self, term: int, *, is_empty: bool) -> Request:
        return standing_request(self._identity, self._address, term, is_empty=is_empty)

    def hear(self, response: Response) -> str:
        """Take one member's answer; return its standing or refusal, empty without either."""
        if response.HasField("done"):
            standing = response.done.standing
            self.was_removed = self.was_removed or standing == membership_pb2.STANDING_REMOVED
            return membership_pb2.Standing.Name(standing)
        return _refusal_in([response])


class DataVerdict(enum.Enum):
    """What happens to the data that a member starts with."""

    KEEP = "keep"
    SET_ASIDE = "set aside"
    ASK = "ask"  # send the next request at once
    ASK_LATER = "ask later"


class DataCheck:
    """Whether the data that a member starts with are still of use.

    - The data of a member that was removed while it was away are of no use.
    - The data of a member with a diverged state are of no use as soon as the others go on without
      the member. A leader's belief is no proof of that, since the leader may have been paused, and
      lead no longer. A committed removal is proof: a majority of the remaining members holds the
      removal, and so every entry that was acknowledged before.
    - The removal is asked for only if two conditions hold. This member reaches a majority of the
      voters without itself, and the leader says that those voters hold the committed entries. A
      removal that waits for the voters would block a cluster that could go on with this member. A
      leader that does not know the question has not said so.
    - If no leader answers, the data are kept. A first member that may serve asks once: if all
      members start together, no leader can answer.
    """

    def __init__(
        self,
        recovered: Recovered,
        identity: Identity,
        address: str,
        *,
        is_first: bool,
        is_diverged: bool,
    ) -> None:
        """Begin with the request for the member's standing; others find the member at `address`."""
        self.problem = "no leader answers"  # why the data are not set aside yet
        self._identity = identity
        self._voters = voters_of(recovered)
        self._is_diverged = is_diverged
        self._attempts_left = 1 if is_first and not is_diverged else ATTEMPTS_MAX
        is_empty = not recovered.entries and not recovered.base_index
        term = recovered.hard_state.term
        self._standing_request = standing_request(identity, address, term, is_empty=is_empty)
        self.request = self._standing_request  # to all other members, and a leader that they name

    def hear(self, responses: Sequence[Response], reached: AbstractSet[int]) -> DataVerdict:
        """Take the answers to `request`; `reached` are the ids of the members with a link."""
        match self.request.WhichOneof("change"):
            case "leave" if _is_done(responses):
                identity = self._identity
                self.request = Request(cluster_id=identity.cluster_id, remove=identity.name)
                return DataVerdict.ASK
            case "remove" if _is_done(responses):
                return DataVerdict.SET_ASIDE
            case "join":
                verdict = self._judge(_standing_in(responses), reached)
            case _:
                verdict = None
        if verdict is not None:
            return verdict
        self.problem = _refusal_in(responses) or self.problem
        self.request = self._standing_request
        self._attempts_left -= 1
        return DataVerdict.ASK_LATER if self._attempts_left else DataVerdict.KEEP

    def _judge(
        self, standing: membership_pb2.Standing.ValueType | None, reached: AbstractSet[int]
    ) -> DataVerdict | None:
        """Decide by the member's standing; None if the standing decides nothing."""
        if standing == membership_pb2.STANDING_REMOVED:
            return DataVerdict.SET_ASIDE
        if not self._is_diverged:
            return DataVerdict.KEEP if standing is not None else None
        if standing not in TAKING_PART:
            return None
        if len(reached & self._voters) <= len(self._voters) // 2:
            self.problem = "this member does not reach a majority without it"
            return None
        identity = self._identity
        leave = membership_pb2.Leave(member_id=identity.member_id, reached=sorted(reached))
        self.problem = "no leader answers"
        self.request = Request(cluster_id=identity.cluster_id, leave=leave)
        return DataVerdict.ASK


def _standing_in(responses: Iterable[Response]) -> membership_pb2.Standing.ValueType | None:
    """Return the standing that the first leader reports; None if no leader reports one."""
    return next((one.done.standing for one in responses if one.HasField("done")), None)


def _is_done(responses: Iterable[Response]) -> bool:
    return any(one.HasField("done") for one in responses)


def _refusal_in(responses: Iterable[Response]) -> str:
    """Return the last refusal; empty without a refusal."""
    refusals = [one.error.message for one in responses if one.HasField("error")]
    return refusals[-1] if refusals else ""
