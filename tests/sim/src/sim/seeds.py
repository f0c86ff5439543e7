"""Many seeds on every core."""

import faulthandler
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import replace

from sim.run import SimResult, run_seed

PROGRESS_SECONDS = 5.0
STUCK_SECONDS = 120.0  # a seed takes a second: one that takes this long says where it is


def briefly(seed: int) -> SimResult:
    """Run a seed, and keep no lines of its trace."""
    faulthandler.dump_traceback_later(STUCK_SECONDS, repeat=True)
    try:
        return replace(run_seed(seed), lines=())
    finally:
        faulthandler.cancel_dump_traceback_later()


def results(seeds: Sequence[int], jobs: int) -> Iterator[SimResult | None]:
    """Run seeds, and yield what they came to as they end; None when for a while none did.

    The workers begin anew: a fork would keep locks of this process's threads for ever.
    """
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(briefly, seed) for seed in seeds}
        while running:
            done, running = wait(running, PROGRESS_SECONDS, FIRST_COMPLETED)
            yield from (future.result() for future in done)
            if not done:
                yield None
