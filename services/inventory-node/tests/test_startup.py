"""The start of a member's log: on a full disk, cut short anywhere, or with data that go aside."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, combinations, count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest
from inventory.raft.v1 import membership_pb2
from inventory_node.core.events import ChangeAsked, DiskDone, DiskFull, Event
from inventory_node.core.membership.bootstrap import Described, founding_of
from inventory_node.errors import DatabaseFull
from inventory_node.ports import DiskOperation
from inventory_node.runtime import data_directory as data_directory_module
from inventory_node.runtime import disk as disk_module
from inventory_node.runtime import startup as startup_module
from inventory_node.runtime.data_directory import DataDirectory
from inventory_node.runtime.snapshot import QUARANTINED, StateFolder, sync_directory
from inventory_node.runtime.sqlite import Database
from inventory_node.runtime.startup import Startup
from inventory_node.wal import Identity, Recovered, recover
from raft.messages import Configuration, HardState
from service.errors import Exit
from sim.disk import SimDisk
from sim.machines import open_database, started
from sim.manual_cluster import CLUSTER_ID, HandMember, ManualCluster, order
from wire import errors

if TYPE_CHECKING:
    from inventory_node.runtime.peers import Peers

SEGMENT_BYTES = 4096
FIRST = {"node-1": 1, "node-2": 2, "node-3": 3}
FOUNDING = founding_of(FIRST)
OWN = Identity(CLUSTER_ID, 3, "node-3")
LIVING = [
    Described(
        name=name,
        says=name,
        cluster_id=CLUSTER_ID,
        founding=FOUNDING,
        member_id=FIRST[name],
        bootstrapped=True,
        term=5,
    )
    for name in ("node-1", "node-2")
]
# The founder has begun, and drawn the cluster's id; the other member is empty.
EMPTY = [replace(LIVING[0], term=0), replace(LIVING[1], term=0, bootstrapped=False, cluster_id="")]
Response = membership_pb2.ChangeResponse
VOTER = Response(done=membership_pb2.Done(standing=membership_pb2.STANDING_VOTER))
REMOVED = Response(done=membership_pb2.Done(standing=membership_pb2.STANDING_REMOVED))
Answer = Callable[[membership_pb2.ChangeRequest], Sequence[Response]]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for the next question."""
    monkeypatch.setattr(startup_module, "JOIN_SECONDS", 0)
    monkeypatch.setattr(startup_module, "POLL_SECONDS", 0)


class Cut(BaseException):
    """The process has ended, or the power is off; nothing above may handle it."""


@dataclass(slots=True)
class Others:
    """The other members, as far as one that opens asks them."""

    described: Sequence[Described | None]
    answer: Answer = lambda _: ()
    reached: set[int] = field(default_factory=lambda: {1, 2})
    asked: list[str] = field(default_factory=list)

    async def describe(self) -> list[Described | None]:
        """Say what each is."""
        return list(self.described)

    async def ask_change(self, request: membership_pb2.ChangeRequest) -> list[Response]:
        """Answer for the leader, if there is one."""
        assert request.cluster_id == OWN.cluster_id
        self.asked.append(request.WhichOneof("change") or "")
        return list(self.answer(request))


