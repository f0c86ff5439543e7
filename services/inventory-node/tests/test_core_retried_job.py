"""One kind of job, against a model that knows when each try began and when its backoff ends."""

import random

import pytest
from inventory_node.core.write.retried_job import RetriedJob


class JobModel:
    """A job, and instants in ticks since the start."""

    def __init__(self, retry_ticks: int) -> None:
        """Begin with no job."""
        self.job = RetriedJob(retry_ticks)
        self.retry_ticks = retry_ticks
        self.now = 0
        self.tickets = [0]  # all that were drawn; the first is nobody's
        self.began: int | None = None  # the try under way
        self.until: int | None = None  # the end of the backoff
        self.is_full = self.is_due = False

    def do(self, what: str) -> None:
        """Let one thing happen, where it can."""
        is_idle = self.began is None and self.until is None
        match what:
            case "begin" if is_idle:
                self.tickets.append(self.job.begin())
                self.began = self.now
            case "interrupt" if self.until is not None:
                self.tickets.append(self.job.interrupt())
                self.began, self.until = self.now, None
            case "run out" if self.began is not None:
                self.job.run_out()
                self.is_full, self.began, self.until = True, None, self.now + self.retry_ticks
            case "end" if self.began is not None:
                self.job.end()
                self.is_full, self.began = False, None
            case "tick":
                self.job.tick()
                self.now += 1
                self.is_due = self.until == self.now
                if self.is_due:
                    self.began, self.until = self.now, None
            case _:
                pass  # there is no job to which it could happen

    def check(self) -> None:
        """Compare the job with the instants."""
        is_outstanding = self.began is not None or self.until is not None
        assert self.job.is_outstanding is is_outstanding
        assert [ticket for ticket in self.tickets if self.job.owns(ticket)] == (
            self.tickets[-1:] if is_outstanding else []
        )
        assert len(set(self.tickets)) == len(self.tickets)
        assert self.job.rests is (self.until is not None)
        assert self.job.is_retry_due is self.is_due
        assert self.job.is_full is self.is_full
        assert self.job.age_ticks == (0 if self.began is None else self.now - self.began)


STEPS = ["begin", "interrupt", "run out", "end", "tick", "tick", "tick"]


@pytest.mark.parametrize("seed", range(12))
def test_a_job_has_one_try_or_one_backoff(seed: int) -> None:
    """The backoff takes exactly its ticks; only a try ages; a ticket is drawn once."""
    draw = random.Random(seed)
    model = JobModel(retry_ticks=1 + seed % 3)
    model.check()
    for _ in range(100):
        model.do(draw.choice(STEPS))
        model.check()
