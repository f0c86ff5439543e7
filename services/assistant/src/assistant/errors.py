"""Why a question has no answer; each becomes a sentence to the person who asks.

- UnresolvedItem: no item is meant, or several could be.
- ForeignWords: the words name no item, so the question was about something else.
- LiteralError (ValueError): a number cannot be meant as it was written.
"""

from collections.abc import Sequence

from inventory_client import Item


class UnresolvedItem(Exception):  # noqa: N818 - it names the fact
    """No item is meant, or several are; the user may choose among `candidates`."""

    def __init__(self, message: str, candidates: Sequence[Item] = ()) -> None:
        """Carry the candidates."""
        super().__init__(message)
        self.candidates = candidates


class ForeignWords(Exception):  # noqa: N818 - it names the fact
    """Words that are in no item's name: the question was not about an item."""

    def __init__(self, words: str) -> None:
        """Carry the words."""
        super().__init__(words)
        self.words = words


class LiteralError(ValueError):
    """A number that cannot be meant as it was written; `args[0]` says why."""
