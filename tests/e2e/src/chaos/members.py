"""Faults of members beyond a stop: data that cannot be opened, volumes that are lost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inventory_client import Member

from chaos.release import POLL_SECONDS, SECONDS_MAX, Release, run
from chaos.watched import NotSettled

BREAK = "mv /data/node /data/whole && touch /data/node"
MEND = "rm /data/node && mv /data/whole /data/node"
MENDER = "mender"
ELECTION_SECONDS = 10  # many times the length of an election


@contextmanager
def broken(release: Release, pod: str) -> Iterator[None]:
    """Make a member crash-loop, by a file in place of its data; mend the member at the end."""
    run("kubectl", "exec", "--namespace", release.namespace, pod, "--container", "node", "--",
        "sh", "-euc", BREAK)  # fmt: skip
    release.delete(pod, grace_seconds=0)
    try:
        wait_until_looping(release, pod)
        yield
    finally:
        mend(release, pod)
        release.delete(pod, grace_seconds=0)


def wait_until_looping(release: Release, pod: str) -> None:
    """Wait until a pod has died again and again."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        found = release.pods().get(pod)
        statuses = (found.status.container_statuses or ()) if found else ()
        waiting = [one.state.waiting.reason for one in statuses if one.state.waiting]
        if "CrashLoopBackOff" in waiting:
            return
        time.sleep(POLL_SECONDS)
    raise NotSettled(f"{pod} does not crash")


def mend(release: Release, pod: str) -> None:
    """Put a member's data back, by a pod that mounts the member's volume too."""
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    manifest: dict[str, Any] = {
        "metadata": {"name": MENDER},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "mender",
                    "image": f"{release.image}:{release.tag}",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-euc", MEND],
                    "securityContext": security,
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{pod}"}},
            ],
        },
    }
    release.core.create_namespaced_pod(release.namespace, manifest)
    run("kubectl", "wait", "--namespace", release.namespace, f"pod/{MENDER}",
        "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")  # fmt: skip
    release.delete(MENDER, grace_seconds=0)


def lose_two(release: Release) -> None:
    """Delete two members with their claims by force; see that nobody leads on empty disks."""
    lost = release.followers()
    release.delete_volumes(lost, grace_seconds=0)

    def there() -> list[Member]:
        members = release.watcher.status().members
        return [one for one in members if one.name in lost and one.reachable]

    deadline = time.monotonic() + SECONDS_MAX
    while [one.standing == "voter" for one in there()] != [
        False,
        False,
    ]:  # the deleted members still answer for a moment
        assert time.monotonic() < deadline, there()
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + ELECTION_SECONDS
    while time.monotonic() < deadline:
        emptied = there()
        assert all(one.role != "leader" for one in emptied), emptied
        assert all(one.standing != "voter" for one in emptied), emptied
        assert all(one.commit_index == 0 for one in emptied), emptied
        time.sleep(POLL_SECONDS)
    assert not release.watcher.status().leader
    health = release.health()
    assert not any(health["serving"].values()), health
    [finding] = [one for one in health["findings"] if one["kind"] == "volumes_lost"]
    assert finding["runbook"] == "runbooks/volumes-lost", finding