class WatchedDirectory(DataDirectory):
    """A data directory that notes each log that is read."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        """Note nothing yet."""
        super().__init__(folder, segment_bytes)
        self.read: list[Recovered] = []

    def read_log(self) -> Recovered:
        """Read the log, and note it."""
        self.read.append(super().read_log())
        return self.read[-1]


def start(
    folder: Path,
    others: Others,
    know: Callable[[Recovered], None] = lambda _: None,
    own: Identity = OWN,
) -> Recovered:
    """Open the log of a member; each log that is read is made known, in the order of the reads."""
    peers = cast("Peers", others)
    directory = WatchedDirectory(folder, SEGMENT_BYTES)
    known: list[Recovered] = []

    def remember(recovered: Recovered) -> None:
        known.append(recovered)
        know(recovered)

    startup = Startup(directory, own, FIRST, peers, is_ending=lambda: False, know=remember)
    opened = asyncio.run(startup.open("host:3"))
    assert known == directory.read
    assert opened is known[-1]
    return opened


def full(_file: int, _data: bytes, _offset: int) -> int:
    """Be a volume without space."""
    raise OSError(errno.ENOSPC, "No space left on device")


class TestAFullDisk:
    """A log that could not be begun is no success, and the next start with space goes on."""

    def test_no_space_for_the_first_file_ends_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody was told that this member has bootstrapped, and nothing is left behind."""
        known: list[Recovered] = []
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            with pytest.raises(Exit, match="there is no space for 4096 bytes in") as caught:
                start(tmp_path, Others(EMPTY), known.append)
        assert caught.value.status == 3
        assert not any(recovered.identity for recovered in known)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        assert start(tmp_path, Others(EMPTY)).identity == OWN

    def test_a_disk_that_fails_ends_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With what failed."""

        def fail(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(disk_module, "_sync_data", fail)
        with pytest.raises(Exit, match="Input/output error") as caught:
            start(tmp_path, Others(EMPTY))
        assert caught.value.status == 3

    def test_no_space_for_the_folder_ends_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It needs a block too."""

        def no_space(*_: object, **_named: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "mkdir", no_space)
        with pytest.raises(Exit, match="No space left on device") as caught:
            start(tmp_path, Others(EMPTY))
        assert caught.value.status == 3


