"""`inventory audit`: an export is what was there, and a file that was changed is found."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from inventory_cli.commands import app
from inventory_client import AuditRecord, Inventory
from typer.testing import CliRunner
from wire.audit import Value, hash_of


def records() -> list[AuditRecord]:
    """Return a chain of three records that begins behind records that are gone."""
    made: list[AuditRecord] = []
    before = "ab" * 32
    for number in (8, 9, 10):
        fields: dict[str, Value] = {
            "id": number, "time_ms": 1_700_000_000_123, "revision": number, "kind": "login",
            "outcome": "OK", "actor_id": 1, "actor": "Öl", "subject_id": 0, "detail": "",
            "source": "::1", "request_id": "", "event_count": number,
        }  # fmt: skip
        own_hash = hash_of(before, fields)
        time = datetime.fromtimestamp(1_700_000_000, UTC).replace(microsecond=123_000)
        others = {name: value for name, value in fields.items() if name != "time_ms"}
        shown = AuditRecord(time=time, previous_hash=before, hash=own_hash, **others)  # type: ignore[arg-type]  # by their names
        made.append(shown)
        before = own_hash
    return made


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Answer with the records."""
    monkeypatch.setenv("INVENTORY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setattr(Inventory, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(Inventory, "close", lambda _: None)
    monkeypatch.setattr(Inventory, "audit_records", lambda *_, **__: iter(records()))


def run(*arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit status, stdout and stderr."""
    done = CliRunner().invoke(app, ["audit", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_what_was_exported_is_whole_and_says_its_ends(tmp_path: Path) -> None:
    """The same by the server and by the file."""
    status, exported, _ = run("export")
    assert status == 0
    assert len(exported.splitlines()) == 3
    path = tmp_path / "audit.jsonl"
    path.write_text(exported)
    for arguments in ((), (f"--file={path}",)):
        status, _, said = run("verify", *arguments)
        assert status == 0
        words = " ".join(said.split())
        assert "records 8 to 10 are whole" in words
        assert "ab" * 32 in words
        assert records()[-1].hash in words


@pytest.mark.parametrize("field", ["actor", "time_ms", "hash", "previous_hash"])
def test_a_line_that_was_changed_is_found(tmp_path: Path, field: str) -> None:
    """Exit status 1, and the record's id."""
    lines = [json.loads(line) for line in run("export")[1].splitlines()]
    lines[1][field] = 7 if field == "time_ms" else "cd" * 32
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    status, _, said = run("verify", f"--file={path}")
    assert status == 1
    assert "record 9" in said


@pytest.mark.parametrize(
    "text", ["[]\n", "{}\n", "x\n", "[" * 9_000, '{"id": 1.5}\n', "\ud800", '{"id": null}\n']
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, text: str) -> None:
    """In one sentence."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(text.encode(errors="surrogatepass"))
    status, _, said = run("verify", f"--file={path}")
    assert status == 1
    assert "is not whole" in said


def test_a_file_that_is_not_there_is_used_wrongly(tmp_path: Path) -> None:
    """Exit status 2."""
    assert run("verify", f"--file={tmp_path / 'none'}")[0] == 2


def test_the_list_shows_who_did_what() -> None:
    """A row each."""
    status, shown, _ = run("list", "--limit=2")
    assert status == 0
    assert shown.count("login") == 2
