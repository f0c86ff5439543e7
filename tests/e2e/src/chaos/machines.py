"""Faults of the nodes of Kubernetes; only on clusters that are made for tests."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import kubernetes

from chaos.release import POLL_SECONDS, SECONDS_MAX, Release, required, run
from chaos.watched import NotSettled
from chaos.witness import TAINT

NODES_MIN = 4  # one for each member, and one for the witness
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force")


def may_be_touched() -> bool:
    """Return whether kubectl's current context is a cluster for tests."""
    _, context = kubernetes.config.list_kube_config_contexts()  # type: ignore[no-untyped-call]  # as it is published
    name = str(context["name"])
    return name in {"kube", "minikube"} or name.startswith("kind-")


def can_be_cut() -> bool:
    """Tell whether nodes can be crashed and cut off here, and pods killed from outside."""
    can = may_be_touched() and shutil.which("kube") is not None
    required("" if can else "nothing here cuts nodes off")
    return can


@contextmanager
def reserved(release: Release) -> Iterator[str | None]:
    """Keep everything but the witness off the last node; None where there is no node to spare."""
    names = sorted(node.metadata.name for node in release.core.list_node().items)
    if len(names) < NODES_MIN or not may_be_touched():
        yield None
        return
    taint = f"{TAINT}=only:NoSchedule"
    run("kubectl", "taint", "node", names[-1], taint, "--overwrite")
    try:
        yield names[-1]
    finally:
        run("kubectl", "taint", "node", names[-1], f"{taint}-")


def drain(node: str, seconds: int) -> str:
    """Drain a node as an operator does; raise AssertionError if that is refused for too long."""
    if not may_be_touched():  # the node has pods and data of other users
        raise NotSettled("only nodes of the contexts kube, kind-* and minikube are drained")
    return run("kubectl", "drain", node, *DRAIN, f"--timeout={seconds}s", seconds=seconds + 30)


def uncordon(node: str) -> None:
    """Let pods come to a node again."""
    run("kubectl", "uncordon", node)


@contextmanager
def cut(node: str, other: str | None = None, *, one_way: bool = False) -> Iterator[None]:
    """Cut a node off from another node, or from all nodes; heal the network at the end."""
    to = ("--to", other) if other else ()
    run("kube", "partition", node, *to, *(("--one-way",) if one_way else ()))
    try:
        yield
    finally:
        run("kube", "heal", node)


@contextmanager
def crashed(node: str) -> Iterator[None]:
    """Cut a node's power; start the node again at the end."""
    run("kube", "crash", node)
    try:
        yield
    finally:
        run("kube", "restart", node)


def wait_until_ready(release: Release, node: str, *, ready: bool = True) -> None:
    """Wait until the control plane takes a node for ready, or for lost."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        conditions = release.core.read_node(node).status.conditions
        if ready == any(one.type == "Ready" and one.status == "True" for one in conditions):
            return
        time.sleep(POLL_SECONDS)
    raise NotSettled(f"{node} does not get {'ready' if ready else 'lost'}")
