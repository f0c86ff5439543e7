"""The release under load while pods, nodes and cables fail, and while it is operated.

One install serves all scenarios, in this order; after each, everything is well again, so that the
next begins like the first. What each measured is a row of the table that ends the run, and of
docs/operating.md. The last loses two volumes, which nothing brings back.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from chaos import machines, members
from chaos.release import NAME, Release, missing, run
from chaos.report import Table
from chaos.scenes import Scene, Toll, median, scenario

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
with_kube = pytest.mark.skipif(
    bool(missing()) or not machines.can_be_cut(),
    reason="nothing here kills a pod from outside, or may cut nodes off",
)
with_nodes_to_break = pytest.mark.skipif(
    bool(missing()) or not machines.may_be_touched(),
    reason="the nodes are not those of a cluster for tests: kube, kind-* or minikube",
)
on_all = pytest.mark.skipif(not os.environ.get("INVENTORY_E2E_ALL"), reason="`make e2e ALL=1`")
REPEATS = 5
GRACEFUL_SECONDS_MAX = 0.3  # without writes, the median
KILLED_SECONDS_MAX = 2.0
STOPPED_SECONDS = 5
CUT_SECONDS = 10
LONG_CUT_SECONDS = 50  # longer than Kubernetes takes to give a node up and move its pods


class Play(Protocol):
    """Opens a scenario."""

    def __call__(
        self, what: str, *, toll: Toll, seconds_max: float
    ) -> AbstractContextManager[Scene]:
        """Load, and judge at the end."""
        ...


@pytest.fixture
def play(release: Release, table: Table, tmp_path: Path) -> Play:
    """Let a scenario play on the release."""

    def made(what: str, *, toll: Toll, seconds_max: float) -> AbstractContextManager[Scene]:
        return scenario(release, tmp_path, table, what, toll=toll, seconds_max=seconds_max)

    return made


class TestTheLeaderGoes:
    """Five times each, for medians."""

    def test_deleted(self, release: Release, play: Play) -> None:
        """The member has its grace period, hands the lead over, and no client sees an error."""

        def delete() -> set[str]:
            leader = release.leader()
            release.delete(leader)
            return {leader}

        with play("delete the leader", toll=Toll.NONE, seconds_max=120) as scene:
            for _ in range(REPEATS):
                scene.fault(delete)
        assert median(scene.silences) < GRACEFUL_SECONDS_MAX

    def test_deleted_by_force(self, release: Release, play: Play) -> None:
        """The member has a second or two left."""

        def delete() -> set[str]:
            leader = release.leader()
            release.delete(leader, grace_seconds=0)
            return {leader}

        with play("delete the leader by force", toll=Toll.FEW, seconds_max=120) as scene:
            for _ in range(REPEATS):
                scene.fault(delete)
        assert median(scene.silences) < KILLED_SECONDS_MAX

    @with_kube
    def test_killed(self, release: Release, play: Play) -> None:
        """SIGKILL: the other members elect a leader in time for every deadline."""

        def kill() -> set[str]:
            leader = release.leader()
            release.kill(leader)
            return {leader}

        with play("kill the leader (SIGKILL)", toll=Toll.FEW, seconds_max=150) as scene:
            for _ in range(REPEATS):
                scene.fault(kill)
        assert median(scene.silences) < KILLED_SECONDS_MAX

    @with_kube
    def test_stopped(self, release: Release, play: Play) -> None:
        """SIGSTOP for 5 s: the member's sockets stay open, and the member sends nothing."""

        def stop() -> set[str]:
            leader = release.leader()
            release.kill(leader, "STOP")
            time.sleep(STOPPED_SECONDS)
            release.kill(leader, "CONT")
            return set()

        with play("stop the leader for 5 s (SIGSTOP)", toll=Toll.FEW, seconds_max=120) as scene:
            for _ in range(REPEATS):
                scene.fault(stop)
        assert median(scene.silences) < KILLED_SECONDS_MAX


