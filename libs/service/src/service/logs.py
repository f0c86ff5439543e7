"""Structured logs on stderr: JSON lines for machines, aligned columns for people."""

import contextlib
import logging
import sys
from typing import Literal, TextIO, cast

import structlog


class Losing:
    """A stream that drops lines which cannot be written, on a full disk for instance.

    A log must not end the service that writes it.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a line; drop the line if it cannot be written."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush the written lines; drop them if they cannot be flushed."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure(service: str, level: str = "info", form: Literal["json", "console"] = "json") -> None:
    """Set up logging of a process; each line carries time, level, service and event."""
    structlog.contextvars.bind_contextvars(service=service)
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Losing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
