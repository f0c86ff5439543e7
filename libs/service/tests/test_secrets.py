"""Files of secrets: whose they are, and who else may read, write or replace them."""

import os
import stat
from pathlib import Path

import pytest
from service import logs, process
from service.errors import SecretUnusable
from service.settings import ServiceSettings


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a key that is its owner's alone, in a folder that is too."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    path = folder / "a.key"
    path.touch(0o600)
    path.write_text(" a secret\n")
    return path


@pytest.mark.parametrize("mode", range(0o1000))
def test_a_key_is_used_if_nobody_else_writes_it_and_at_most_the_group_reads_it(
    key: Path, mode: int
) -> None:
    """Each mode that a file can have, and that its owner may read."""
    key.chmod(mode | stat.S_IRUSR)
    if mode & 0o027:
        with pytest.raises(SecretUnusable, match=f"key of mode {mode | 0o400:04o} is open"):
            process.secret_in(key)
    else:
        assert process.secret_in(key) == "a secret"


@pytest.mark.parametrize("sticky", [0, stat.S_ISVTX])
@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o775, 0o757, 0o777])
def test_a_folder_that_others_write_to_is_refused_unless_it_is_sticky(
    key: Path, mode: int, sticky: int
) -> None:
    """There the file itself cannot be replaced."""
    key.parent.chmod(mode | sticky)
    if mode & 0o022 and not sticky:
        with pytest.raises(SecretUnusable, match=f"keys is of mode {mode:04o}"):
            process.secret_in(key)
    else:
        assert process.secret_in(key) == "a secret"


def test_a_secret_of_kubernetes_is_used(tmp_path: Path) -> None:
    """Links to a file of mode 0440 in a dated folder, in a sticky folder of mode 0777."""
    volume = tmp_path / "keys"
    dated = volume / "..2026_11_30"
    dated.mkdir(parents=True)
    (dated / "a.key").write_text("a secret")
    (dated / "a.key").chmod(0o440)
    dated.chmod(0o2755)
    volume.chmod(0o3777)
    (volume / "..data").symlink_to(dated.name)
    (volume / "a.key").symlink_to("..data/a.key")
    assert process.secret_in(volume / "a.key") == "a secret"
    dated.chmod(0o2777)
    with pytest.raises(SecretUnusable, match=r"2026_11_30 is of mode 2777"):
        process.secret_in(volume / "a.key")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_a_key_of_somebody_else_is_refused(key: Path) -> None:
    """And one whose folder is somebody else's; root's own serve everybody."""
    os.chown(key, 4_711, 0)
    with pytest.raises(SecretUnusable, match="key belongs to user 4711"):
        process.secret_in(key)
    os.chown(key, 0, 0)
    os.chown(key.parent, 4_711, 0)
    with pytest.raises(SecretUnusable, match="belongs to user 4711"):
        process.secret_in(key)


def test_what_is_no_key_is_told_apart(key: Path) -> None:
    """It is not there, or empty, or no text."""
    for content, said in (
        ("\n", "is empty"),
        (b"\xff", "cannot be read"),
        (None, "cannot be read"),
    ):
        if content is None:
            key.unlink()
        else:
            key.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(SecretUnusable, match=said):
            process.secret_in(key)


def test_what_a_process_makes_is_its_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders, whatever the mask was before."""
    modes = list[int]()

    async def work(_: ServiceSettings) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        modes.extend((tmp_path / name).stat().st_mode & 0o777 for name in ("file", "folder"))

    monkeypatch.setattr(logs, "configure", lambda *_: None)
    before = os.umask(0)
    try:
        assert process.run("service", ServiceSettings, work) == 0
    finally:
        os.umask(before)
    assert modes == [0o600, 0o700]
