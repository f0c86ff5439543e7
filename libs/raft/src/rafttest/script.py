"""A cluster that runs the commands of a script in order, and writes down what each command caused.

A script is a sequence of paragraphs. The first paragraph is a comment on the whole script. Every
other paragraph is one step: a comment on the step, then the commands of the step. A line `> …`
is a command. The lines below a command are the transcript of the command.

A member ticks, syncs and receives only when a command names the member, so a transcript shows one
behaviour and nothing else. The election timeout is 10 ticks for member 1, 11 ticks for member 2 and
so on. A leader sends heartbeats every 2 ticks.

`1 -> 2 Heartbeat …` is a message that leaves member 1 and can arrive at member 2. A message that is
lost is `1 -x 2 Heartbeat … (lost: 2 is cut off)`. The line stands at the send where the recipient
cannot receive, and at a command `lose`, `isolate` or `crash` where the message was under way.
`settle` shows no message that arrives, and every message that is lost.
"""

from collections.abc import Callable, Sequence

from raft import (
    AddLearner,
    Promote,
    RaftSettings,
    RawNode,
    Remove,
    TransferBegun,
    TransferRefused,
)
from raft.messages import Configuration, Entry, InstallSnapshot, Message, SnapshotMeta
from raft.ready import Ready

from rafttest.disk import CoreDisk, Image, WriteBatch
from rafttest.transcript import describe, describe_answer, show

SETTLE_ROUNDS_MAX = 100


