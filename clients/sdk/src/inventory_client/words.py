"""Words: text that compares with text, and is checked where it is given.

`UNKNOWN` is what was not said, and what a later server says that this client has no word for.
"""

import enum
from typing import Self

from google.protobuf.descriptor import EnumDescriptor


class Word(enum.StrEnum):
    """A word that the wire has a number for."""

    @classmethod
    def _read(cls, numbers: EnumDescriptor, prefix: str, number: int) -> Self:
        """Return the word of a number; the schema's name for it is the prefix and the word."""
        known = numbers.values_by_number.get(number)
        word = known.name.removeprefix(prefix).lower() if known is not None else ""
        return next((one for one in cls if one == word), cls(""))
