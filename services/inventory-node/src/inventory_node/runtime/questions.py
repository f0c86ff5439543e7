"""Answers to questions about this member, and to requests for membership changes."""

from collections.abc import Callable

from inventory.raft.v1 import forward_pb2, membership_pb2, peer_pb2
from inventory.raft.v1.link_pb2 import LinkAnswer, LinkQuestion
from inventory.v1 import cluster_pb2
from link.asking import Answer, Forget, Reply
from pki.identities import Kind, ProcessIdentity
from wire import errors

from inventory_node.runtime.membership_service import MembershipService
from inventory_node.runtime.peers import Local


class MemberAnswers:
    """Answers the questions of members, gateways and watchers.

    - A watcher is told how this member is, and nothing else.
    - A member asks for changes of itself alone.
    """

    def __init__(
        self,
        own: Local,
        describe: Callable[[], peer_pb2.DescribeResponse | None],
        view: Callable[[], cluster_pb2.Member],
        membership: MembershipService,
        name_of: Callable[[int], str],
    ) -> None:
        """Answer for one member; `describe` returns None before the log is read.

        `name_of` returns the name of a member that takes part, by its id.
        """
        self._name_of = name_of
        self._own = own
        self._describe = describe
        self._view = view
        self._membership = membership

    def answers_for(self, peer: ProcessIdentity) -> Answer:
        """Return what answers the questions of a member or a gateway."""
        return lambda question, reply: self._answer(question, reply, peer)

    def _answer(self, question: LinkQuestion, reply: Reply, peer: ProcessIdentity) -> Forget:
        match question.WhichOneof("question"):
            case "describe":
                described = self._describe()
                if described is None:
                    reply(LinkAnswer(problem="the log is not read yet"))
                else:
                    reply(LinkAnswer(describe=described))
            case "change":
                return self._change(question.change, reply, peer)
            case _:
                return self.answer_watcher(question, reply)
        return _forget_nothing

    def answer_watcher(self, question: LinkQuestion, reply: Reply) -> Forget:
        """Answer a watcher."""
        if question.WhichOneof("question") == "get_member":
            member = forward_pb2.GetMemberResponse(
                cluster_id=self._own.cluster_id, member=self._view()
            )
            reply(LinkAnswer(get_member=member))
        else:
            reply(LinkAnswer(problem="this question is not answered here"))
        return _forget_nothing

    def _change(
        self, request: membership_pb2.ChangeRequest, reply: Reply, peer: ProcessIdentity
    ) -> Forget:
        """Have the node make a change; a gateway may leave out the cluster, which it reached."""
        if request.cluster_id and request.cluster_id != self._own.cluster_id:
            problem = errors.invalid_field("cluster_id", "names another cluster")
            reply(LinkAnswer(change=membership_pb2.ChangeResponse(error=problem)))
            return _forget_nothing
        if peer.kind is Kind.MEMBER and self._subject_of(request) != peer.name:
            problem = errors.change_refused(f"{peer.name} asks for a change of another member")
            reply(LinkAnswer(change=membership_pb2.ChangeResponse(error=problem)))
            return _forget_nothing
        ticket = self._membership.begin(
            request, lambda response: reply(LinkAnswer(change=response))
        )
        return lambda: self._membership.forget(ticket)

    def _subject_of(self, request: membership_pb2.ChangeRequest) -> str:
        """Return the name of the member that asks for a change, empty if no member may ask."""
        match request.WhichOneof("change"):
            case "join":
                return request.join.name
            case "remove":
                return request.remove
            case "leave":
                return self._name_of(request.leave.member_id)
            case _:
                return ""


def _forget_nothing() -> None:
    """Do nothing: the question is answered."""