class ScriptRunner:
    """Runs the commands of one script."""

    def __init__(self) -> None:
        """Begin without a cluster."""
        self.nodes: dict[int, RawNode] = {}
        self.disks: dict[int, CoreDisk] = {}
        self.waiting: list[Message] = []
        self.images: dict[int, Image] = {}
        self.cut: set[int] = set()
        self.lines: list[str] = []
        self.is_quiet = False
        self.entries_per_append = 4
        self.bytes_in_flight = self.uncommitted_bytes = 1 << 20
        self.founders = Configuration(frozenset())

    def run(self, command: str) -> list[str]:
        """Run one command and return its transcript; raise KeyError for an unknown command."""
        name, *arguments = command.split()
        self.lines = []
        COMMANDS[name](self, *arguments)
        return self.lines or ["nothing"]

    def bound(self, bytes_in_flight: str, uncommitted_bytes: str) -> None:
        """Set the bounds of the members that start from here on."""
        self.bytes_in_flight = int(bytes_in_flight)
        self.uncommitted_bytes = int(uncommitted_bytes)

    def cluster(self, size: str, entries_per_append: str = "4") -> None:
        """Start `size` members on empty disks."""
        self.entries_per_append = int(entries_per_append)
        self.founders = Configuration(frozenset(range(1, int(size) + 1)))
        for member in sorted(self.founders.voters):
            self.join(str(member))

    def join(self, member: str) -> None:
        """Start a member on an empty disk."""
        self.disks[int(member)] = CoreDisk(self.founders)
        self._start(int(member))

    def _start(self, member: int) -> None:
        settings = RaftSettings(
            id=member,
            election_timeout_ticks_min=10,
            election_timeout_ticks_max=20,
            heartbeat_ticks=2,
            entries_per_append_max=self.entries_per_append,
            bytes_per_append_max=1 << 20,
            appends_in_flight_max=4,
            random=lambda bound: min(member - 1, bound - 1),
            bytes_in_flight_max=self.bytes_in_flight,
            uncommitted_bytes_max=self.uncommitted_bytes,
        )
        disk = self.disks[member]
        self.nodes[member] = RawNode(settings, disk.restored())
        self.images[member] = disk.image
        self._fulfil(member)

    def tick(self, member: str, count: str = "1") -> None:
        """Count ticks at one member."""
        for _ in range(int(count)):
            self.nodes[int(member)].tick()
            self._fulfil(int(member))

    def sync(self, *members: str) -> None:
        """Sync all writes of the members."""
        for member in map(int, members):
            queue = self.disks[member].queue
            while queue:
                batch = self.disks[member].sync_first()
                for message in batch.after_sync:
                    self._leave(message)
                if batch.mark is not None:
                    self.nodes[member].persisted(batch.mark)
            self._fulfil(member)

    def deliver(self, recipient: str, sender: str = "") -> None:
        """Deliver the messages under way to a member, from all senders or from one sender."""
        messages = self._take(recipient, sender)
        for message in messages:
            self.nodes[int(recipient)].step(message)
            self._fulfil(int(recipient))

    def lose(self, recipient: str, sender: str = "") -> None:
        """Lose the messages under way to a member, from all senders or from one sender."""
        self._lose_under_way(recipient, sender, "dropped")

    def _lose_under_way(self, recipient: str, sender: str, reason: str) -> None:
        for message in self._take(recipient, sender):
            self.lines.append(describe(message, lost=reason))

    def _take(self, recipient: str, sender: str) -> list[Message]:
        taken = [
            message
            for message in self.waiting
            if message.recipient == int(recipient) and sender in ("", str(message.sender))
        ]
        self.waiting = [message for message in self.waiting if message not in taken]
        return taken

    def settle(self) -> None:
        """Sync and deliver until no message is under way; show roles, applies and losses."""
        self.is_quiet = True
        for _ in range(SETTLE_ROUNDS_MAX):
            if not self.waiting and not any(self.disks[member].queue for member in self.nodes):
                break
            for member in sorted(self.nodes):
                self.sync(str(member))
                self.deliver(str(member))
        self.is_quiet = False

    def propose(self, member: str, *payloads: str) -> None:
        """Propose one entry for each payload."""
        taken = self.nodes[int(member)].propose([payload.encode() for payload in payloads])
        self.lines.append(f"{member} {describe_answer(taken)}")
        self._fulfil(int(member))

    def add(self, member: str, newcomer: str) -> None:
        """Propose a learner at a member."""
        self._change(int(member), AddLearner(int(newcomer)))

    def promote(self, member: str, learner: str) -> None:
        """Propose the promotion of a learner at a member."""
        self._change(int(member), Promote(int(learner)))

    def remove(self, member: str, leaver: str) -> None:
        """Propose the removal of a member at a member."""
        self._change(int(member), Remove(int(leaver)))

    def _change(self, member: int, change: AddLearner | Promote | Remove) -> None:
        self.lines.append(f"{member} {describe_answer(self.nodes[member].change(change))}")
        self._fulfil(member)

    def members(self, *members: str) -> None:
        """Show the configurations that members go by."""
        for member in list(map(int, members)) or sorted(self.nodes):
            self.lines.append(f"{member}: {show(self.nodes[member].configuration)}")

    def transfer(self, member: str, target: str = "0") -> None:
        """Begin a leadership transfer."""
        match self.nodes[int(member)].transfer(int(target)):
            case TransferBegun(successor):
                self.lines.append(f"{member} hands over to {successor}")
            case TransferRefused(reason):
                self.lines.append(f"{member} stays: {reason}")
        self._fulfil(int(member))

    def read(self, member: str, context: str) -> None:
        """Begin a read."""
        began = self.nodes[int(member)].read(int(context))
        self.lines.append(f"{member} {'begins' if began else 'refuses'} read {context}")
        self._fulfil(int(member))

    def crash(self, member: str) -> None:
        """Stop a member; the member loses its unsynced writes and the messages under way to it."""
        del self.nodes[int(member)]
        for batch in self.disks[int(member)].queue:
            for message in batch.after_sync:
                self.lines.append(describe(message, lost=f"{member} crashed before the sync"))
        self.disks[int(member)].crash(0)
        self._lose_under_way(member, "", f"{member} crashed")

    def restart(self, member: str) -> None:
        """Start a member from its disk."""
        self._start(int(member))
        self.status(member)

    def compact(self, member: str, index: str) -> None:
        """Make the state durable and cut the log."""
        self.disks[int(member)].flush(self.images[int(member)])
        self.nodes[int(member)].compact(int(index))
        self.disks[int(member)].cut(int(index))
        self.log(member)

    def stream(self, sender: str, recipient: str, outcome: str) -> None:
        """Stream a snapshot to a member; `outcome` is `installed` or `lost`."""
        leader, image = self.nodes[int(sender)], self.images[int(sender)]
        is_installed = outcome == "installed"
        meta = SnapshotMeta(image.index, image.term, leader.configuration_at(image.index))
        message = InstallSnapshot(int(sender), int(recipient), leader.term, meta)
        if not is_installed:
            self.lines.append(describe(message, lost="the stream broke"))
        else:
            self.images[int(recipient)] = image
            self.nodes[int(recipient)].step(message)
            self._fulfil(int(recipient))
            self.sync(recipient)
        leader.snapshot_sent(int(recipient), image.index, installed=is_installed)
        self._fulfil(int(sender))

    def isolate(self, *members: str) -> None:
        """Cut members off from all other members, and lose the messages under way to them."""
        self.cut |= {int(member) for member in members}
        for member in members:
            self._lose_under_way(member, "", f"{member} is cut off")

    def heal(self) -> None:
        """Mend every link."""
        self.cut.clear()

    def status(self, *members: str) -> None:
        """Show role, term, vote, leader, commit index and last index of members."""
        for member in list(map(int, members)) or sorted(self.nodes):
            node = self.nodes[member]
            self.lines.append(
                f"{member}: {node.role.value} term={node.term} vote={node.hard_state.vote} "
                f"leader={node.leader} commit={node.commit_index} last={node.last_index}"
            )

    def log(self, *members: str) -> None:
        """Show the terms of members' logs, from the base on."""
        for member in list(map(int, members)) or sorted(self.nodes):
            node = self.nodes[member]
            indexes = range(node.first_index - 1, node.last_index + 1)
            terms = " ".join(f"{index}/{node.term_at(index)}" for index in indexes)
            self.lines.append(f"{member}: {terms}")

    def _tell(self, line: str) -> None:
        if not self.is_quiet:
            self.lines.append(line)

    def _leave(self, message: Message) -> None:
        reason = self._why_lost(message)
        if reason:
            self.lines.append(describe(message, lost=reason))
            return
        self._tell(describe(message))
        self.waiting.append(message)

    def _why_lost(self, message: Message) -> str:
        for member in (message.sender, message.recipient):
            if member in self.cut:
                return f"{member} is cut off"
        return "" if message.recipient in self.nodes else f"{message.recipient} is down"

    def _fulfil(self, member: int) -> None:
        node = self.nodes[member]
        while (ready := node.ready()) is not None:
            if ready.leadership is not None:
                known = ready.leadership
                self.lines.append(
                    f"{member} is {known.role.value} in term {known.term}, leader {known.leader}"
                )
            if ready.configuration is not None:
                self.lines.append(f"{member} goes by {show(ready.configuration)}")
            for message in ready.at_once:
                self._leave(message)
            self._write(member, ready)
            if ready.install is not None:
                self.lines.append(f"{member} installs {show(ready.install)}")
                node.applied(ready.install.index)
            self._apply(member, ready.committed)
            for read in ready.reads:
                self.lines.append(f"{member} answers read {read.context} at {read.index}")
            for context in ready.dropped_reads:
                self.lines.append(f"{member} drops read {context}")
            for peer in ready.snapshots:
                self.lines.append(f"{member} owes {peer} a snapshot")

    def _write(self, member: int, ready: Ready) -> None:
        queue = self.disks[member].queue
        if ready.mark is None and not queue:
            for message in ready.after_sync:
                self._leave(message)
            return
        if ready.hard_state is not None:
            self._tell(f"{member} writes term={ready.hard_state.term} vote={ready.hard_state.vote}")
        if ready.entries:
            self._tell(f"{member} writes {show(ready.entries)}")
        for message in ready.after_sync:
            self._tell(f"waits for the sync: {describe(message)}")
        queue.append(
            WriteBatch(
                hard_state=ready.hard_state,
                install=ready.install,
                image=self.images[member] if ready.install is not None else None,
                entries=ready.entries,
                mark=ready.mark,
                after_sync=ready.after_sync,
                due=0,
            )
        )

    def _apply(self, member: int, committed: Sequence[Entry]) -> None:
        if committed:
            self.lines.append(f"{member} applies {show(tuple(committed))}")
            last = committed[-1]
            self.images[member] = Image(last.index, last.term, 0)
            self.nodes[member].applied(last.index)