class TestMembersGo:
    """Followers, several at once, and volumes."""

    def test_a_follower_is_deleted(self, release: Release, play: Play) -> None:
        """Nobody notices."""

        def delete() -> set[str]:
            follower = release.followers()[0]
            release.delete(follower)
            return {follower}

        with play("delete a follower", toll=Toll.NONE, seconds_max=60) as scene:
            scene.fault(delete)

    def test_two_are_deleted_with_their_grace(self, release: Release, play: Play) -> None:
        """At once: the second is needed, and goes when the first is back."""

        def delete() -> set[str]:
            pods = [release.leader(), release.followers()[0]]
            release.delete(*pods)
            return set(pods)

        what = "delete the leader and a follower at once"
        with play(what, toll=Toll.NONE, seconds_max=120) as scene:
            scene.fault(delete)

    def test_two_then_all_are_deleted(self, release: Release, play: Play) -> None:
        """Without a majority there are errors, and no loss."""

        def delete(count: int) -> Callable[[], set[str]]:
            def action() -> set[str]:
                pods = sorted(release.pods(), key=lambda pod: pod != release.leader())[:count]
                release.delete(*pods, grace_seconds=0)
                return set(pods)

            return action

        what = "delete two members by force, then all three"
        with play(what, toll=Toll.ANY, seconds_max=120) as scene:
            scene.fault(delete(2))
            scene.fault(delete(3))

    def test_a_volume_is_lost(self, release: Release, play: Play) -> None:
        """The member comes back with nothing, joins as a learner with another id, gets a vote."""
        pod = release.followers()[0]
        before = release.member(pod).id

        def lose() -> set[str]:
            release.delete_volumes([pod])
            return {pod}

        with play("delete a follower with its claim", toll=Toll.NONE, seconds_max=90) as scene:
            scene.fault(lose)
        assert release.member(pod).id != before


class TestGatewaysGo:
    """A gateway's pod goes, and its clients move to the other gateway."""

    def test_one_by_one(self, release: Release, play: Play) -> None:
        """With their grace, no call is lost."""

        def delete(pod: str) -> Callable[[], set[str]]:
            def action() -> set[str]:
                release.delete(pod)
                return {pod}

            return action

        with play("delete the gateways, one by one", toll=Toll.NONE, seconds_max=120) as scene:
            for pod in sorted(release.pods("gateway")):
                scene.fault(delete(pod))

    def test_by_force(self, release: Release, play: Play) -> None:
        """Only the calls in flight on the gateway may be lost."""

        def delete() -> set[str]:
            release.delete(pod, grace_seconds=0)
            return {pod}

        pod = min(release.pods("gateway"))
        with play("delete a gateway by force", toll=Toll.IN_FLIGHT, seconds_max=60) as scene:
            scene.lost.add(pod)
            scene.fault(delete)


