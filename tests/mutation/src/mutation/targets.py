"""Which modules are mutated, and which tests judge each: `targets.toml`."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
ROOM = ROOT / "tests" / "mutation"
PLACES = ("libs/*/src", "clients/*/src", "services/*/src")


@dataclass(frozen=True, slots=True)
class Target:
    """A module, and the tests that are run on each of its edits."""

    module: str
    path: Path
    tests: tuple[Path, ...]
    is_judged: bool  # every survivor is killed, or is listed as equivalent
    takes_slow: bool  # tests that are marked slow judge too

    @property
    def tests_hash(self) -> str:
        """Hash the tests, and what stands beside them: conftest files and helpers."""
        helpers = {
            path
            for test in self.tests
            for path in test.parent.glob("*.py")
            if not path.name.startswith("test_")
        }
        digest = hashlib.sha256()
        for path in (*self.tests, *sorted(helpers)):
            digest.update(path.read_bytes())
        return digest.hexdigest()


def path_of(module: str) -> Path:
    """Return the file of a module."""
    name = module.replace(".", "/")
    for place in PLACES:
        for candidate in (f"{place}/{name}.py", f"{place}/{name}/__init__.py"):
            for path in ROOT.glob(candidate):
                return path
    raise LookupError(f"no file of {module}")


def modules_below(name: str) -> list[str]:
    """Return the modules of a name that ends in `.*`, or the name itself."""
    if not name.endswith(".*"):
        return [name]
    package = path_of(name.removesuffix(".*")).parent
    above = package.parents[name.count(".") - 1]
    found = sorted(path for path in package.rglob("*.py") if path.stem != "__init__")
    return [".".join(path.relative_to(above).with_suffix("").parts) for path in found]


def read_targets() -> list[Target]:
    """Return every target; a module's own entry goes before the entry of its package."""
    rows = tomllib.loads((ROOM / "targets.toml").read_text())
    found: dict[str, Target] = {}
    for name, row in sorted(rows.items(), key=lambda one: one[0].endswith(".*")):
        tests = {path for glob in row["tests"] for path in ROOT.glob(glob)}
        if not tests:
            raise LookupError(f"no tests of {name}")
        for module in modules_below(name):
            target = Target(
                module,
                path_of(module),
                tuple(sorted(tests)),
                row.get("is_judged", False),
                row.get("takes_slow", False),
            )
            found.setdefault(module, target)
    return sorted(found.values(), key=lambda target: target.module)
