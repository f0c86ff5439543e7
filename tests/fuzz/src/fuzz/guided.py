"""One target under libFuzzer: `python -m fuzz.guided TARGET [libFuzzer's options]`.

libFuzzer looks for inputs that take branches which no input took before, and keeps them in the
first folder of its options. It ends at the first input that breaks the target.
"""

import logging
import sys

import atheris
import structlog

OURS = ["assistant", "gateway", "inventory_node", "link", "pki", "service", "wire", "fuzz"]


def main() -> None:
    """Run; does not return."""
    with atheris.instrument_imports(include=OURS, enable_loader_override=False):
        from fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported
    target = TARGETS[sys.argv.pop(1)]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    target.judge(b"")
    # libFuzzer starts itself again to merge, by a shell. Of an option that is given twice it takes
    # the last.
    again = f"{sys.executable} -m fuzz.guided {target.name}"
    atheris.Setup([again, f"-max_len={target.bytes_max}", *sys.argv[1:]], target.judge)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
