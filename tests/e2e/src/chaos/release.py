"""The chart on a cluster: installed, looked at, and taken down again."""

import json
import os
import secrets
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kubernetes
from inventory_client import Inventory, InventoryError, Member
from kubernetes.client import ApiException

from chaos.up import ROOT
from chaos.watched import NotSettled

CHART = ROOT / "deploy" / "helm" / "inventory"
NAME = "inventory"
MEMBERS = 3
SECONDS_MAX = 120
POLL_SECONDS = 0.2


def run(
    *command: str, seconds: float = SECONDS_MAX, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program, with what is added to the environment; return what it wrote.

    Raises AssertionError with what it wrote where its exit status is not 0.
    """
    done = subprocess.run(  # noqa: S603 - our own arguments
        command,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=os.environ | (environment or {}),
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
        self.apps: Any = kubernetes.client.AppsV1Api()
        self.entrance = ""  # the node whose NodePort is used; any that is ready where empty
        self.namespace = f"inventory-e2e-{secrets.token_hex(3)}"
        image = os.environ.get("INVENTORY_E2E_IMAGE", "inventory:dev")
        self.image, _, self.tag = image.rpartition(":")
        self._watcher: Inventory | None = None

    def make_namespace(self) -> None:
        """Make the namespace, under restricted Pod Security."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})

    def install(self) -> None:
        """Make the namespace and install."""
        self.make_namespace()
        self.helm("install")
        self.connect()

    def helm(
        self, verb: str, *values: str, options: Sequence[str] = (), seconds: int = SECONDS_MAX
    ) -> str:
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
            *("--wait", "--timeout", f"{seconds}s", *options, *sets),
            seconds=seconds + 30,
        )

    def rollback(self) -> None:
        """Go back to the revision before, and wait until all is ready."""
        run("helm", "rollback", NAME, "--namespace", self.namespace, "--wait",
            f"--timeout={SECONDS_MAX}s", seconds=SECONDS_MAX + 30)  # fmt: skip

    def connect(self) -> None:
        """Connect as the admin whose password the chart generated."""
        self.close()
        secret: Any = self.core.read_namespaced_secret(f"{NAME}-keys", self.namespace)
        self._watcher = Inventory(self.address, timeout=20, insecure=True)
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
            and self.entrance in {"", node.metadata.name}
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
                leader = self.watcher.status().leader
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

    def services(self) -> dict[str, Any]:
        """Return every pod of the release by name, without those that run once."""
        selector = (
            f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component notin (test,upgrade)"
        )
        found: Any = self.core.list_namespaced_pod(self.namespace, label_selector=selector)
        return {pod.metadata.name: pod for pod in found.items}

    def lives(self) -> dict[str, tuple[str, int]]:
        """Return which pod it is, and how often it was started again, by its name."""
        return {
            name: (
                pod.metadata.uid,
                sum(one.restart_count for one in pod.status.container_statuses or ()),
            )
            for name, pod in self.services().items()
        }

    def followers(self) -> list[str]:
        """Return the members that do not lead, in order."""
        leader = self.leader()
        return [pod for pod in sorted(self.pods()) if pod != leader]

    def node_of(self, pod: str) -> str:
        """Return the node of Kubernetes that a pod is on."""
        return str(self.core.read_namespaced_pod(pod, self.namespace).spec.node_name)

    def on(self, node: str) -> set[str]:
        """Return the release's pods on a node of Kubernetes."""
        return {name for name, pod in self.services().items() if pod.spec.node_name == node}

    def spread(self) -> None:
        """See that no two members share a node, as after a drain: the later ones move."""
        nodes: list[tuple[str, str]] = []
        for _ in range(MEMBERS):
            nodes = [(pod.spec.node_name, name) for name, pod in sorted(self.pods().items())]
            taken = {node for node, _ in nodes}
            if len(taken) == len(nodes):
                return
            shared = [name for node, name in nodes if [one for one, _ in nodes].count(node) > 1]
            self.delete(shared[-1])
            self.wait_until_whole()
        raise NotSettled(f"members share nodes: {nodes}")

    def delete(self, *pods: str, grace_seconds: int | None = None) -> None:
        """Delete pods at once, with their own grace if none is given; wait until they are gone."""
        uids = {
            pod: self.core.read_namespaced_pod(pod, self.namespace).metadata.uid for pod in pods
        }
        for pod in pods:
            self.core.delete_namespaced_pod(pod, self.namespace, grace_period_seconds=grace_seconds)
        for pod, uid in uids.items():
            self.wait_until_gone(pod, uid)

    def wait_until_gone(self, pod: str, uid: str) -> None:
        """Wait until a pod is not there, or another of its name is."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                if self.core.read_namespaced_pod(pod, self.namespace).metadata.uid != uid:
                    return
            except ApiException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return
                raise
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"{pod} does not go")

    def delete_volumes(self, pods: Sequence[str], *, grace_seconds: int | None = None) -> None:
        """Delete pods with their claims, at once; the StatefulSet makes both anew.

        With their grace a second one stays until the first has joined again, and nothing is lost.
        """
        for pod in pods:
            found = self.core.read_namespaced_pod(pod, self.namespace)
            for claim in (one.persistent_volume_claim for one in found.spec.volumes):
                if claim is not None:
                    self.core.delete_namespaced_persistent_volume_claim(
                        claim.claim_name, self.namespace
                    )
        self.delete(*pods, grace_seconds=grace_seconds)

    def member(self, name: str) -> Member:
        """Return a member as the gateway shows it."""
        return next(one for one in self.watcher.status().members if one.name == name)

    def kill(self, pod: str, signal: str = "KILL") -> None:
        """Signal a pod's processes from outside; SIGKILL is what a crash does."""
        run("kube", "kill", pod, "-n", self.namespace, "-s", signal)

    def wait_until_whole(self, members: int = MEMBERS) -> None:
        """Wait until every pod is ready, and every member has a vote and what is committed."""
        goal = 0
        lacking = ""
        found: list[Member] = []
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            lacking = self._lacking(members)
            if not lacking:
                try:
                    found = [one for one in self.watcher.status().members if one.reachable]
                except InventoryError as error:
                    found, lacking = [], str(error)
                goal = goal or max((one.commit_index for one in found), default=0)
                if (
                    len(found) == members
                    and any(one.role == "leader" for one in found)
                    and all(one.applied_index >= goal for one in found)
                    and all(one.standing == "voter" for one in found)
                ):
                    return
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"not whole: {lacking or found}")

    def health(self) -> dict[str, Any]:
        """Return what the health service's `/status` shows, asked by way of the API server."""
        answer = self.core.connect_get_namespaced_service_proxy_with_path(
            f"http:{NAME}-health:http", self.namespace, "status", _preload_content=False
        )
        found: dict[str, Any] = json.loads(answer.data)
        return found

    def wait_until_health_finds(self, kind: str) -> dict[str, Any]:
        """Wait until health says that something is wrong; return the finding."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            for finding in self.health()["findings"]:
                if finding["kind"] == kind:
                    found: dict[str, Any] = finding
                    return found
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"health does not say {kind}: {self.health()['findings']}")

    def wait_until_serving(self) -> None:
        """Wait until health says that the cluster, writes, reads and each member serve."""
        found: dict[str, Any] = {}
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                found = self.health()
            except ApiException as error:  # its pods are not there yet
                found = {"serving": {"health": False}, "findings": str(error)}
            if found["serving"] and all(found["serving"].values()):
                return
            time.sleep(POLL_SECONDS)
        raise NotSettled(f"health says {found['serving']}: {found['findings']}")

    def _lacking(self, members: int) -> str:
        """Say which pods are not there, or not ready; nothing where all is well."""
        ready: dict[str, int] = {}
        for name, pod in self.services().items():
            is_ready = any(
                one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ()
            )
            if pod.metadata.deletion_timestamp or not is_ready:
                return f"{name} is not ready"
            component = pod.metadata.labels["app.kubernetes.io/component"]
            ready[component] = ready.get(component, 0) + 1
        wanted = {"node": members}
        for deployment in self.apps.list_namespaced_deployment(self.namespace).items:
            component = deployment.metadata.labels["app.kubernetes.io/component"]
            wanted[component] = deployment.spec.replicas
        return "" if ready == wanted else f"{ready} are ready of {wanted}"

    def remove(self) -> None:
        """Take everything down, the volumes too."""
        self.close()
        self.core.delete_namespace(self.namespace)


def wait_until_no_pods(release: Release, namespace: str) -> None:
    """Wait until every pod of a namespace has ended."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if not release.core.list_namespaced_pod(namespace).items:
            return
        time.sleep(POLL_SECONDS)
    raise NotSettled(f"pods of {namespace} do not end")


def wait_until_no_namespace(release: Release, name: str) -> None:
    """Wait until a namespace is not there."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if name not in [one.metadata.name for one in release.core.list_namespace().items]:
            return
        time.sleep(POLL_SECONDS)
    raise NotSettled(f"the namespace {name} does not go")


def missing() -> str:
    """Return what this machine lacks for a run on a cluster; empty when it lacks nothing.

    Where INVENTORY_E2E is `required` nothing may be lacking: that raises NotSettled.
    """
    if not os.environ.get("KUBECONFIG"):
        lacking = "KUBECONFIG names no cluster"
    elif not Path(os.environ["KUBECONFIG"]).exists():
        lacking = f"KUBECONFIG {os.environ['KUBECONFIG']} is not there"
    else:
        lacking = "" if shutil.which("helm") else "helm is not installed"
    required(lacking)
    return lacking


def required(lacking: str) -> None:
    """Raise NotSettled where something is lacking and nothing may be."""
    if lacking and os.environ.get("INVENTORY_E2E") == "required":
        raise NotSettled(lacking)
