"""What ends a process, or a call that a process serves.

- Exit: ends the process with a status and one line.
  - SecretUnusable: the file of a secret cannot be used; status EXIT_SETTINGS.
  - AddressInUse: an address cannot be listened on; status EXIT_ADDRESS.
- UnparsableRequest: bytes that are no message of the called method; the caller gets INVALID_FIELD.
"""

EXIT_SETTINGS = 2
EXIT_ADDRESS = 6


class Exit(Exception):  # noqa: N818 - an end, not an error
    """Ends the process with a status, and with one clear line unless the message is empty."""

    def __init__(self, status: int, message: str) -> None:
        """Carry the exit status."""
        super().__init__(message)
        self.status = status


class SecretUnusable(Exit):
    """The file of a secret cannot be read, or is empty."""

    def __init__(self, message: str) -> None:
        """Say which file, and what is wrong with the file."""
        super().__init__(EXIT_SETTINGS, message)


class AddressInUse(Exit):
    """An address cannot be listened on."""

    def __init__(self, listen: str, reason: object) -> None:
        """Say which address, and why."""
        super().__init__(EXIT_ADDRESS, f"cannot listen on {listen}: {reason}")


class UnparsableRequest(Exception):  # noqa: N818 - it names the fact
    """Bytes that the called method's message type cannot be parsed from."""
