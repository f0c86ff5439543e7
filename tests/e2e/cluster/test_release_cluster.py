"""The chart on a real cluster: pods may be deleted, killed, rolled and upgraded under load.

One install serves all scenarios, in their order. Each prints how long no mutation was acknowledged;
`make e2e` shows the table at its end. What holds always is judged always: every acknowledged order
is there once, stock adds up, members' hashes agree, the history is linearizable.
"""

import asyncio
import os
import re
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos.judging import judge, silence_seconds
from chaos.release import NAME, Release, missing, run
from chaos.up import ROOT
from inventory_client import Inventory

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
TABLE: list[tuple[str, str]] = []


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """Install once, in the folder that documents speak of; show the table, leave nothing behind."""
    os.chdir(ROOT)
    made = Release()
    try:
        made.install()
        yield made
    finally:
        lines = [f"| {what} | {how} |" for what, how in TABLE]
        sys.stdout.write("\n".join(["", "| scenario | measured |", "|---|---|", *lines, ""]))
        made.remove()


def suffer(  # noqa: PLR0913 - the facts of a scenario
    release: Release,
    tmp_path: Path,
    what: str,
    fault: Callable[[], object],
    *,
    times: int = 1,
    errors: bool = False,
) -> None:
    """Let a fault happen under load, some times; judge, measure, and see who was restarted."""
    silences = []
    unknown = 0
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()

        async def faults() -> None:
            await asyncio.to_thread(fault)
            await asyncio.to_thread(release.wait_until_whole)

        tally = judge(release, folder, faults)
        unknown += len(tally.unknown)
        silences.append(silence_seconds(folder / "history.jsonl"))
    measured = f"{statistics.median(silences):.2f} s without writes"
    if times > 1:
        measured += f" (median of {times}, worst {max(silences):.2f})"
    TABLE.append((what, f"{measured}, {unknown} calls without an outcome in 5 s"))
    assert errors or not unknown


def test_it_orders_and_answers(release: Release) -> None:
    """From outside, by one address; `helm test` does it from inside."""
    with Inventory(release.address) as customer:
        customer.login("Gayathri", "password1")
        assert customer.order_item(1, 1).order_id
        assert "Keyboard" in str(customer.ask("low stock").rows)
    run("helm", "test", NAME, "--namespace", release.namespace)


def test_the_leader_is_deleted(release: Release, tmp_path: Path) -> None:
    """With its grace: it hands over, and no client sees an error."""
    suffer(
        release, tmp_path, "delete the leader", lambda: release.delete(release.leader()), times=3
    )


def test_the_leader_is_deleted_by_force(release: Release, tmp_path: Path) -> None:
    """A second or two are left to it."""
    suffer(
        release,
        tmp_path,
        "delete the leader by force",
        lambda: release.delete(release.leader(), grace_seconds=0),
        times=2,
    )


@pytest.mark.skipif(not shutil.which("kube"), reason="nothing here kills a pod from outside")
def test_the_leader_is_killed(release: Release, tmp_path: Path) -> None:
    """SIGKILL: the others elect one of them, in time for every deadline."""
    suffer(release, tmp_path, "kill the leader", lambda: release.kill(release.leader()), times=3)


def test_a_follower_is_deleted(release: Release, tmp_path: Path) -> None:
    """Nobody notices."""

    def fault() -> None:
        leader = release.leader()
        release.delete(next(pod for pod in sorted(release.pods()) if pod != leader))

    suffer(release, tmp_path, "delete a follower", fault)


def test_a_follower_is_deleted_with_its_volume(release: Release, tmp_path: Path) -> None:
    """It comes back with nothing, joins as a learner under another id, and gets a vote."""
    leader = release.leader()
    pod = next(pod for pod in sorted(release.pods()) if pod != leader)
    before = release.member(pod).id
    suffer(
        release, tmp_path, "delete a follower and its volume", lambda: release.delete_volume(pod)
    )
    assert release.member(pod).id != before


