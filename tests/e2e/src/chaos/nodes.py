"""Bare members, each a process with its own settings, and the calls that a gateway would make.

`cluster` has the same members with a gateway, laid out as `inventory up` does.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from inventory.raft.v1 import forward_pb2, link_pb2, log_pb2, membership_pb2
from inventory.v1 import cluster_pb2, inventory_pb2
from inventory_cli.up.layout import tls_settings
from pki.contexts import PkiFiles
from pki.folder import PkiFolder
from pki.identities import parse_identity

from chaos.callers import forward, question_answered
from chaos.ports import free_port

NAMES = ("node-0", "node-1", "node-2")
STOCK = 1_000
SEAT = 1  # the session that `Nodes.seat` starts
VOTER = cluster_pb2.MEMBER_STANDING_VOTER
SECONDS_MAX = 60.0
POLL_SECONDS = 0.05
FIRST_STATE = {
    "currency": {"code": "USD", "minor_digits": 2},
    "users": [{"name": "Ann", "role": "customer", "password_hash": "$argon2id$none"}],
    "items": [{"name": "Pen", "description": "", "price": "2.50", "quantity": STOCK}],
}


class Nodes:
    """A cluster of processes; each on its own folder below `folder`."""

    def __init__(self, folder: Path) -> None:
        """Choose addresses, and write the first state and the certificates that are missing."""
        self.is_seated = False
        self.folder = folder
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in NAMES}
        self.probe_addresses = {name: f"127.0.0.1:{free_port()}" for name in NAMES}
        self.pki = PkiFolder(folder / "pki")
        if not self.pki.trusted_path.exists():
            self.pki.make("tests")
        for name in (*NAMES, "gateway"):
            self.pki.keep(parse_identity(name))
        (folder / "bootstrap.json").write_text(json.dumps(FIRST_STATE))
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    @property
    def gateway(self) -> PkiFiles:
        """The certificate of a gateway."""
        return self.pki.files(parse_identity("gateway"))

    def start(self, name: str, **change: str) -> subprocess.Popen[str]:
        """Start a member; its log goes to a file."""
        with self.log(name).open("a") as log:
            self.processes[name] = self._run(name, log, change)
        return self.processes[name]

    def _run(
        self, name: str, stderr: int | TextIO, change: dict[str, str]
    ) -> subprocess.Popen[str]:
        environment = {
            "INVENTORY_NODE_NAME": name,
            "INVENTORY_NODE_LISTEN": self.addresses[name],
            "INVENTORY_NODE_HEALTH_LISTEN": self.probe_addresses.get(name, ""),
            "INVENTORY_NODE_MEMBERS": ",".join(f"{n}={self.addresses[n]}" for n in NAMES),
            "INVENTORY_DATA_DIR": str(self.folder / name),
            "INVENTORY_BOOTSTRAP_FILE": str(self.folder / "bootstrap.json"),
            **tls_settings(self.pki.keep(parse_identity(name))),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "inventory_node"],
            env=os.environ | environment | change,
            stderr=stderr,
            text=True,
        )

    def start_all(self) -> None:
        """Start every member."""
        for name in NAMES:
            self.start(name)

    def start_later(self, name: str, **change: str) -> None:
        """Start a member that is not among the first members."""
        if name not in self.addresses:
            self.addresses[name] = f"127.0.0.1:{free_port()}"
        self.start(name, INVENTORY_NODE_ADDRESS=self.addresses[name], **change)

    def until_standing(
        self, name: str, standing: cluster_pb2.MemberStanding.ValueType
    ) -> cluster_pb2.Member:
        """Wait until a member describes its standing so; return its description."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            member = self.view(name)
            if member is not None and member.standing == standing:
                return member
            time.sleep(POLL_SECONDS)
        raise AssertionError(self.said(name))

    def change(self, **change: Any) -> membership_pb2.ChangeResponse:  # noqa: ANN401 - one of the changes
        """Ask the leader for a change until the change is done; return the answer."""
        deadline = time.monotonic() + SECONDS_MAX
        answer = membership_pb2.ChangeResponse()
        while time.monotonic() < deadline:
            for name in self.addresses:
                view = self.view(name)
                if view is None or view.role != cluster_pb2.MEMBER_ROLE_LEADER:
                    continue
                question = link_pb2.LinkQuestion(change=membership_pb2.ChangeRequest(**change))
                said = question_answered(name, self.addresses[name], self.gateway, question)
                answer.CopyFrom(said.change if said is not None else answer)
                if answer.HasField("done"):
                    return answer
            time.sleep(POLL_SECONDS)
        raise AssertionError(answer)

    def log(self, name: str) -> Path:
        """Return where a member's log is."""
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        """Return what a member has logged since its first start."""
        return self.log(name).read_text()

    def until_said(self, name: str, text: str) -> None:
        """Wait until a member has logged a text."""
        deadline = time.monotonic() + SECONDS_MAX
        while text not in self.said(name):
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} does not say {text!r}:\n{self.said(name)}")
            time.sleep(POLL_SECONDS)

    def kill(self, name: str) -> None:
        """SIGKILL a member."""
        process = self.processes[name]
        process.kill()
        process.wait()

    def refused(self, name: str, **change: str) -> tuple[int, str]:
        """Start a member that must end by itself; return its exit status and its stderr."""
        with self._run(name, subprocess.PIPE, change) as process:
            try:
                _, said = process.communicate(timeout=SECONDS_MAX)
            finally:
                process.kill()
        return process.returncode, said

    def first_to_end(self) -> tuple[int, str]:
        """Wait until any member has ended; return its exit status and its log."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    return process.returncode, self.said(name)
            time.sleep(POLL_SECONDS)
        raise AssertionError("\n".join(self.said(name) for name in self.processes))

    def view(self, name: str) -> cluster_pb2.Member | None:
        """Return how a member describes itself; None if it does not answer."""
        question = link_pb2.LinkQuestion(get_member=forward_pb2.GetMemberRequest())
        said = question_answered(name, self.addresses[name], self.gateway, question)
        return said.get_member.member if said is not None else None

    def leader(self, *, besides: str = "") -> str:
        """Wait until a member leads; return its name."""
        return self.leading(besides=besides).name

    def leading(self, *, besides: str = "") -> cluster_pb2.Member:
        """Wait until a member leads; return how it describes itself."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            for name in self.addresses:
                member = self.view(name) if name != besides else None
                if member is not None and member.role == cluster_pb2.MEMBER_ROLE_LEADER:
                    return member
            time.sleep(POLL_SECONDS)
        raise AssertionError("\n".join(self.said(name) for name in NAMES))

    def wait_applied(self, name: str, index: int) -> None:
        """Wait until a member has applied `index`."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            member = self.view(name)
            if member is not None and member.applied_index >= index:
                return
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"{name} has not applied {index}:\n{self.said(name)}")

    def ask_leader(self, request: forward_pb2.ForwardRequest) -> forward_pb2.Reply | None:
        """Send one request to the leader; return its reply, None if none came."""
        name = self.leader()
        return forward(name, self.addresses[name], self.gateway, request)

    def order(self, request_id: str) -> inventory_pb2.OrderItemResponse:
        """Order one unit of the first item; send the same request until a leader answers it."""
        if not self.is_seated:
            self.seat()
        reply = self._answered(order_of(request_id))
        outcome = inventory_pb2.Outcome.FromString(reply.outcome)
        assert outcome.WhichOneof("result") == "order_item", outcome
        return outcome.order_item

    def seat(self) -> None:
        """Start the first session of the cluster, for the first user; once, however often."""
        command = log_pb2.Command()
        command.administration.request_id = "seat"
        start = command.administration.start_session
        start.user_id, start.epoch = 1, 1
        start.family_hash = start.secret_hash = bytes(32)
        proposal = forward_pb2.Proposal(id=1, command=command.SerializeToString())
        reply = self._answered(forward_pb2.ForwardRequest(proposals=[proposal]))
        outcome = log_pb2.AdministrationOutcome.FromString(reply.administration)
        assert outcome.session.session.id == SEAT, outcome
        self.is_seated = True

    def _answered(self, request: forward_pb2.ForwardRequest) -> forward_pb2.Reply:
        """Send the same request until a leader answers it."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            reply = self.ask_leader(request)
            if reply is not None and reply.WhichOneof("result") in {"outcome", "administration"}:
                return reply
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"{request} is not answered")


def order_of(request_id: str) -> forward_pb2.ForwardRequest:
    """Return the first user's order of one unit of the first item."""
    command = log_pb2.Command(user_id=1, epoch=1, session_id=SEAT)
    wanted = command.mutation.order_item
    wanted.request_id, wanted.item_id, wanted.quantity = request_id, 1, 1
    proposal = forward_pb2.Proposal(id=1, command=command.SerializeToString())
    return forward_pb2.ForwardRequest(proposals=[proposal])
