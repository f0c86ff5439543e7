"""A job that a disk or a database does for the node, retried while there is no space."""


class RetriedJob:
    """The ticket, the age and the next try of one kind of job.

    - At most one job is outstanding; an event with another ticket does not end the outstanding job.
    - A job that found no space is retried after a backoff of `retry_ticks`.
    - `age_ticks` counts the ticks of the try under way; a job in backoff does not age.
    """

    def __init__(self, retry_ticks: int) -> None:
        """Start with no job."""
        self._retry_ticks = retry_ticks
        self._rest_ticks = 0  # until the next try; 0 while a try is under way
        self.ticket = 0
        self.is_outstanding = False
        self.is_full = False  # the outstanding job found no space
        self.age_ticks = 0
        self.is_retry_due = False  # since the last tick: the backoff is over

    @property
    def rests(self) -> bool:
        """Whether the outstanding job waits for its next try."""
        return self._rest_ticks > 0

    def begin(self) -> int:
        """Return the ticket of the next job, which the caller gives to the job's port."""
        self.is_outstanding = True
        self.age_ticks = 0
        return self.interrupt()

    def interrupt(self) -> int:
        """Return a ticket for operations in the middle of the outstanding job."""
        self._rest_ticks = 0
        self.ticket += 1
        return self.ticket

    def owns(self, ticket: int) -> bool:
        """Tell whether `ticket` is the outstanding job's."""
        return self.is_outstanding and ticket == self.ticket

    def end(self) -> None:
        """Note that the outstanding job is done."""
        self.is_outstanding = self.is_full = False
        self.age_ticks = 0

    def run_out(self) -> None:
        """Note that the outstanding job found no space; no part of the job was done."""
        self.is_full = True
        self._rest_ticks = self._retry_ticks
        self.age_ticks = 0

    def tick(self) -> None:
        """Count a tick for the outstanding job's age or backoff."""
        self.is_retry_due = self.is_outstanding and self._rest_ticks == 1
        if self._rest_ticks:
            self._rest_ticks -= 1
        elif self.is_outstanding:
            self.age_ticks += 1
