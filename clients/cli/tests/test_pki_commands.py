"""`inventory pki` on a real folder."""

import json
from pathlib import Path

import pytest
from inventory_cli.process import run


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit status, and what it wrote to stdout and stderr."""
    status = run(["pki", *arguments])
    written = capsys.readouterr()
    return status, written.out, written.err


def test_a_cluster_gets_its_certificates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command says what it did, to which file; `show` lists all files."""
    folder = str(tmp_path / "pki")
    assert told(capsys, "init", folder)[::2] == (
        0,
        f"{folder} holds an authority; its key ca.key stays here\n",
    )
    for name in ("node-0", "gateway"):
        status, _, said = told(capsys, "issue", folder, name, "--host", "127.0.0.1")
        assert status == 0
        assert said.startswith(f"{folder}/{name}.pem is the certificate of ")
    status, table, _ = told(capsys, "show", folder)
    assert (status, [line.split()[0] for line in table.splitlines()]) == (
        0,
        ["file", "ca.pem", "gateway.pem", "node-0.pem"],
    )
    rows = json.loads(told(capsys, "show", folder, "--output", "json")[1])
    assert [(row["identity"], row["hosts"], row["issuer"]) for row in rows] == [
        ("", [], "CN=inventory"),
        ("gateway", ["127.0.0.1"], "CN=inventory"),
        ("member node-0", ["127.0.0.1"], "CN=inventory"),
    ]


def test_a_rotation_says_its_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three calls, each of which says what to do before the next."""
    folder = str(tmp_path / "pki")
    told(capsys, "init", folder)
    said = [told(capsys, "rotate", folder) for _ in range(3)]
    assert [status for status, _, _ in said] == [0, 0, 0]
    assert [text.partition(":")[0] for _, _, text in said] == ["trust", "issue", "finish"]
    assert said[2][2].rstrip().endswith("the rotation is done")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["issue", "PKI", "Node 0"], 2, "cannot be a member's name"),
        (["issue", "PKI", "node-0", "--host", "ä ö"], 1, "is no host name"),
        (["issue", "PKI", "node-0", "--days", "0"], 2, "--days"),
        (["issue", "NONE", "node-0"], 1, "ca.pem cannot be read: No such file or directory"),
        (["init", "PKI"], 1, "has an authority"),
        (["rotate", "NONE"], 1, "ca.pem cannot be read"),
        (["show", "NONE"], 1, "ca.pem cannot be read"),
        (["show", "FILE"], 2, "is a file"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    """Nothing changes."""
    places = {"PKI": tmp_path / "pki", "NONE": tmp_path / "none", "FILE": tmp_path / "file"}
    places["FILE"].write_text("")
    told(capsys, "init", str(places["PKI"]))
    before = {path.name: path.read_bytes() for path in places["PKI"].iterdir()}
    ended, out, err = told(capsys, *(str(places.get(one, one)) for one in arguments))
    assert (ended, out) == (status, "")
    assert said in " ".join(err.replace("│", " ").split())
    assert {path.name: path.read_bytes() for path in places["PKI"].iterdir()} == before
    assert not places["NONE"].exists()