class TestADatabaseWithoutALog:
    """Whether anything was applied to it decides."""

    def test_an_unused_one_is_as_good_as_none(self, tmp_path: Path) -> None:
        """It begins beside members that have no term."""
        Database(StateFolder(tmp_path).open(0)).close()
        recovered = start(tmp_path, Others(EMPTY))
        assert recovered.identity == OWN
        assert recovered.hard_state == HardState(0, 0)

    def test_beside_a_term_its_member_joins_under_another_id(self, tmp_path: Path) -> None:
        """A vote may have been lost with the log, so it counts for nobody."""
        Database(StateFolder(tmp_path).open(0)).close()
        identity = start(tmp_path, Others(LIVING)).identity
        assert identity is not None
        assert identity.member_id not in FIRST.values()

    def test_one_that_cannot_be_opened_for_want_of_space_waits_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not taken for damaged."""
        Database(StateFolder(tmp_path).open(0)).close()

        def no_space(path: Path) -> Database:
            raise DatabaseFull(f"there is no space for {path}")

        with monkeypatch.context() as patched:
            patched.setattr(data_directory_module, "Database", no_space)
            with pytest.raises(Exit, match="there is no space") as caught:
                start(tmp_path, Others(EMPTY))
        assert caught.value.status == 3
        assert start(tmp_path, Others(EMPTY)).identity == OWN

    @pytest.mark.parametrize("is_open", [True, False])
    def test_one_that_holds_an_entry_is_refused(
        self,
        tmp_path: Path,
        is_open: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        """Also where the entry stands in the file beside it, as after a crash."""
        (tmp_path / "before").mkdir()
        file = StateFolder(tmp_path / "before").open(0)
        database = open_database(file)
        started(database).flush(database)
        if not is_open:
            database.close()
        shutil.copytree(file.parent, tmp_path / "after" / file.parent.name)
        with pytest.raises(Exit, match="a database and no log") as caught:
            start(tmp_path / "after", Others(EMPTY))
        assert caught.value.status == 4
        assert not list((tmp_path / "after" / "wal").iterdir())
        if is_open:
            database.close()

    @pytest.mark.parametrize("damage", [b"noise" * 1_000, None])
    def test_one_that_cannot_be_read_is_refused(self, tmp_path: Path, damage: bytes | None) -> None:
        """Nobody knows what it held."""
        file = StateFolder(tmp_path).open(0)
        database = open_database(file)
        started(database).flush(database)
        database.close()
        pages = file.read_bytes()
        file.write_bytes(damage or pages[:4096] + b"\xff" * (len(pages) - 4096))
        with pytest.raises(Exit, match="a database and no log"):
            start(tmp_path, Others(EMPTY))

    def test_a_later_member_that_calls_while_this_one_waits_is_no_stumbling_block(
        self, tmp_path: Path
    ) -> None:
        """It is asked too, and may not answer."""
        asked: list[int] = []

        class Gathering(Others):
            async def describe(self) -> list[Described | None]:
                asked.append(1)
                return [LIVING[0], None, None] if len(asked) > 1 else [EMPTY[0], None, None]

        assert start(tmp_path, Gathering(())).identity != OWN
        assert len(asked) == 2


@dataclass(slots=True)
class Platters:
    """Simulated disks by their folders, in the place of `ThreadedDisk`; a missing one is made."""

    disks: dict[Path, SimDisk] = field(default_factory=dict)
    operations_left: int = 10**9  # until the power is off
    emit: Callable[[Event], None] = lambda _: None

    def open(self, folder: Path, emit: Callable[[Event], None]) -> "Opened":
        """Be what makes a disk of a folder."""
        if not folder.exists():
            folder.mkdir(parents=True)
            self.disks[folder] = SimDisk(
                lambda ticket: self.emit(DiskDone(ticket)),
                lambda ticket: self.emit(DiskFull(ticket)),
            )
        self.emit = emit
        return Opened(self, self.disks[folder])


@dataclass(frozen=True, slots=True)
class Opened:
    """One use of a disk, whose jobs are done at once."""

    platters: Platters
    disk: SimDisk

    def names(self) -> list[str]:
        """List the files."""
        return self.disk.names()

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return self.disk.read(name)

    def submit(self, operations: Sequence[DiskOperation], ticket: int) -> None:
        """Do the job, until the power is off."""
        self.disk.submit(operations, ticket)
        while self.disk.busy:
            if not self.platters.operations_left:
                raise Cut
            self.platters.operations_left -= 1
            self.disk.step()

    def close(self) -> None:
        """Have nothing to end."""


@pytest.fixture
def platters(monkeypatch: pytest.MonkeyPatch) -> Platters:
    """Put simulated disks in the place of real ones."""
    made = Platters()
    monkeypatch.setattr(data_directory_module, "ThreadedDisk", made.open)
    return made


class Loss(Random):
    """Chance that keeps all of what may be lost, or nothing."""

    def __init__(self, keeps: int) -> None:
        """Keep with 1, lose with 0."""
        super().__init__(0)
        self._keeps = keeps

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """Return the largest number, or 0."""
        del stop, step
        return (start - 1) * self._keeps

    def getrandbits(self, _k: int, /) -> int:
        """Return one bit."""
        return self._keeps


def fail_power(chance: Random, disk: SimDisk) -> None:
    """Lose what was not synced, as chance has it."""
    disk.crash(chance)


LOSSES: dict[str, Callable[[SimDisk], None]] = {
    "killed": SimDisk.kill,  # the process, not the machine
    "all kept": partial(fail_power, Loss(1)),
    "all lost": partial(fail_power, Loss(0)),
    **{f"seed {seed}": partial(fail_power, Random(seed)) for seed in range(3)},
}


class TestABootstrapThatIsCutShort:
    """The disk stops after any operation, and keeps anything of what was not synced."""

    def live(self, folder: Path, platters: Platters, told: list[Recovered]) -> HardState:
        """Start, and vote for itself as a node would; return what it may rely on."""
        recovered = start(folder, Others(EMPTY), told.append)
        assert recovered.identity == OWN
        assert recovered.configuration == Configuration(frozenset(FIRST.values()))
        disk = platters.open(folder / "wal", lambda _: None)
        disk.submit(recovered.repair, 1)
        promised = recovered.hard_state
        if not promised.term:
            promised = HardState(1, OWN.member_id)
            disk.submit(recovered.log.append(promised, None, ()), 2)
        return promised

    def lives(self, folder: Path, platters: Platters, cuts: Sequence[int], loss: str) -> list[bool]:
        """Live a life for each cut, and one more; return which were cut.

        What a life has told or promised, the later ones hold to.
        """
        promised, has_told, were_cut = HardState(0, 0), False, []
        for operations in (*cuts, 10**9):
            platters.operations_left = operations
            told: list[Recovered] = []
            try:
                reached = self.live(folder, platters, told)
                were_cut.append(False)
            except Cut:
                reached = promised
                were_cut.append(True)
            assert not has_told or told[0].identity == OWN
            assert told[0].hard_state in ((promised,) if promised.term else VOTES)
            promised = reached
            # What a first start says stands on the disk; a later one may read what is not synced.
            has_told = has_told or (told[0].identity is None and told[-1].identity == OWN)
            LOSSES[loss](platters.disks[folder / "wal"])
        assert promised == HardState(1, OWN.member_id)
        return were_cut

    @pytest.mark.parametrize("loss", LOSSES)
    def test_the_next_start_goes_on(self, tmp_path: Path, platters: Platters, loss: str) -> None:
        """With the same ids, and with every vote that it gave."""
        for operations in count():
            folder = tmp_path / f"{operations}"
            if not self.lives(folder, platters, [operations], loss)[0]:
                break
        assert operations == 10, "five for the first file, three to repair, two for the vote"

    @pytest.mark.parametrize("loss", ["killed", "all kept", "all lost"])
    def test_so_does_one_after_a_second_cut(
        self, tmp_path: Path, platters: Platters, loss: str
    ) -> None:
        """While it was about to go on."""
        for first in range(10):
            for second in count():
                folder = tmp_path / f"{first} {second}"
                if not self.lives(folder, platters, [first, second], loss)[1]:
                    break


VOTES = (HardState(0, 0), HardState(1, OWN.member_id))


class HandOthers(Others):
    """The others of a cluster in hand, whose leader answers when it can."""

    def __init__(self, cluster: ManualCluster) -> None:
        """Be heard by all of them."""
        super().__init__(LIVING, self.answer_by_hand)
        self._cluster = cluster
        self._tickets = count(1_000)

    def answer_by_hand(self, request: membership_pb2.ChangeRequest) -> list[Response]:
        """Ask both, and give them a moment."""
        others = [self._cluster[number] for number in (1, 2)]
        ticket = next(self._tickets)
        for member in others:
            member.handle(ChangeAsked(ticket, request))
        self._cluster.pass_time(1, 1, 2)
        answers = [member.transport.changes.get(ticket) for member in others]
        return [answer for answer in answers if answer is not None]


def stopped(
    folder: Path, platters: Platters, reason: str = "differs"
) -> tuple[ManualCluster, HandMember]:
    """Return three members of which 1 leads and 3 is down; its state is marked, for a reason."""
    cluster = ManualCluster(folder)
    leader = cluster.elect(1)
    cluster.open()
    leader.ask(order("held by all"))
    cluster.pass_time(4)
    member = cluster[3]
    member.crash()
    member.cut_off = True
    if reason:
        (next(member.folder.glob("state-*")) / QUARANTINED).write_text(reason)
    (member.folder / "wal").mkdir()
    platters.disks[member.folder / "wal"] = member.disk
    return cluster, member


def last_payloads(member: HandMember) -> set[bytes]:
    """Return what a member's disk would still know after a crash."""
    member.disk.crash(Loss(0))
    return {entry.payload for entry in member.log_entries()}


