"""Where an answer turns into another one: at each bound, and one to each side of it."""

from typing import Any

import pytest
from assistant import answers

QUANTITIES = (0, 1, 4, 5, 6, 9, 10, 11)


@pytest.fixture(scope="module")
def shelves(asker: Any) -> Any:  # noqa: ANN401 - the fixture, as the one that is asked for
    """Serve catalogues of 0 to 4 items that are out of stock, and one of levels at every bound."""
    kind = type(asker.goods[0])
    for count in range(5):
        goods = [kind(f"Lamp {number}", 100, 0) for number in range(count)]
        asker.serve(f"lamps {count}", "USD", goods)
    asker.serve("levels", "USD", [kind(f"Level {number}", 100, number) for number in QUANTITIES])
    return asker


@pytest.mark.slow
@pytest.mark.parametrize("count", range(5))
def test_more_than_a_number_begins_one_above_it(
    shelves: Any,  # noqa: ANN401 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    """Of the count, of a list, of what is low and of what is to be restocked."""
    for name in ("COUNTED_MAX", "SHOWN_MAX", "RESTOCKED_MAX"):
        monkeypatch.setattr(answers, name, 3)

    def answer(question: str) -> Any:  # noqa: ANN401 - a response
        return shelves.ask(f"lamps {count}", "producer", question)

    is_over = count > 3
    assert ("more than 3 items" in answer("how many items are there").text) is is_over
    for question, shown in (("restock", 3), ("out of stock", 3), ("top 3 items by price", 3)):
        found = answer(question)
        assert found.understood
        assert len(found.rows) == min(count, shown)
    for question in ("restock", "out of stock"):
        assert ("there are more" in answer(question).text) is is_over


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "levels"),
    [
        ("low stock", (1, 4, 5, 6, 9, 10)),
        ("critical stock", (0, 1, 4, 5)),
        ("out of stock", (0,)),
        ("restock", (0, 1, 4, 5, 6, 9, 10)),
    ],
)
def test_a_level_at_its_bound_belongs_to_it(
    shelves: Any,  # noqa: ANN401 - the fixture
    question: str,
    levels: tuple[int, ...],
) -> None:
    """Low is ten and no more, critical five and no more."""
    found = shelves.ask("levels", "producer", question)
    assert [row.cells[1] for row in found.rows] == [f"Level {number}" for number in levels]