class TestItIsOperated:
    """Rollouts, upgrades, drains, and other numbers of members."""

    def test_rolling_restart(self, release: Release, play: Play) -> None:
        """`kubectl rollout restart` restarts one pod after the other."""

        def roll() -> set[str]:
            target = ("--namespace", release.namespace, f"statefulset/{NAME}-node")
            run("kubectl", "rollout", "restart", *target)
            run("kubectl", "rollout", "status", "--timeout=120s", *target, seconds=130)
            return set(release.pods())

        with play("rolling restart of the members", toll=Toll.NONE, seconds_max=150) as scene:
            scene.fault(roll)

    def test_upgrade_and_rollback(self, release: Release, play: Play) -> None:
        """A changed value rolls every pod, there and back."""

        def upgrade() -> set[str]:
            before = set(release.lives())
            release.helm("upgrade", "log.level=debug")
            return before

        def rollback() -> set[str]:
            before = set(release.lives())
            release.rollback()
            return before

        what = "upgrade with a changed value, and roll back"
        with play(what, toll=Toll.NONE, seconds_max=240) as scene:
            scene.fault(upgrade)
            scene.fault(rollback)

    def test_upgrade_with_a_broken_member_is_refused(self, release: Release, play: Play) -> None:
        """A member crash-loops: no pod is rolled, and the Job names the member."""
        broken = release.followers()[0]

        def upgrade() -> set[str]:
            with members.broken(release, broken):
                with pytest.raises(AssertionError, match="pre-upgrade hooks failed"):
                    release.helm("upgrade", "log.level=debug")
                assert broken in run("kubectl", "logs", "--namespace", release.namespace,
                                     f"job/{NAME}-upgrade")  # fmt: skip
            return {broken}

        what = "upgrade with one member crash-looping: refused"
        with play(what, toll=Toll.FEW, seconds_max=120) as scene:
            scene.fault(upgrade)
        release.rollback()

    @on_all
    def test_upgrade_to_a_missing_image(self, release: Release, play: Play) -> None:
        """The Job never starts. Without the Job one member is rolled, and comes back."""

        def upgrade(*options: str) -> Callable[[], set[str]]:
            def action() -> set[str]:
                before = set(release.lives())
                with pytest.raises(AssertionError, match=r"timed out|deadline"):
                    release.helm("upgrade", "image.tag=missing", options=options, seconds=20)
                release.rollback()
                return before if options else set()

            return action

        what = "upgrade to a missing image, rolled back; again without the hook"
        with play(what, toll=Toll.NONE, seconds_max=240) as scene:
            scene.fault(upgrade())
            scene.fault(upgrade("--no-hooks"))

    @on_all
    def test_an_upgrade_mends_a_member(self, release: Release, play: Play) -> None:
        """An upgrade that asks for health is refused; an upgrade that does not mends the member."""

        def mend() -> set[str]:
            before = set(release.lives())
            with pytest.raises(AssertionError, match=r"timed out|deadline"):
                release.helm("upgrade", "image.tag=missing", options=("--no-hooks",), seconds=20)
            with pytest.raises(AssertionError, match="pre-upgrade hooks failed"):
                release.helm("upgrade")
            release.helm("upgrade", "upgrade.requireHealthy=false")
            return before

        what = "upgrade past a member without an image: refused; not with requireHealthy=false"
        with play(what, toll=Toll.NONE, seconds_max=240) as scene:
            scene.fault(mend)

    @with_nodes_to_break
    def test_drain(self, release: Release, play: Play) -> None:
        """The node of the leader."""
        release.spread()

        def drain() -> set[str]:
            node = release.node_of(release.leader())
            touched = release.on(node)
            machines.drain(node, seconds=60)
            machines.uncordon(node)
            return touched

        with play("drain the leader's node", toll=Toll.NONE, seconds_max=120) as scene:
            scene.fault(drain)

    @with_nodes_to_break
    @on_all
    def test_drain_beside_a_broken_member(self, release: Release, play: Play) -> None:
        """The drain of a healthy member is refused; the drain of the broken member succeeds."""
        release.spread()
        broken, other = release.followers()

        def drain() -> set[str]:
            node, node_of_other = release.node_of(broken), release.node_of(other)
            touched = release.on(node) | release.on(node_of_other) - {other}
            try:
                with members.broken(release, broken):
                    with pytest.raises(AssertionError, match="disruption budget"):
                        machines.drain(node_of_other, seconds=8)
                    machines.uncordon(node_of_other)
                    machines.drain(node, seconds=60)
            finally:
                machines.uncordon(node_of_other)
                machines.uncordon(node)
            return touched | {broken}

        what = "drain beside a crash-looping member: the other's refused, its own done"
        with play(what, toll=Toll.FEW, seconds_max=180) as scene:
            scene.fault(drain)

    @on_all
    def test_scale_to_five_and_back(self, release: Release, play: Play) -> None:
        """Members join and leave one at a time, and the first members stay."""

        def scale() -> set[str]:
            told = set(release.pods("health"))  # how many members there are to be: it begins anew
            release.helm("upgrade", "replicaCount=5")
            release.wait_until_whole(members=5)
            told |= set(release.pods("health"))
            release.helm("upgrade")
            return told

        with play("scale from 3 to 5, and back", toll=Toll.NONE, seconds_max=240) as scene:
            scene.fault(scale)

    @on_all
    def test_scale_to_five_and_roll_back(self, release: Release, play: Play) -> None:
        """A rollback removes members as an upgrade does."""

        def scale() -> set[str]:
            told = set(release.pods("health"))
            release.helm("upgrade", "replicaCount=5")
            release.wait_until_whole(members=5)
            told |= set(release.pods("health"))
            release.rollback()
            return told

        with play("scale from 3 to 5, and roll back", toll=Toll.NONE, seconds_max=240) as scene:
            scene.fault(scale)

    @on_all
    def test_scaled_without_the_chart(self, release: Release, play: Play) -> None:
        """`kubectl scale` stops a voter: health reports the voter, and the remedy."""

        def scale(count: int) -> None:
            run("kubectl", "scale", "--namespace", release.namespace,
                f"statefulset/{NAME}-node", f"--replicas={count}")  # fmt: skip

        def take_one_away() -> set[str]:
            scale(2)
            found = release.wait_until_health_finds("voters_differ")
            assert "Scale back to 3" in found["remedy"]
            scale(3)
            return {f"{NAME}-node-2"}

        with play("kubectl scale to 2, and back", toll=Toll.NONE, seconds_max=120) as scene:
            scene.fault(take_one_away)

    @on_all
    def test_pause_at_zero(self, release: Release, play: Play) -> None:
        """Nobody is there, nothing is lost, and nobody has left."""

        def pause() -> set[str]:
            told = set(release.pods("health"))
            release.helm("upgrade", "replicaCount=0")
            with pytest.raises(AssertionError, match="was paused with 3 members"):
                release.helm("upgrade", "replicaCount=1")
            release.helm("upgrade")
            return told | {f"{NAME}-node-{number}" for number in range(3)}

        with play("scale to 0, and back", toll=Toll.ANY, seconds_max=150) as scene:
            scene.fault(pause)