class TestAStateThatDiffers:
    """Its log goes aside only when others are proven to hold what it holds."""

    def test_it_goes_aside_when_the_others_have_committed_that_they_go_on(
        self, tmp_path: Path, platters: Platters
    ) -> None:
        """Everything that was acknowledged is on both of their disks."""
        cluster, member = stopped(tmp_path, platters)
        others = HandOthers(cluster)
        held = {entry.payload for entry in member.log_entries()}
        identity = start(member.folder, others).identity
        assert identity is not None
        assert identity.member_id not in FIRST.values()
        aside = member.folder / "diverged-3"
        assert sorted(path.name for path in aside.iterdir()) == ["state-" + "0" * 20, "wal"]
        assert others.asked == ["join", "leave", "remove"]
        assert all(held <= last_payloads(cluster[number]) for number in (1, 2))

    def test_a_leader_that_hears_nobody_and_does_not_know_it_yet_is_no_proof(
        self, tmp_path: Path, platters: Platters
    ) -> None:
        """It leads on until its check of the quorum; the third voter would be the only other."""
        cluster, member = stopped(tmp_path, platters)
        cluster[2].cut_off = True
        known: list[Recovered] = []
        others = HandOthers(cluster)
        recovered = start(member.folder, others, known.append)
        assert "remove" in others.asked
        assert recovered.identity == OWN
        assert len(known) == 1
        assert not list(member.folder.glob("*diverged*"))
        cluster[2].cut_off = False
        cluster.pass_time(4, 1, 2)
        assert start(member.folder, others).identity != OWN, "the removal is committed by now"
        assert (member.folder / "diverged-3").is_dir()

    def test_it_stays_while_it_does_not_reach_a_majority_without_it(
        self, tmp_path: Path, platters: Platters
    ) -> None:
        """Nothing is asked of a cluster that may need it."""
        cluster, member = stopped(tmp_path, platters)
        others = HandOthers(cluster)
        others.reached = {1}
        assert start(member.folder, others).identity == OWN
        assert set(others.asked) == {"join"}

    @pytest.mark.parametrize(
        "refusal",
        [
            Response(error=errors.change_refused("no majority would be left")),
            Response(error=errors.invalid_field("change", "names no change that is known here")),
            Response(not_leader=membership_pb2.NotLeader()),
        ],
    )
    def test_it_stays_where_the_leader_does_not_say_that_the_others_hold_everything(
        self, tmp_path: Path, platters: Platters, refusal: Response
    ) -> None:
        """Also one of an earlier version, which does not know the question."""
        _, member = stopped(tmp_path, platters)

        def answer(request: membership_pb2.ChangeRequest) -> list[Response]:
            return [VOTER if request.HasField("join") else refusal]

        others = Others(LIVING, answer)
        assert start(member.folder, others).identity == OWN
        assert "remove" not in others.asked

    def test_it_goes_aside_when_it_was_removed_meanwhile(
        self, tmp_path: Path, platters: Platters
    ) -> None:
        """The answer to its own question may have been lost."""
        _, member = stopped(tmp_path, platters)
        others = Others(LIVING, lambda _: [REMOVED])
        assert start(member.folder, others).identity != OWN
        assert (member.folder / "diverged-3" / "wal").is_dir()
        assert others.asked == ["join"]

    def test_a_state_that_does_not_differ_is_kept(self, tmp_path: Path, platters: Platters) -> None:
        """Its member asks once whether it was removed."""
        cluster, member = stopped(tmp_path, platters, reason="")
        others = HandOthers(cluster)
        assert start(member.folder, others).identity == OWN
        assert others.asked == ["join"]


