"""What the supervisor leaves on disk."""

from pathlib import Path

from inventory_cli.up.layout import Layout


def test_a_process_id_is_whole_at_every_moment(tmp_path: Path) -> None:
    """It is replaced, never emptied first: who reads in between finds the old one or the new."""
    layout = Layout(tmp_path)
    layout.run.mkdir()
    layout.note_pid("node-0", 17)
    with (layout.run / "node-0.pid").open() as before:
        layout.note_pid("node-0", 18)
        assert before.read() == "17\n"
    assert (layout.run / "node-0.pid").read_text() == "18\n"
    assert [path.name for path in layout.run.iterdir()] == ["node-0.pid"]
