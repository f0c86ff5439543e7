"""Words: enums of text that compare with text, and are checked where they are given.

`UNKNOWN` stands for a missing value, and for a value of a later server that this client does not
know.
"""

import enum
from typing import Self

from google.protobuf.descriptor import EnumDescriptor


class Word(enum.StrEnum):
    """A word with a number on the wire."""

    @classmethod
    def _read(cls, numbers: EnumDescriptor, prefix: str, number: int) -> Self:
        """Return the word of a number; the number's name in the schema is prefix and word."""
        known = numbers.values_by_number.get(number)
        word = known.name.removeprefix(prefix).lower() if known is not None else ""
        return next((one for one in cls if one == word), cls(""))
