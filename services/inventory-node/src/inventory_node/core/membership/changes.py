"""Membership changes: members and operators ask the leader, which answers after the commit.

Consensus decides whether a change may begin (`raft.membership`). This module turns names into ids,
and answers each request. The configuration labels the id of a member that joins later than the
first members: `name=host:port`. So every member that has the configuration knows the member.
"""

from collections.abc import Iterable
from typing import NamedTuple

from inventory.raft.v1 import membership_pb2
from inventory.v1 import cluster_pb2
from raft import (
    Accepted,
    AddLearner,
    ChangeRefused,
    Promote,
    RawNode,
    Remove,
    TransferRefused,
)
from raft.membership import Change
from raft.messages import Configuration
from raft.ready import RaftRole
from wire import errors

from inventory_node.core.events import ChangeAsked
from inventory_node.core.membership.drain import Drain
from inventory_node.core.replies import Replies
from inventory_node.core.settings import NodeSettings, Ports
from inventory_node.ports import Contact

Response = membership_pb2.ChangeResponse


class Begun(NamedTuple):
    """A change whose entry is not committed yet."""

    ticket: int
    term: int
    standing: membership_pb2.Standing.ValueType  # of the member, once the change is committed


def contacts_of(configuration: Configuration) -> dict[int, Contact]:
    """Return the members that joined later than the first members, by their ids."""
    contacts = {}
    for member, label in configuration.labels:
        name, _, address = label.partition("=")
        contacts[member] = Contact(name, address)
    return contacts


