"""Runs targets under libFuzzer, one after the other: `python -m fuzz --minutes 10 --target NAME`.

What is found on the way is kept below `.fuzz/`, which is no part of the tree. `--keep` puts the
fewest of these inputs that reach as much into the corpus. An input that breaks a target is named,
and the exit status is 1.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.target import CORPUS

FOUND = Path(".fuzz")
SECONDS_PER_INPUT = 5  # more is a hang
MIB_MAX = 1_024  # of resident memory
KEPT_BYTES_MAX = 1_024  # of one input that is kept


def names() -> list[str]:
    """Return the names of all targets."""
    from fuzz.targets import TARGETS  # noqa: PLC0415 - takes a second, and is not instrumented here

    return list(TARGETS)


def guided(name: str, *options: str) -> int:
    """Run libFuzzer on a target, with seeds in the folder of what was found; return its status."""
    command = [sys.executable, "-m", "fuzz.guided", name, *options]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:  # libFuzzer ends without cleaning
        environment = os.environ | {"TMPDIR": folder}
        return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - this program


def search(name: str, minutes: float, seed: int) -> bool:
    """Look for inputs that break a target; return whether there is none."""
    from fuzz.targets import TARGETS  # noqa: PLC0415

    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds()):
        (found / f"seed-{number}").write_bytes(data)
    (CORPUS / name).mkdir(exist_ok=True)
    bounds = (f"-timeout={SECONDS_PER_INPUT}", f"-rss_limit_mb={MIB_MAX}")
    time = f"-max_total_time={max(1, round(minutes * 60))}"
    quiet = ("-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={found}.broken-")
    return not guided(name, str(found), str(CORPUS / name), *bounds, time, f"-seed={seed}", *quiet)


def keep(name: str) -> None:
    """Put the fewest small inputs that reach as much as all that was found into the corpus."""
    options = ("-merge=1", f"-max_len={KEPT_BYTES_MAX}", "-verbosity=0")
    guided(name, *options, str(CORPUS / name), str(FOUND / name))


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of each target")
    parser.add_argument("--target", choices=names(), help="one target alone")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer")
    parser.add_argument("--keep", action="store_true", help="put what was found into the corpus")
    options = parser.parse_args()
    chosen = [options.target] if options.target else names()
    broken = [name for name in chosen if not search(name, options.minutes, options.seed)]
    for name in chosen if options.keep else ():
        keep(name)
    verdict = f"broken: {', '.join(broken)}; see {FOUND}/" if broken else "none is broken"
    sys.stdout.write(f"{len(chosen)} targets, {options.minutes} minutes each: {verdict}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
