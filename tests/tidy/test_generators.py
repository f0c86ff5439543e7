"""What the schema cannot have is said by the generators, instead of wrong code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "proto/inventory/v1/inventory.proto"
HEAD = """\
  // Does something.
  rpc Try(TryRequest) returns (TryResponse) {
    option (inventory.v1.access) = {roles: [ROLE_ADMIN]};
  }
"""
PLAIN = """\
message TryResponse {
  option (inventory.v1.model) = {name: "Tried"};

  int64 made = 1;
}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the generators need."""
    target = tmp_path_factory.mktemp("generators")
    for name in ("proto", "tools", "libs/wire/src", "clients/sdk/src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    shutil.copyfile(ROOT / "pyproject.toml", target / "pyproject.toml")
    return target


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "response", "why"),
    [
        ("bytes made = 1;", "", "holds bytes"),
        ("repeated string made = 1;", "", "let each value be a message"),
        ("map<string, int64> made = 1;", "", "is a map"),
        ("google.protobuf.Timestamp made = 1;", "", "holds a google.protobuf.Timestamp"),
        ("int64 class = 1;", "", "name it otherwise"),
        ("oneof made { int64 one = 1; int64 other = 2; }", "", "oneof made"),
        ("int64 made = 1;", "oneof made { int64 one = 1; int64 other = 2; }", "oneof made"),
        ("int64 made = 1;", "map<string, int64> made = 1;", "a map"),
        ("int64 made = 1;", "bytes made = 1;", "bytes"),
    ],
)
def test_what_no_method_can_be_made_of_is_refused(
    copy: Path, request_: str, response: str, why: str
) -> None:
    """By a sentence that names the field."""
    text = (ROOT / SCHEMA).read_text()
    answer = PLAIN if not response else PLAIN.replace("int64 made = 1;", response)
    messages = f"message TryRequest {{\n  {request_}\n}}\n\n// What was tried.\n{answer}"
    before = "  // Mutations in bulk: "
    assert text.count(before) == 1
    (copy / SCHEMA).write_text(f"{text.replace(before, HEAD + before)}\n{messages}")
    places = f"{copy}/tools:{copy}/libs/wire/src:{copy}/clients/sdk/src"

    def run(tool: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, f"tools/{tool}.py"],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": places},
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("generate_proto").returncode == 0
    done = run("generate_client")
    assert done.returncode == 1
    assert why in done.stderr
    assert "inventory.v1.Try" in done.stderr
    assert "Traceback" not in done.stderr
