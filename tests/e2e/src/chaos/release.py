"""The chart on a cluster: installed, looked at, and taken down again."""

import os
import secrets
import shutil
import subprocess
import time
from base64 import b64decode
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kubernetes
from inventory_client import Inventory, InventoryError, Member
from kubernetes.client import ApiException

from chaos.up import ROOT, NotSettled

CHART = ROOT / "deploy" / "helm" / "inventory"
NAME = "inventory"
MEMBERS = 3
SECONDS_MAX = 120
POLL_SECONDS = 0.2


def run(*command: str, seconds: float = SECONDS_MAX) -> str:
    """Run a program; return what it wrote, raise CalledProcessError with it."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


class Release:
    """One release in a namespace of its own, with demo users; the gateway is on a NodePort."""

    def __init__(self) -> None:
        """Prepare; nothing is installed."""
        kubernetes.config.load_kube_config()  # type: ignore[no-untyped-call]  # as it is published
        # Models or dictionaries, in and out: its types know half of that.
        self.core: Any = kubernetes.client.CoreV1Api()
        self.namespace = f"inventory-e2e-{secrets.token_hex(3)}"
        image = os.environ.get("INVENTORY_E2E_IMAGE", "inventory:dev")
        self.image, _, self.tag = image.rpartition(":")
        self._watcher: Inventory | None = None

    def install(self) -> None:
        """Make the namespace, under restricted Pod Security, and install."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})
        self.helm("install")
        self.connect()

    def helm(self, verb: str, *values: str) -> str:
        """Install or upgrade, and wait until all is ready."""
        settings = [
            f"image.repository={self.image}",
            f"image.tag={self.tag}",
            "demo=true",
            "gateway.service.type=NodePort",
            "node.persistence.size=1Gi",
            *values,
        ]
        sets = [part for value in settings for part in ("--set", value)]
        return run(
            *("helm", verb, NAME, str(CHART), "--namespace", self.namespace),
            *("--wait", "--timeout", f"{SECONDS_MAX}s", *sets),
            seconds=SECONDS_MAX + 30,
        )

    def connect(self) -> None:
        """Connect as the admin whose password the chart generated."""
        self.close()
        secret: Any = self.core.read_namespaced_secret(f"{NAME}-keys", self.namespace)
        self._watcher = Inventory(self.address, timeout=20)
        self._watcher.login("admin", b64decode(secret.data["admin.password"]).decode())

    def close(self) -> None:
        """Close the connection."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    @property
    def address(self) -> str:
        """The gateway's NodePort on a node that is ready."""
        service: Any = self.core.read_namespaced_service(f"{NAME}-gateway", self.namespace)
        nodes: Any = self.core.list_node().items
        host = next(
            address.address
            for node in nodes
            for address in node.status.addresses
            if address.type == "InternalIP"
            and any(one.type == "Ready" and one.status == "True" for one in node.status.conditions)
        )
        return f"{host}:{service.spec.ports[0].node_port}"

    @property
    def watcher(self) -> Inventory:
        """An administrator's connection."""
        if self._watcher is None:
            raise NotSettled("nothing is installed")
        return self._watcher

    def leader(self) -> str:
        """Wait for a leader; return its pod's name."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                leader = self.watcher.get_status().leader
            except InventoryError:
                leader = ""
            if leader:
                return leader
            time.sleep(POLL_SECONDS)
        raise NotSettled("nobody leads")

    def pods(self, component: str = "node") -> dict[str, Any]:
        """Return the pods of a component by name."""
        found: Any = self.core.list_namespaced_pod(
            self.namespace, label_selector=f"app.kubernetes.io/component={component}"
        )
        return {pod.metadata.name: pod for pod in found.items}

    def restarts(self) -> dict[str, int]:
        """Return how often each container that is there now was started again."""
        return {
            name: sum(status.restart_count for status in pod.status.container_statuses or ())
            for component in ("node", "gateway", "assistant")
            for name, pod in self.pods(component).items()
        }

    def delete(self, pod: str, *, grace_seconds: int | None = None) -> None:
        """Delete a pod, and wait until it is gone."""
        before = self.core.read_namespaced_pod(pod, self.namespace).metadata.uid
        options: dict[str, Any] = (
            {} if grace_seconds is None else {"grace_period_seconds": grace_seconds}
        )
        self.core.delete_namespaced_pod(pod, self.namespace, **options)
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                if self.core.read_namespaced_pod(pod, self.namespace).metadata.uid != before:
                    return
            except ApiException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return
                raise
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"{pod} does not go")

    def delete_volume(self, pod: str) -> None:
        """Delete a pod with its claim; the StatefulSet makes both anew."""
        volumes = self.core.read_namespaced_pod(pod, self.namespace).spec.volumes
        for claim in (one.persistent_volume_claim for one in volumes):
            if claim is not None:
                self.core.delete_namespaced_persistent_volume_claim(
                    claim.claim_name, self.namespace
                )
        self.delete(pod)

    def member(self, name: str) -> Member:
        """Return a member as the gateway shows it."""
        return next(one for one in self.watcher.get_status().members if one.name == name)

    def kill(self, pod: str) -> None:
        """SIGKILL a pod's processes from outside, as a crash does."""
        run("kube", "kill", pod, "-n", self.namespace)

    def wait_until_whole(self, members: int = MEMBERS) -> None:
        """Wait until every pod is ready, and every member has a vote and what is committed."""
        goal = 0
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            pods = [*self.pods("node").values(), *self.pods("gateway").values()]
            ready = [
                pod
                for pod in pods
                if not pod.metadata.deletion_timestamp
                and any(
                    one.type == "Ready" and one.status == "True"
                    for one in pod.status.conditions or ()
                )
            ]
            try:
                found = [one for one in self.watcher.get_status().members if one.reachable]
            except InventoryError:
                found = []
            goal = goal or max((one.commit_index for one in found), default=0)
            if (
                len(ready) == len(pods)
                and len(found) == members
                and any(one.role == "leader" for one in found)
                and all(one.applied_index >= goal for one in found)
                and all(one.standing == "voter" for one in found)
            ):
                return
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"not whole: {self.restarts()}")

    def remove(self) -> None:
        """Take everything down, the volumes too."""
        self.close()
        self.core.delete_namespace(self.namespace)


def missing() -> str:
    """Return what this machine lacks for a run on a cluster; empty when it lacks nothing."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    if not Path(os.environ["KUBECONFIG"]).exists():
        return f"KUBECONFIG {os.environ['KUBECONFIG']} is not there"
    return "" if shutil.which("helm") else "helm is not installed"
