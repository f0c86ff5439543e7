"""Runs one attack: `python -m attacks NAME SETTINGS`, the settings as JSON.

Prints what the attack counted as JSON, with `start` and `end` on the monotonic clock.
"""

import asyncio
import json
import sys
import time

from attacks.programs import PROGRAMS, Settings


def main(arguments: list[str]) -> None:
    """Run an attack by its name."""
    name, text = arguments
    settings = Settings(**json.loads(text))
    start = time.monotonic()
    said = asyncio.run(PROGRAMS[name](settings))
    end = min(time.monotonic(), start + settings.seconds)
    sys.stdout.write(json.dumps({"start": start, "end": end, **said}))


if __name__ == "__main__":
    main(sys.argv[1:])
