"""The load on a release: from a pod that no fault kills, and from outside through a NodePort.

The pod waits on the last node, whose taint keeps other pods away. The run of `load` inside the pod
is a `kubectl exec` whose input is held open; the run outside is a process on this machine. Both use
the same clock, so the two histories can be merged.
"""

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from chaos.load import LoadSettings
from chaos.release import NAME, Release, run

POD = "witness"
PROGRAM = Path(__file__).with_name("load.py")
TAINT = "inventory-e2e/witness"
ORDERS, READS = 150, 50  # a second, inside
OUTSIDE = 20  # a second
START_SECONDS_MAX = 60
END_SECONDS_MAX = 120

Line = dict[str, Any]


def manifest(release: Release, node: str | None) -> dict[str, Any]:
    """Return the pod: the image's Python with the mounted program, under restricted security."""
    return {
        "metadata": {"name": POD, "labels": {"app.kubernetes.io/component": "witness"}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"kubernetes.io/hostname": node} if node else {},
            "tolerations": [{"key": TAINT, "operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "load",
                    "image": f"{release.image}:{release.tag}",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "program", "mountPath": "/load"}],
                }
            ],
            "volumes": [{"name": "program", "configMap": {"name": POD}}],
        },
    }


def place(release: Release, node: str | None) -> None:
    """Make the pod, on a node of its own if there is one, and wait until the pod runs."""
    names = (release.namespace,)
    release.core.create_namespaced_config_map(
        *names, {"metadata": {"name": POD}, "data": {PROGRAM.name: PROGRAM.read_text()}}
    )
    release.core.create_namespaced_pod(*names, manifest(release, node))
    run("kubectl", "wait", "--namespace", *names, "--for=condition=Ready", f"pod/{POD}",
        f"--timeout={START_SECONDS_MAX}s")  # fmt: skip


@dataclass(frozen=True, slots=True)
class GatewayConnection:
    """A client's connection to a gateway, on the clock of the history."""

    client: int
    gateway: str
    from_ns: int
    until_ns: int | None  # None: to the end


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run of the load saw."""

    history: Path
    lines: list[Line]  # attempts, in the order of their ends
    connections: list[GatewayConnection]

    @property
    def calls(self) -> list[Line]:
        """The calls of the open loop, without the later attempts to learn an outcome."""
        return [line for line in self.lines if "due_ns" in line]

    @property
    def errors(self) -> list[Line]:
        """The calls without an outcome."""
        return [line for line in self.calls if line["ok"] is None]

    def connection_of(self, line: Line) -> GatewayConnection | None:
        """Return the newest connection of a call's client at the time of the call."""
        found = None
        for one in self.connections:
            if one.client == line["client"] and one.from_ns <= line["call_ns"]:
                found = one
        return found


def connections_of(lines: list[Line]) -> list[GatewayConnection]:
    """Return which client was connected to which gateway, and when."""
    found: list[GatewayConnection] = []
    for client in sorted({line["client"] for line in lines}):
        of_client = [line for line in lines if line["client"] == client]
        for number, line in enumerate(of_client):
            if line["gateway"]:
                rest = of_client[number + 1 :]
                until = rest[0]["at_ns"] if rest else None
                found.append(GatewayConnection(client, line["gateway"], line["at_ns"], until))
    return found


class Load:
    """Both loads at once, between `start` and `stop`."""

    def __init__(self, release: Release, items: list[int], pair: list[int]) -> None:
        """Prepare loads on these items; `pair`: ordered together."""
        self._inside = LoadSettings(
            address=f"{NAME}-gateway:50051",
            orders=ORDERS,
            reads=READS,
            clients=8,
            first_client=0,
            items=items,
            pair=pair,
            username="Gayathri",
            password="password1",  # noqa: S106 - a demo user's, in the documents
        )
        self._outside = replace(
            self._inside,
            address=release.address,
            orders=OUTSIDE * 3 // 4,
            reads=OUTSIDE - OUTSIDE * 3 // 4,
            clients=2,
            first_client=100,
        )
        self._namespace = release.namespace
        self._runs: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Start both loads, and wait until they have connected."""
        inside = ("kubectl", "exec", "--stdin", "--namespace", self._namespace, POD, "--",
                  "python", f"/load/{PROGRAM.name}")  # fmt: skip
        outside = (sys.executable, str(PROGRAM))
        for command, settings in ((inside, self._inside), (outside, self._outside)):
            self._runs.append(
                subprocess.Popen(  # noqa: S603 - our own program
                    (*command, json.dumps(asdict(settings))),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for each in self._runs:
            first = each.stdout.readline() if each.stdout else ""
            if '"began"' not in first:
                raise AssertionError(f"the load did not begin: {first!r}")
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, nor in the pod: its orders would disturb the next scenario."""
        for each in self._runs:
            if each.stdin:
                each.stdin.close()
                each.stdin = None
        for each in self._runs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.communicate(timeout=END_SECONDS_MAX)
            each.kill()
            each.wait()

    def stop(self, history: Path) -> Seen:
        """End both loads, and write their attempts as one history."""
        for each in self._runs:
            if each.stdin:
                each.stdin.close()
        lines: list[Line] = []
        for each in self._runs:
            written = each.stdout.read() if each.stdout else ""
            if each.wait(END_SECONDS_MAX):
                raise AssertionError(f"the load ended with status {each.returncode}")
            lines += [json.loads(text) for text in written.splitlines()]
        attempts = [line for line in lines if line["kind"] != "gateway"]
        history.write_text("".join(json.dumps(line) + "\n" for line in attempts))
        gateways = [line for line in lines if line["kind"] == "gateway"]
        return Seen(history, attempts, connections_of(gateways))


def late_seconds(calls: list[Line]) -> float:
    """Return how late calls were made after they were due, at the 99th percentile."""
    late = sorted(line["call_ns"] - line["due_ns"] for line in calls)
    return float(late[len(late) * 99 // 100] / 1e9) if late else 0.0


def percentile_seconds(calls: list[Line], percent: int) -> float:
    """Return how long after they were due calls were answered, at a percentile."""
    took = sorted(line["return_ns"] - line["due_ns"] for line in calls if line["ok"] is not None)
    return float(took[min(len(took) - 1, len(took) * percent // 100)] / 1e9) if took else 0.0


def now_ns() -> int:
    """Return the time on the clock of histories."""
    return time.monotonic_ns()