@dataclass(slots=True)
class Changes:
    """Every change of a data directory's own entries, and how to take it back.

    A rename is safe when both folders were synced after it, a new folder when the one around it
    was. `done` counts syncs too.
    """

    patched: pytest.MonkeyPatch
    done_max: int
    done: int = 0
    unsynced: list[tuple[set[Path], Callable[[], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Watch."""
        mkdir, rename = Path.mkdir, Path.rename

        def watched_mkdir(path: Path, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - handed on
            mkdir(path, *arguments, **named)
            if path.name.startswith("moving-"):
                self.unsynced.append(({path.parent}, path.rmdir))
                self._count()

        def watched_rename(path: Path, target: Path) -> Path:
            renamed = rename(path, target)
            self.unsynced.append(({path.parent, target.parent}, lambda: rename(target, path)))
            self._count()
            return renamed

        def watched_sync(path: Path) -> None:
            sync_directory(path)
            for folders, _ in self.unsynced:
                folders.discard(path)
            self.unsynced = [change for change in self.unsynced if change[0]]
            self._count()

        self.patched.setattr(Path, "mkdir", watched_mkdir)
        self.patched.setattr(Path, "rename", watched_rename)
        self.patched.setattr(data_directory_module, "sync_directory", watched_sync)

    def _count(self) -> None:
        self.done += 1
        if self.done == self.done_max:
            raise Cut

    def lose(self, lost: Sequence[int]) -> None:
        """Take back what the power failure took."""
        for number in sorted(lost, reverse=True):
            self.unsynced[number][1]()


def subsets(size: int) -> list[tuple[int, ...]]:
    """Return every choice of some of so many things."""
    sizes = range(1, size + 1)
    return list(chain.from_iterable(combinations(range(size), some) for some in sizes))


def member_of_old(folder: Path) -> dict[str, bytes]:
    """Make the data of member 3, with a snapshot on its way; return every file."""
    start(folder, Others(EMPTY))
    for name in (f"state-{0:020}", f"partial-{7:020}"):
        (folder / name).mkdir()
        (folder / name / "state.db").write_text(name)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestSettingAsideThatIsCutShort:
    """The next start finds all data in their place, or has them all aside; nobody asks twice."""

    @pytest.fixture(autouse=True)
    def no_real_sync(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Spare the disk: what is lost is decided here."""
        monkeypatch.setattr(os, "fsync", lambda _: None)

    def cut(self, folder: Path, done_max: int, lost: Sequence[int]) -> int | None:
        """Start a member that was removed, end it after so many changes, and lose some of them.

        Returns how many were not synced; None when it was done before.
        """
        with pytest.MonkeyPatch.context() as patched:
            changes = Changes(patched, done_max)
            try:
                start(folder, Others(LIVING, lambda _: [REMOVED]))
            except Cut:
                changes.lose(lost)
                return len(changes.unsynced)
        return None

    def check(self, folder: Path, old: dict[str, bytes], *, is_decided: bool) -> None:
        """Start it where no leader answers, twice."""
        identities = [start(folder, Others(LIVING)).identity for _ in range(2)]
        assert identities[0] == identities[1]
        names = {path.name for path in folder.iterdir()}
        if identities[0] == OWN:
            assert not is_decided
            assert contents(folder) == old
        else:
            assert names == {"removed-3", "wal"}
            assert contents(folder / "removed-3") == old

    def test_a_cut_after_any_step_is_made_good(self, tmp_path: Path) -> None:
        """Whichever of the unsynced changes the power failure took."""
        old = member_of_old(tmp_path / "base")
        for steps in count(1):
            folder = tmp_path / f"{steps}"
            shutil.copytree(tmp_path / "base", folder)
            unsynced = self.cut(folder, steps, ())
            self.check(folder, old, is_decided=True)
            for lost in subsets(unsynced or 0):
                folder = tmp_path / f"{steps} without {lost}"
                shutil.copytree(tmp_path / "base", folder)
                self.cut(folder, steps, lost)
                self.check(folder, old, is_decided=steps > 1)
            if unsynced is None:
                break
        assert steps == 12

    def test_a_folder_of_that_name_is_left_alone(self, tmp_path: Path) -> None:
        """It may hold what a person wants to see."""
        old = member_of_old(tmp_path)
        (tmp_path / "removed-3").mkdir()
        (tmp_path / "removed-3" / "a").write_text("b")
        start(tmp_path, Others(LIVING, lambda _: [REMOVED]))
        assert contents(tmp_path / "removed-3") == {"a": b"b"}
        assert contents(tmp_path / "removed-3-2") == old

    def test_a_folder_that_cannot_be_written_is_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And goes on at the next start."""
        old = member_of_old(tmp_path)

        def fail(path: Path, target: Path) -> Path:
            raise OSError(errno.EIO, "Input/output error", str(path), None, str(target))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", fail)
            with pytest.raises(Exit, match="Input/output error") as caught:
                start(tmp_path, Others(LIVING, lambda _: [REMOVED]))
        assert caught.value.status == 3
        assert start(tmp_path, Others(LIVING)).identity != OWN
        assert contents(tmp_path / "removed-3") == old


def test_a_log_that_was_set_aside_can_be_read(tmp_path: Path) -> None:
    """It is kept for a person."""
    member_of_old(tmp_path)
    start(tmp_path, Others(LIVING, lambda _: [REMOVED]))
    disk = disk_module.ThreadedDisk(tmp_path / "removed-3" / "wal", lambda _: None)
    assert recover(disk, segment_bytes=SEGMENT_BYTES).identity == OWN
    disk.close()