@with_kube
@on_all
class TestMachinesGo:
    """Nodes of Kubernetes crash and are cut off, but never the witness's node."""

    @pytest.fixture(autouse=True)
    def settled(self, release: Release) -> Iterator[None]:
        """Begin with a node for each member; return only when every node is ready again."""
        release.spread()
        yield
        for node in release.core.list_node().items:
            machines.wait_until_ready(release, node.metadata.name)

    @staticmethod
    def lose(release: Release, scene: Scene, node: str) -> set[str]:
        """Note which gateways go with a node; return its pods."""
        pods = release.on(node)
        scene.lost |= pods & set(release.pods("gateway"))
        return pods

    def test_crash(self, release: Release, play: Play) -> None:
        """The leader's node loses its power, and Kubernetes gives the node up before it returns."""
        with play("crash the leader's node", toll=Toll.UNTIL_MOVED, seconds_max=150) as scene:

            def crash() -> set[str]:
                node = release.node_of(release.leader())
                pods = self.lose(release, scene, node)
                with machines.crashed(node):
                    machines.wait_until_ready(release, node, ready=False)
                machines.wait_until_ready(release, node)
                return pods

            scene.fault(crash)

    @pytest.mark.parametrize("seconds", [CUT_SECONDS, LONG_CUT_SECONDS])
    def test_cut_off(self, release: Release, play: Play, seconds: int) -> None:
        """The leader goes on and hears nobody."""
        what = f"cut the leader's node off for {seconds} s"
        with play(what, toll=Toll.UNTIL_MOVED, seconds_max=seconds + 90) as scene:

            def cut() -> set[str]:
                node = release.node_of(release.leader())
                pods = self.lose(release, scene, node)
                with machines.cut(node):
                    time.sleep(seconds)
                machines.wait_until_ready(release, node)
                return pods

            scene.fault(cut)

    @pytest.mark.parametrize("way", ["both ways", "to the follower", "from the follower"])
    def test_leader_and_follower_apart(self, release: Release, play: Play, way: str) -> None:
        """Both still reach the third."""
        what = f"cut the leader from one follower, {way}"
        with play(what, toll=Toll.FEW, seconds_max=90) as scene:

            def cut() -> set[str]:
                ends = [release.node_of(release.leader()), release.node_of(release.followers()[0])]
                if way == "from the follower":
                    ends.reverse()
                with machines.cut(*ends, one_way=way != "both ways"):
                    time.sleep(CUT_SECONDS)
                return set()

            scene.fault(cut)


@on_all
def test_two_volumes_are_lost(release: Release) -> None:
    """No member is elected on empty disks, and no call is answered; the member with data waits."""
    members.lose_two(release)
