"""Changes of the cluster's members, for admins. The leader decides; the gateway checks the role.

A linearizable read finds the caller's role.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from inventory.raft.v1 import forward_pb2, link_pb2, membership_pb2, peer_pb2
from inventory.v1 import auth_pb2, cluster_pb2
from link.asking import LinkAsker
from link.errors import HelloRefused, LinkError, LinkRefused, Reason
from wire import errors

from gateway.auth import Principal
from gateway.errors import RequestRefused
from gateway.runtime.driver import Driver, now_ms
from gateway.runtime.links import MemberLinks, introduction

RETRY_SECONDS = 0.1
DESCRIBE_SECONDS_MAX = 2.0
DESCRIBED_MAX = 4  # addresses that are connected to at a time, for callers who add members
Handled = Callable[[Any, Principal, int], Awaitable[membership_pb2.Done]]

_STANDINGS = {
    membership_pb2.STANDING_ABSENT: cluster_pb2.MEMBER_STANDING_JOINING,
    membership_pb2.STANDING_LEARNER: cluster_pb2.MEMBER_STANDING_LEARNER,
    membership_pb2.STANDING_VOTER: cluster_pb2.MEMBER_STANDING_VOTER,
    membership_pb2.STANDING_REMOVED: cluster_pb2.MEMBER_STANDING_REMOVED,
}


class Members:
    """Asks the leader for a change until it is done or refused, or the caller's time is up."""

    def __init__(self, driver: Driver, links: MemberLinks) -> None:
        """Ask over these links."""
        self._driver = driver
        self._links = links
        self._describing = asyncio.Semaphore(DESCRIBED_MAX)

    async def add(
        self, request: cluster_pb2.AddMemberRequest, principal: Principal, deadline_ms: int
    ) -> cluster_pb2.ChangeMembersResponse:
        """Let the member at an address follow as a learner; raise RequestRefused."""
        await self._check_admin(principal, deadline_ms)
        said = await self._describe(request.name, request.address)
        join = membership_pb2.Join(
            member_id=said.member_id,
            name=request.name,
            address=request.address,
            is_empty=not said.term,
            is_learner=True,
        )
        return await self._change(membership_pb2.ChangeRequest(join=join), deadline_ms)

    async def promote(
        self, request: cluster_pb2.PromoteMemberRequest, principal: Principal, deadline_ms: int
    ) -> cluster_pb2.ChangeMembersResponse:
        """Give a learner a vote; raise RequestRefused."""
        change = membership_pb2.ChangeRequest(promote=request.name)
        return await self._as_admin(change, principal, deadline_ms)

    async def remove(
        self, request: cluster_pb2.RemoveMemberRequest, principal: Principal, deadline_ms: int
    ) -> cluster_pb2.ChangeMembersResponse:
        """Take a member out of the cluster; raise RequestRefused."""
        change = membership_pb2.ChangeRequest(remove=request.name)
        return await self._as_admin(change, principal, deadline_ms)

    async def transfer(
        self, request: cluster_pb2.TransferLeadershipRequest, principal: Principal, deadline_ms: int
    ) -> cluster_pb2.ChangeMembersResponse:
        """Hand the lead to a voter, or to the most caught-up voter; raise RequestRefused."""
        change = membership_pb2.ChangeRequest(transfer=request.name)
        return await self._as_admin(change, principal, deadline_ms)

    async def _as_admin(
        self, change: membership_pb2.ChangeRequest, principal: Principal, deadline_ms: int
    ) -> cluster_pb2.ChangeMembersResponse:
        await self._check_admin(principal, deadline_ms)
        return await self._change(change, deadline_ms)

    async def _check_admin(self, principal: Principal, deadline_ms: int) -> None:
        check_admin(await self.current_user(principal, deadline_ms))

    async def current_user(self, principal: Principal, deadline_ms: int) -> auth_pb2.User:
        """Return the caller as a linearizable read finds it; raise RequestRefused."""
        question = forward_pb2.Question(
            user_id=principal.user_id, epoch=principal.epoch, session_id=principal.session_id
        )
        question.query.get_current_user.SetInParent()
        reply = await self._driver.ask(question, deadline_ms)
        return auth_pb2.GetCurrentUserResponse.FromString(reply.answer).user

    async def _describe(self, name: str, address: str) -> peer_pb2.DescribeResponse:
        """Ask the member at an address who it is; raise RequestRefused.

        Whatever listens there is told nothing, and the caller learns nothing about it, unless its
        certificate proves that it is a member of this cluster.
        """
        contexts = self._links.contexts
        asker = LinkAsker(address, lambda: introduction(contexts, link_pb2.PURPOSE_QUESTION, name))
        question = link_pb2.LinkQuestion(describe=peer_pb2.DescribeRequest())
        problem = f"no member answers at {address}"
        try:
            async with self._describing:
                answer = await asker.ask(question, DESCRIBE_SECONDS_MAX)
        except (LinkRefused, HelloRefused) as refusal:
            is_member = refusal.reason == Reason.REASON_RECIPIENT
            problem = str(refusal) if is_member else problem
            raise RequestRefused(errors.change_refused(problem)) from refusal
        except LinkError as error:
            raise RequestRefused(errors.change_refused(problem)) from error
        finally:
            asker.close()
        if not answer.HasField("describe"):
            raise RequestRefused(errors.change_refused(f"{name} is starting; try again"))
        return answer.describe

    async def _change(
        self, request: membership_pb2.ChangeRequest, deadline_ms: int
    ) -> cluster_pb2.ChangeMembersResponse:
        while (left := (deadline_ms - now_ms()) / 1_000) > 0:
            link = self._links.links.get(self._driver.router.leader)
            response = await link.change_members(request, left) if link is not None else None
            match response.WhichOneof("result") if response is not None else None:
                case "done" if response is not None:
                    standing = _STANDINGS[response.done.standing]
                    return cluster_pb2.ChangeMembersResponse(standing=standing)
                case "error" if response is not None:
                    raise RequestRefused(response.error)
                case _:
                    await asyncio.sleep(RETRY_SECONDS)  # for the election that is under way
        raise RequestRefused(errors.members_unknown())


def check_own_password(user: auth_pb2.User) -> None:
    """Raise RequestRefused for a user who has to change its password first."""
    if user.must_change_password:
        raise RequestRefused(errors.password_change_needed(user.id))


def check_admin(user: auth_pb2.User) -> None:
    """Raise RequestRefused for a user who may not do what admins may."""
    check_own_password(user)
    if user.role != auth_pb2.ROLE_ADMIN:
        raise RequestRefused(errors.role_not_allowed(role_in_words(user.role), "admin"))


def role_in_words(role: auth_pb2.Role.ValueType) -> str:
    """Return the word for a role, such as "customer"."""
    return auth_pb2.Role.Name(role).removeprefix("ROLE_").lower()
