"""The files of `inventory up` below its data directory, and the lines about them."""

import os
from pathlib import Path

import pytest
from inventory_cli.errors import UpError
from inventory_cli.up.layout import Layout
from inventory_cli.up.places import login_command


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return an empty data directory's."""
    return Layout(tmp_path)


@pytest.mark.slow  # hashes passwords
def test_who_may_log_in_is_who_was_there_at_the_first_start(layout: Layout) -> None:
    """A later `--demo` adds no users, so the start names no demo users."""
    layout.prepare("USD", demo=False)
    layout.prepare("USD", demo=True)
    password = layout.keys / "admin.password"
    assert login_command(layout) == f"login admin --password-stdin < {password}"


@pytest.mark.slow  # hashes passwords
def test_demo_users_may_log_in_whatever_a_later_start_is_asked_for(layout: Layout) -> None:
    """The data decide."""
    layout.prepare("USD", demo=True)
    layout.prepare("USD", demo=False)
    assert login_command(layout) == "login Gayathri"


def test_a_lock_that_cannot_be_written_is_said_in_one_line(layout: Layout) -> None:
    """As on a full disk; nothing is held then."""
    (layout.data / "lock").symlink_to("/dev/full")
    with pytest.raises(UpError, match=f"the data directory {layout.data} cannot be written: "):
        layout.lock()
    (layout.data / "lock").unlink()
    with layout.lock() as lock:
        assert (layout.data / "lock").read_text() == f"{os.getpid()}\n"
        assert not lock.closed


def test_a_key_that_is_gone_is_said_in_one_line(layout: Layout) -> None:
    """The line names the key's file, which can be put back from a copy."""
    with pytest.raises(UpError, match=r"a key cannot be read: .*admin\.password"):
        layout.secret("admin.password")
