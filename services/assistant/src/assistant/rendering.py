"""Answers as text and rows. Amounts are written with their currency, counts with commas."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inventory.v1 import assistant_pb2
from inventory_client import Item

EXAMPLES = (
    "show items under 500",
    "check item 2",
    "how many days until item 2 is out of stock",
    "low stock",
    "suggest me cheap items",
    "top 3 items by sales",
)
ITEM_COLUMNS = ("id", "name", "price", "quantity")


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer before it goes out."""

    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def response(
        self, query: str, revision: int, *, understood: bool = True
    ) -> assistant_pb2.GetPredictionResponse:
        """Return the answer for the wire."""
        return assistant_pb2.GetPredictionResponse(
            text=self.text,
            columns=self.columns,
            rows=[assistant_pb2.AnswerRow(cells=cells) for cells in self.rows],
            query=query,
            revision=revision,
            understood=understood,
        )


def items(found: Iterable[Item], text: str) -> Rendered:
    """Return items as rows."""
    rows = tuple((str(item.id), item.name, str(item.price), f"{item.quantity:,}") for item in found)
    return Rendered(text, ITEM_COLUMNS if rows else (), rows)


def plural(count: int, word: str) -> str:
    """Return "1 item" or "3 items"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def examples() -> str:
    """Return what can be asked, as one sentence."""
    return "You can ask: " + "; ".join(f'"{one}"' for one in EXAMPLES) + "."


def not_understood(words: Iterable[str] = ()) -> Rendered:
    """Say that a question is not understood, with the words at fault and examples."""
    what = " and ".join(f'"{word}"' for word in words) or "the question"
    return Rendered(f"I did not understand {what}. {examples()}")


def candidates(message: str, found: Sequence[Item]) -> Rendered:
    """Ask which of several items is meant."""
    return items(found, message)