def test_gateways_are_deleted_one_by_one(release: Release, tmp_path: Path) -> None:
    """Calls move to the other one."""

    def fault() -> None:
        for pod in sorted(release.pods("gateway")):
            release.delete(pod)
            release.wait_until_whole()

    suffer(release, tmp_path, "delete the gateways, one by one", fault)


def test_the_members_are_rolled(release: Release, tmp_path: Path) -> None:
    """`kubectl rollout restart`, one pod after the other."""

    def fault() -> None:
        target = ("--namespace", release.namespace, f"statefulset/{NAME}-node")
        run("kubectl", "rollout", "restart", *target)
        run("kubectl", "rollout", "status", "--timeout=120s", *target, seconds=130)

    suffer(release, tmp_path, "rolling restart of the members", fault)


def test_it_is_upgraded_and_rolled_back(release: Release, tmp_path: Path) -> None:
    """A changed value rolls every pod, there and back; the keys stay."""

    def fault() -> None:
        release.helm("upgrade", "log.level=debug")
        run("helm", "rollback", NAME, "--namespace", release.namespace, "--wait", "--timeout=120s",
            seconds=150)  # fmt: skip

    suffer(release, tmp_path, "upgrade a value, and roll back", fault)


def test_all_three_are_deleted(release: Release, tmp_path: Path) -> None:
    """Without a majority there are errors, and no loss."""

    def fault() -> None:
        for pod in sorted(release.pods()):
            release.core.delete_namespaced_pod(pod, release.namespace, grace_period_seconds=0)

    suffer(release, tmp_path, "delete all three members by force", fault, errors=True)


@pytest.mark.skipif(not os.environ.get("INVENTORY_E2E_ALL"), reason="`make e2e ALL=1` scales too")
def test_it_grows_and_shrinks(release: Release, tmp_path: Path) -> None:
    """Three, five, three: members join and leave one at a time, and the first are left alone."""
    before = {name: pod.metadata.uid for name, pod in release.pods().items()}

    def fault() -> None:
        release.helm("upgrade", "replicaCount=5")
        release.wait_until_whole(members=5)
        release.helm("upgrade", "replicaCount=3")

    suffer(release, tmp_path, "scale from 3 to 5, and back", fault)
    assert {name: pod.metadata.uid for name, pod in release.pods().items()} == before


def test_uninstalled_and_installed_again_it_has_its_data(release: Release) -> None:
    """The volumes and the Secret stay; nothing else does."""
    with Inventory(release.address) as customer:
        customer.login("Gayathri", "password1")
        left = customer.order_item(2, 1).on_hand_after
    had = release.core.list_namespaced_persistent_volume_claim(release.namespace).items
    run("helm", "uninstall", NAME, "--namespace", release.namespace, "--wait")
    claims = release.core.list_namespaced_persistent_volume_claim(release.namespace).items
    assert len(claims) == len(had) >= 3
    kept = [
        one.metadata.name for one in release.core.list_namespaced_secret(release.namespace).items
    ]
    assert f"{NAME}-keys" in kept
    assert not release.core.list_namespaced_service(release.namespace).items
    release.helm("install")
    release.connect()
    release.wait_until_whole()
    with Inventory(release.address) as customer:
        customer.login("Gayathri", "password1")
        assert customer.get_item(2).quantity == left


def test_the_documents_commands_install_it(release: Release) -> None:
    """What docs/operating.md says after the image is there, word for word."""
    text = (ROOT / "docs" / "operating.md").read_text().replace("\\\n", " ")
    [block] = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [line for line in block.splitlines() if line.startswith("helm ")]
    assert len(commands) == 2
    try:
        for command in commands:
            run(*command.split(), seconds=200)
    finally:
        run("helm", "uninstall", NAME, "--namespace", NAME, "--wait", "--ignore-not-found")
        release.core.delete_namespace(NAME)
