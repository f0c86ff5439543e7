"""What ends a process, or a call that a process serves.

- Exit: ends the process with a status and one line.
  - SecretUnusable: the file of a secret or a certificate cannot be used; status EXIT_SETTINGS.
  - AddressInUse: an address cannot be listened on; status EXIT_ADDRESS.
- CallRefused: ends a call with a refusal, which its caller gets.
- UnparsableRequest: bytes that are no message of the called method; the caller gets INVALID_FIELD.
"""

from google.rpc import status_pb2

EXIT_SETTINGS = 2
EXIT_ADDRESS = 6


class Exit(Exception):  # noqa: N818 - an end, not an error
    """Ends the process with a status, and with one clear line unless the message is empty."""

    def __init__(self, status: int, message: str) -> None:
        """Carry the exit status."""
        super().__init__(message)
        self.status = status


class SecretUnusable(Exit):
    """The file of a secret or a certificate cannot be read or used, or is open to others."""

    def __init__(self, message: str) -> None:
        """Say which file, and what is wrong with the file."""
        super().__init__(EXIT_SETTINGS, message)


class AddressInUse(Exit):
    """An address cannot be listened on."""

    def __init__(self, listen: str, reason: object) -> None:
        """Say which address, and why."""
        super().__init__(EXIT_ADDRESS, f"cannot listen on {listen}: {reason}")


class CallRefused(Exception):  # noqa: N818 - a value on its way to the caller
    """A call that ends in a refusal."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Carry what the caller gets."""
        super().__init__(status.message)
        self.status = status


class UnparsableRequest(Exception):  # noqa: N818 - it names the fact
    """Bytes that the called method's message type cannot be parsed from."""
