"""Structured logs on stderr: JSON lines for machines, aligned columns for people."""

import contextlib
import logging
import sys
from pathlib import Path
from typing import Literal, TextIO, cast

import structlog

from service.log_files import RotatedFile


class Losing:
    """A stream that drops lines which cannot be written, on a full disk for instance.

    A log must not end the service that writes it.
    """

    def __init__(self, stream: TextIO, file: RotatedFile | None = None) -> None:
        """Write to `stream`, which ends in `file`; None: in something that nobody rotates."""
        self._stream = stream
        self._file = file
        self._unflushed = 0

    def write(self, text: str) -> None:
        """Write a line; drop the line if it cannot be written."""
        self._unflushed += len(text)
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush the written lines; drop them if they cannot be flushed."""
        with contextlib.suppress(OSError):
            self._stream.flush()
            if self._file is not None:
                size, self._unflushed = self._unflushed, 0
                self._file.wrote(size)


def configure(
    service: str,
    level: str = "info",
    form: Literal["json", "console"] = "json",
    file: Path | None = None,
) -> None:
    """Set up logging of a process; each line carries time, level, service and event.

    `file`: where stderr is redirected, if this process is to rotate it.
    """
    rotated = RotatedFile(file) if file is not None else None
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
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Losing(sys.stderr, rotated))),
        cache_logger_on_first_use=True,
    )
