"""The command line as a process: its arguments, its streams, signals, and its exit status."""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from inventory_cli.commands import app
from inventory_cli.errors import OutputLost, Terminated
from inventory_cli.session import EXIT_OUTPUT_LOST, EXIT_USAGE
from inventory_cli.streams import is_text, replace_streams
from inventory_cli.terminal import say

EXIT_SIGNAL = 128  # plus the signal's number, as in shells


def main() -> None:
    """Run the command line of this process."""
    replace_streams()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `inventory` starts
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def _terminate(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once
    raise Terminated


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit status."""
    for argument in arguments:
        if not is_text(argument):
            shown = os.fsencode(argument).decode(errors="backslashreplace")
            say(f"inventory: the argument {shown!r} is not valid UTF-8 text", err=True)
            return EXIT_USAGE
    try:
        status = _status_of(arguments)
        sys.stdout.flush()
    except OutputLost as lost:
        return _lost(lost)
    except Terminated:
        return EXIT_SIGNAL + signal.SIGTERM
    return status


def _status_of(arguments: Sequence[str]) -> int:
    try:
        app(args=list(arguments), prog_name="inventory")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _lost(lost: OutputLost) -> int:
    """Print what was done, although the result is lost; return the exit status.

    A reader that left, as `head` does, is no news, unless something was changed.
    """
    is_broken_pipe = lost.error.errno == errno.EPIPE
    if lost.done:
        say(
            f"inventory: {lost.done}. Its result cannot be written: {lost.error.strerror}", err=True
        )
    elif not is_broken_pipe:
        say(f"inventory: the output cannot be written: {lost.error.strerror}", err=True)
    return EXIT_SIGNAL + signal.SIGPIPE if is_broken_pipe else EXIT_OUTPUT_LOST
