"""The cluster as its members see themselves; works without a quorum."""

import asyncio
import platform

from inventory.v1 import cluster_pb2

from gateway.runtime.links import Link, MemberLinks


async def status_of(links: MemberLinks) -> cluster_pb2.GetStatusResponse:
    """Ask every member at once; list those that do not answer as unreachable."""
    asked = sorted(links.links.values(), key=lambda link: link.name)
    answers = await asyncio.gather(*(link.member() for link in asked))
    response = cluster_pb2.GetStatusResponse(gateway=platform.node())
    term = 0
    for link, answer in zip(asked, answers, strict=True):
        if answer is None:
            response.members.append(_unreachable(link))
            continue
        response.cluster_id = answer.cluster_id
        response.members.append(answer.member)
        if answer.member.role == cluster_pb2.MEMBER_ROLE_LEADER and answer.member.term > term:
            term, response.leader = answer.member.term, answer.member.name
    return response


def _unreachable(link: Link) -> cluster_pb2.Member:
    return cluster_pb2.Member(name=link.name, address=link.address, reachable=False)
