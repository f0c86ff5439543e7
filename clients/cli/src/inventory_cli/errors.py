"""What ends a command, a prompt or the process before its work is done.

- Terminated (BaseException): SIGTERM arrived, as KeyboardInterrupt says that SIGINT did.
- OutputLost: stdout did not take the output.
- LeftShell, CommandCancelled: what a user says at a prompt of the shell.
- UpError: the system cannot be started by `inventory up`.
"""


class Terminated(BaseException):
    """SIGTERM arrived."""


class OutputLost(Exception):  # noqa: N818 - it names the fact
    """Stdout did not take the output; `done` says what the command did before, if anything.

    It is no OSError, since libraries take an OSError of stdout for the end of the program.
    """

    def __init__(self, error: OSError, done: str = "") -> None:
        """Carry the error of the write, and a sentence without a full stop."""
        super().__init__(error.strerror)
        self.error = error
        self.done = done


class LeftShell(Exception):  # noqa: N818 - the wish to leave
    """The user has had enough."""


class CommandCancelled(Exception):  # noqa: N818 - the wish to do something else
    """The user wants none of this command."""


class UpError(Exception):
    """Why the system cannot be started, in one line."""