class MembershipChanges:
    """Changes on their way, and the names of the members.

    - Every `ChangeAsked` is answered once: with the committed standing, with a refusal, or with the
      leader that is known.
    - No member is added under the name of a member that is present.
    """

    def __init__(self, settings: NodeSettings, replies: Replies, ports: Ports) -> None:
        """Start with the first members."""
        self._first = settings.members
        self._own_id = settings.member_id
        self._replies = replies
        self._transport = ports.transport
        self._drain = Drain(ports.clock)
        self.names = dict(settings.members)
        self.joined: dict[int, Contact] = {}  # later than the first members
        self._begun: dict[int, Begun] = {}  # by the index of the entry
        self._transfers: list[int] = []  # tickets

    def learn_members(self, configuration: Configuration) -> None:
        """Learn the members of a configuration; pass the joined members to the transport."""
        contacts = self.joined = contacts_of(configuration)
        self.names = {**self._first, **{one: contact.name for one, contact in contacts.items()}}
        self._transport.meet({one: contacts[one] for one in contacts.keys() - {self._own_id}})

    def announce(self, raft: RawNode) -> None:
        """Tell gateways who leads, and which members joined later than the first members."""
        self._replies.announce(raft.term, self.leader(raft), self.joined.values())

    def show(self, member: cluster_pb2.Member, raft: RawNode) -> None:
        """Write the leader, the voters and the learners into a view."""
        member.leader = self.leader(raft)
        configuration = raft.configuration
        member.voters.extend(self._names_of(configuration.voters))
        member.learners.extend(self._names_of(configuration.learners))

    def _names_of(self, members: Iterable[int]) -> list[str]:
        return sorted(self.names.get(one, str(one)) for one in members)

    def leader(self, raft: RawNode) -> str:
        """Return the name of the known leader; empty without a known leader."""
        return self.names.get(raft.leader, "")

    def begin(self, event: ChangeAsked, raft: RawNode) -> None:
        """Begin a change, or answer the request at once."""
        request, ticket = event.request, event.ticket
        if raft.role is not RaftRole.LEADER:
            self._answer(ticket, self._not_leader(raft))
            return
        match request.WhichOneof("change"):
            case "join":
                self._join(ticket, request.join, raft)
            case "promote":
                self._promote(ticket, request.promote, raft)
            case "remove":
                self._remove(ticket, request.remove, raft)
            case "transfer":
                self._transfer(ticket, request.transfer, raft)
            case "leave":
                self._grant_leave(ticket, request.leave, raft)
            case None:
                problem = errors.invalid_field("change", "names no change that is known here")
                self._answer(ticket, Response(error=problem))

    def answer_decided(self, raft: RawNode) -> None:
        """Answer changes that are committed, or whose outcome this member cannot learn."""
        for index, begun in list(self._begun.items()):
            if raft.commit_index >= index and raft.term_at(index) == begun.term:
                self._done(self._begun.pop(index).ticket, begun.standing)
            elif raft.term != begun.term or raft.role is not RaftRole.LEADER:
                self._answer(self._begun.pop(index).ticket, self._not_leader(raft))
        if self._transfers and not raft.transferring:
            stayed = raft.role is RaftRole.LEADER
            refused = errors.change_refused("the successor did not take the lead in time")
            tickets, self._transfers = self._transfers, []
            for ticket in tickets:
                if stayed:
                    self._answer(ticket, Response(error=refused))
                else:
                    self._done(ticket, membership_pb2.STANDING_VOTER)

    def _id_of(self, name: str, configuration: Configuration) -> int:
        """Return the id of the member with this name; 0 if no member has the name."""
        members = configuration.voters | configuration.learners
        return next((one for one in sorted(members) if self.names.get(one) == name), 0)

    def _join(self, ticket: int, join: membership_pb2.Join, raft: RawNode) -> None:
        configuration, member = raft.configuration, join.member_id
        if join.term > raft.term:
            self._answer(ticket, self._not_leader(raft))
        elif member in configuration.voters:
            self._done(ticket, membership_pb2.STANDING_VOTER)
        elif member in configuration.learners:
            if join.is_learner:
                self._done(ticket, membership_pb2.STANDING_LEARNER)
            else:
                self._change(ticket, Promote(member), membership_pb2.STANDING_VOTER, raft)
        elif not join.is_empty:
            known = raft.configuration_at(raft.commit_index)
            is_known = raft.term_at(raft.commit_index) == raft.term  # commit index known (Raft §8)
            if not is_known or member in known.voters | known.learners:
                # Another leader may still replace the entry of the removal.
                self._answer(ticket, self._not_leader(raft))
            else:
                self._done(ticket, membership_pb2.STANDING_REMOVED)
        elif namesake := self._id_of(join.name, configuration):
            if namesake == raft.id or raft.followers[namesake].is_present:
                problem = f"member {join.name} takes part already, and is alive"
                self._answer(ticket, Response(error=errors.change_refused(problem)))
            else:  # the volume and its votes are lost: the joining member has an id of its own
                self._change(ticket, Remove(namesake), membership_pb2.STANDING_ABSENT, raft)
        else:
            label = f"{join.name}={join.address}"
            change = AddLearner(member, label)
            self._change(ticket, change, membership_pb2.STANDING_LEARNER, raft)

    def _promote(self, ticket: int, name: str, raft: RawNode) -> None:
        member = self._id_of(name, raft.configuration)
        if not member:
            self._answer(ticket, Response(error=errors.member_not_found(name)))
        elif member in raft.configuration.voters:
            self._done(ticket, membership_pb2.STANDING_VOTER)
        else:
            self._change(ticket, Promote(member), membership_pb2.STANDING_VOTER, raft)

    def _remove(self, ticket: int, name: str, raft: RawNode) -> None:
        member = self._id_of(name, raft.configuration)
        if not member:
            self._answer(ticket, Response(error=errors.member_not_found(name)))
            return
        self._change(ticket, Remove(member), membership_pb2.STANDING_REMOVED, raft)

    def _transfer(self, ticket: int, name: str, raft: RawNode) -> None:
        target = self._id_of(name, raft.configuration)
        if name and not target:
            self._answer(ticket, Response(error=errors.member_not_found(name)))
            return
        if target == raft.id:
            self._done(ticket, membership_pb2.STANDING_VOTER)
            return
        begun = raft.transfer(target)
        if isinstance(begun, TransferRefused):
            self._answer(ticket, Response(error=errors.change_refused(begun.reason)))
        else:
            self._transfers.append(ticket)

    def _grant_leave(self, ticket: int, leave: membership_pb2.Leave, raft: RawNode) -> None:
        if self._drain.grant_leave(leave.member_id, set(leave.reached), raft):
            self._done(ticket, membership_pb2.STANDING_VOTER)
        else:
            problem = "without this one no majority would be left that holds what is committed"
            self._answer(ticket, Response(error=errors.change_refused(problem)))

    def _change(
        self,
        ticket: int,
        change: Change,
        standing: membership_pb2.Standing.ValueType,
        raft: RawNode,
    ) -> None:
        match raft.change(change):
            case Accepted(index, term):
                self._begun[index] = Begun(ticket, term, standing)
            case ChangeRefused(reason):
                self._answer(ticket, Response(error=errors.change_refused(reason)))
            case _:
                self._answer(ticket, self._not_leader(raft))

    def _not_leader(self, raft: RawNode) -> Response:
        told = membership_pb2.NotLeader()
        if raft.role is not RaftRole.LEADER:
            told.leader = self.leader(raft)
            if raft.leader in self.joined:
                told.address = self.joined[raft.leader].address
        return Response(not_leader=told)

    def _done(self, ticket: int, standing: membership_pb2.Standing.ValueType) -> None:
        self._answer(ticket, Response(done=membership_pb2.Done(standing=standing)))

    def _answer(self, ticket: int, response: Response) -> None:
        self._transport.answer_change(ticket, response)
