"""Every command in the README and in the documents is run, in their order, as it stands there.

Those of `docs/operating.md` need a cluster; `tests/e2e/cluster` runs them.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.up import ROOT, Up

SETUP = ("make up", "make test")  # the README's first block: it starts this test, or runs it
REFUSED = "# refused"  # behind a command that must exit with status 1
SECONDS_MAX = 600  # for a document of many commands: each takes seconds to begin on a busy machine

pytestmark = pytest.mark.slow


def commands(document: Path) -> list[str]:
    """Return the lines of a document's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def script(lines: list[str]) -> str:
    """Make a bash script that shows each command and stops at the first surprise."""
    parts = ["set -eu -o pipefail", "shopt -s expand_aliases"]
    for line in lines:
        command, refused, _ = line.partition(REFUSED)
        if refused:
            parts += ["status=0", f"{command.strip()} || status=$?", 'test "$status" -eq 1']
        else:
            parts += [line]
    return "\n".join(parts) + "\n"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run the system by the README's own first command."""
    with Up(tmp_path_factory.mktemp("documents") / "data", SETUP[0].split()) as running:
        yield running


def run(up: Up, home: Path, program: list[str], text: str) -> None:
    """Run a program on a text, as a user who has only this system."""
    mine = {"INVENTORY_ADDRESS": up.address, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    done = subprocess.run(  # noqa: S603  # our own documents
        program,
        input=text.replace(".inventory/", f"{up.data}/"),
        cwd=ROOT,
        env=os.environ | mine,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"


def test_the_readme_opens_with_two_commands() -> None:
    """`make up` and `make test`, and continuous integration calls the same."""
    opening = commands(ROOT / "README.md")[: len(SETUP)]
    assert tuple(line.partition("#")[0].strip() for line in opening) == SETUP
    assert SETUP[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_readme_tour(up: Up, tmp_path: Path) -> None:
    """Log in, look, order, kill the leader, order again, ask."""
    run(up, tmp_path, ["bash", "-x"], script(commands(ROOT / "README.md")[len(SETUP) :]))


def test_the_readme_program(up: Up, tmp_path: Path) -> None:
    """The README's Python example is the file that the README names, and runs also when pasted."""
    [program] = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert program == (ROOT / "clients" / "examples" / "python" / "order.py").read_text()
    run(up, tmp_path, [str(ROOT / ".venv" / "bin" / "python"), "-"], program)


LOCAL = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != "operating"]


@pytest.mark.parametrize("document", LOCAL, ids=lambda path: path.stem)
def test_a_document(document: Path, up: Up, tmp_path: Path) -> None:
    """A document's commands run one after the other, as a customer who has logged in."""
    lines = commands(document)
    if not lines:
        return
    login = "echo password1 | .venv/bin/inventory login Gayathri --password-stdin"
    run(
        up, tmp_path, ["bash", "-x"], script(["alias inventory=.venv/bin/inventory", login, *lines])
    )
