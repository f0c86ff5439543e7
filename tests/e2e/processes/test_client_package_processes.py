"""The wheel of `inventory-client` works with its declared dependencies alone."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from chaos.up import ROOT, Up
from packaging.requirements import Requirement

CLIENT = ROOT / "clients" / "sdk"
EXAMPLE = ROOT / "clients" / "examples" / "python" / "order.py"
# -I -S: nothing is importable but the standard library and the first argument.
ALONE = (sys.executable, "-I", "-S", "-W", "error", "-c")
PROGRAM = "import runpy, sys; sys.path.append(sys.argv[1]); runpy.run_path(sys.argv[2])"
LISTING = (
    "import sys; sys.path.append(sys.argv[1]); import inventory_client; "
    "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
)
NAMED = {"google", "grpc", "inventory", "inventory_client", "iso4217", "uuid_utils", "wire"}
OF_GRPC = {"typing_extensions", "cython_runtime"}


def needed(requirements: list[str]) -> Iterator[str]:
    """Yield every distribution that `names` need, themselves included."""
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name
            yield from needed(requires(requirement.name) or [])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the unpacked wheel, and links to the files of its dependencies."""
    folder = tmp_path_factory.mktemp("client")
    built = folder / "dist"
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", built],
        cwd=CLIENT,
        check=True,
        capture_output=True,
    )
    [wheel] = built.iterdir()
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    metadata = next(site.glob("*.dist-info/METADATA")).read_text()
    for name in set(needed(re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE))):
        for file in distribution(name).files or []:
            if file.parts[0] not in {"..", "/"}:
                link = site / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(Path(str(file.locate())))
    return site


@pytest.mark.slow
def test_the_client_alone_imports_what_it_names(alone: Path) -> None:
    """No settings, logs or servers come along."""
    done = subprocess.run(  # noqa: S603 - our own package
        [*ALONE, LISTING, alone], check=True, capture_output=True, text=True
    )
    found = {name for name in done.stdout.split() if not name.startswith("_")}
    assert NAMED <= found <= NAMED | OF_GRPC


@pytest.mark.slow
def test_the_client_alone_orders(alone: Path, system: Up) -> None:
    """The README's program runs with the wheel."""
    done = subprocess.run(  # noqa: S603 - our own example
        [*ALONE, PROGRAM, alone, EXAMPLE],
        env=os.environ | {"INVENTORY_ADDRESS": system.address},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert len(re.findall(r"^order \d+: USD [\d,.]+, \d+ left$", done.stdout, re.MULTILINE)) == 10


def test_the_client_asks_for_what_its_stubs_were_made_with() -> None:
    """An older grpcio or protobuf would end the import."""
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    [stub] = (ROOT / "libs" / "wire" / "src").rglob("v1/auth_pb2.py")
    [grpc] = (ROOT / "libs" / "wire" / "src").rglob("v1/auth_pb2_grpc.py")
    protobuf = re.search(r"Protobuf Python Version: (.*)", stub.read_text())
    grpcio = re.search(r"GRPC_GENERATED_VERSION = '(.*)'", grpc.read_text())
    assert protobuf is not None
    assert grpcio is not None
    assert {f"grpcio>={grpcio[1]}", f"protobuf>={protobuf[1]}"} <= set(project["dependencies"])
