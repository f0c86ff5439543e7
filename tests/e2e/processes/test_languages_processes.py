"""Clients in Go and Node, made from the schema and run by the commands of their README.

Where a language or the network is missing the tests skip; with INVENTORY_LANGUAGES=required they
fail instead.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from chaos.up import ROOT, Up

EXAMPLES = ROOT / "clients" / "examples"
README = EXAMPLES / "README.md"
# Go's first build compiles gRPC, on a machine that may be busy with everything else.
CLIENT_SECONDS_MAX = 1_200
# How Go and npm say that there is no network; a gateway that is away is said otherwise.
OFFLINE = re.compile(r"no such host|proxyconnect|i/o timeout|ENOTFOUND|EAI_AGAIN|ETIMEDOUT")
NEEDED = {"Go": ("go",), "Node": ("node", "npm")}
GENERATED = ("bin", "inventory", "node_modules")

pytestmark = [pytest.mark.slow, pytest.mark.long]


def missing(why: str) -> NoReturn:
    """Skip, or fail where nothing may be left out."""
    if os.environ.get("INVENTORY_LANGUAGES") == "required":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Return a folder like the repository's, with the files that the examples need."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(
        EXAMPLES, tmp_path / "clients" / "examples", ignore=shutil.ignore_patterns(*GENERATED)
    )
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    yield tmp_path
    shutil.rmtree(tmp_path)  # npm's part is large


def commands(language: str) -> str:
    """Return the shell block of a language in the README of the examples."""
    [block] = re.findall(
        rf"^## {language}\n.*?^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )
    return str(block)


def run(language: str, tree: Path, system: Up) -> list[str]:
    """Run a language's commands; return the lines of its client."""
    path = f"{os.environ['PATH']}:/usr/local/go/bin"
    for program in NEEDED[language]:
        if shutil.which(program, path=path) is None:
            missing(f"{program} is not installed; it runs the client in {language}")
    mine = {"PATH": path, "INVENTORY_ADDRESS": system.address, "GOFLAGS": "-p=2 -buildvcs=false"}
    done = subprocess.run(  # noqa: S603 - our own README
        ["nice", "bash", "-eu", "-c", commands(language)],  # noqa: S607 - wherever they are
        cwd=tree,
        env=os.environ | mine,
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS_MAX,
        check=False,
    )
    if done.returncode and OFFLINE.search(done.stderr):
        missing(f"the packages of the client in {language} cannot be fetched: {done.stderr[-300:]}")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


@pytest.mark.parametrize("language", NEEDED)
def test_a_client_lists_orders_once_and_is_refused(language: str, tree: Path, system: Up) -> None:
    """A retry with the same request id is the same order; a refusal names its reason."""
    before = system.watcher.item(2).quantity
    lines = run(language, tree, system)
    assert "logged in: Gayathri ROLE_CUSTOMER" in lines
    assert f"item 2: {system.watcher.item(2).name}, {before} on hand" in lines
    ordered = [line for line in lines if line.startswith("ordered: order ")]
    again = [line for line in lines if line.startswith("again: order ")]
    assert len(ordered) == len(again) == 1
    assert ordered[0].removeprefix("ordered") == again[0].removeprefix("again")
    assert system.watcher.item(2).quantity == before - 1
    assert lines[-1] == f"refused: INSUFFICIENT_STOCK, {before - 1} available"
