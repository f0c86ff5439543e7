"""What Prometheus reads of an assistant; docs/metrics.md lists all of it."""

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class QuestionCounts:
    """Counts questions by their results."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self._questions = Counter(
            "inventory_assistant_questions",
            "Questions, by what became of them.",
            ["result"],
            registry=self.registry,
        )
        for result in ("answered", "not_understood", "refused"):
            self._questions.labels(result)
        self._seconds = Histogram(
            "inventory_assistant_question_seconds",
            "From a question to its answer.",
            buckets=SECONDS,
            registry=self.registry,
        )

    def count(self, result: str, seconds: float) -> None:
        """Count a question: answered, not_understood or refused."""
        self._questions.labels(result).inc()
        self._seconds.observe(seconds)
