"""The cluster as its members describe themselves; works without a quorum."""

import asyncio
import platform

from inventory.v1 import cluster_pb2

from gateway.runtime.links import MemberLink, MemberLinks


async def status_of(links: MemberLinks) -> cluster_pb2.GetStatusResponse:
    """Ask every member at once; list members that do not answer as unreachable.

    A member that does not answer is left out if the leader says that it takes no part: the settings
    may still name a first member that was removed.
    """
    asked = sorted(links.links.values(), key=lambda link: link.name)
    answers = await asyncio.gather(*(link.get_member() for link in asked))
    response = cluster_pb2.GetStatusResponse(gateway=platform.node())
    leaders = [answer.member for answer in answers if answer is not None and _leads(answer.member)]
    leader = max(leaders, key=lambda one: one.term, default=cluster_pb2.Member())
    response.leader = leader.name
    taking_part = {*leader.voters, *leader.learners}
    for link, answer in zip(asked, answers, strict=True):
        if answer is None:
            if not taking_part or link.name in taking_part:
                response.members.append(_unreachable(link))
            continue
        response.cluster_id = answer.cluster_id
        response.members.append(answer.member)
    return response


def without_places(status: cluster_pb2.GetStatusResponse) -> cluster_pb2.GetStatusResponse:
    """Return a status without what only those need who run the cluster: where members run."""
    shown = cluster_pb2.GetStatusResponse()
    shown.CopyFrom(status)
    for member in shown.members:
        for field in ("address", "pid", "volume"):
            member.ClearField(field)
    return shown


def _leads(member: cluster_pb2.Member) -> bool:
    return member.role == cluster_pb2.MEMBER_ROLE_LEADER


def _unreachable(link: MemberLink) -> cluster_pb2.Member:
    return cluster_pb2.Member(name=link.name, address=link.address, reachable=False)