COMMANDS: dict[str, Callable[..., None]] = {
    "bound": ScriptRunner.bound,
    "cluster": ScriptRunner.cluster,
    "tick": ScriptRunner.tick,
    "sync": ScriptRunner.sync,
    "deliver": ScriptRunner.deliver,
    "lose": ScriptRunner.lose,
    "settle": ScriptRunner.settle,
    "propose": ScriptRunner.propose,
    "read": ScriptRunner.read,
    "transfer": ScriptRunner.transfer,
    "join": ScriptRunner.join,
    "add": ScriptRunner.add,
    "promote": ScriptRunner.promote,
    "remove": ScriptRunner.remove,
    "members": ScriptRunner.members,
    "crash": ScriptRunner.crash,
    "restart": ScriptRunner.restart,
    "compact": ScriptRunner.compact,
    "stream": ScriptRunner.stream,
    "isolate": ScriptRunner.isolate,
    "heal": ScriptRunner.heal,
    "status": ScriptRunner.status,
    "log": ScriptRunner.log,
}


def rerun(text: str) -> str:
    """Run a script's commands and return the script with the transcripts; comments stay."""
    script = ScriptRunner()
    lines: list[str] = []
    is_step_open = False  # the next comment or command continues the paragraph
    for line in text.splitlines():
        if line.startswith(("#", "> ")):
            if lines and not is_step_open:
                lines.append("")
            is_step_open = True
            lines.append(line)
            if line.startswith("> "):
                lines += script.run(line[2:])
        elif not line:
            is_step_open = False
    return "\n".join(lines) + "\n"
