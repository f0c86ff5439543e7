"""Any text is answered or refused: no question ends in an exception."""

import string
from typing import Any

import pytest
from assistant.errors import LiteralError
from assistant.intent import understand
from assistant.normalise import normalise
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from inventory.v1 import assistant_pb2
from wire import bounds

WORDS = """
items item under over below above between and at most least around for cheap cheapest expensive
top best sellers worst selling low stock of how many much is the price order by quantity desc show
me list laptop keyboard revenue sales total overview restock run out when will days hundred
thousand million five twenty-five half a dozen dollars usd k suggest compare 3 500 79.90 1,500 1.5k
""".split()  # noqa: SIM905 - it is read as text
SQUARED, CUBED, HALF, TWELVE, CIRCLED, IDEOGRAPHIC = "\u00b2\u00b3\u00bd\u216b\u2460\u3007"
ARABIC, FULL_WIDTH = "\u0665\u0660\u0660", "\uff15\uff10\uff10"  # both are 500
# Digits and numbers of other kinds, currencies, quotes and dashes, what shows nothing, odd letters.
ODD = (
    f"{SQUARED}{CUBED}{HALF}{TWELVE}{CIRCLED}{IDEOGRAPHIC}{ARABIC}{FULL_WIDTH}"
    "\u00b9\u2177\u0e53\u0be8\u4e07\U0001d7d8$\u20ac\u00a3\u00a5\u20b9'\"\u2019\u201c\u201d\u2013-,.:;?!%"
    "\u200b\u2028\u00a0\u0130\u1e9e\ufb01\u0345"
)
PARTS = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.sampled_from(ODD + string.digits), min_size=1, max_size=6),
    st.integers(min_value=0).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=12),
)
MADE = st.tuples(st.lists(PARTS, max_size=9), st.sampled_from(["", " "]))
QUESTIONS = st.text(max_size=200) | MADE.map(lambda made: made[1].join(made[0]))
NINES = "9" * 480
EXAMPLES = (
    f"items under {SQUARED} hundred", f"items under {HALF}", f"item {TWELVE}",
    f"items under {ARABIC}", f"items under {FULL_WIDTH}", f"item {SQUARED}", f"top {CUBED} items",
    f"item {NINES}", f"items under {NINES} hundred", f"under 1,5{ARABIC}", f"{ARABIC} hundred",
    f"items between {SQUARED} and {CUBED} hundred", f"items under {CIRCLED}",
    f"{SQUARED} {SQUARED}", f"item {IDEOGRAPHIC}", f"${SQUARED} items",
    f"low stock under {SQUARED}",
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(QUESTIONS | st.text(st.characters(codec=None, categories=["Cs", "Cc", "Nd", "No", "Nl"])))
def test_any_text_is_read_or_refused(text: str) -> None:
    """By the stages that need no inventory; also lone surrogates, which no caller can send."""
    try:
        understand(normalise(text))
    except LiteralError as error:
        assert str(error)  # noqa: PT017 - a refusal is one of the two right ends


@pytest.mark.parametrize("question", EXAMPLES)
def test_digits_of_other_kinds_are_answered_or_refused(asker: Any, question: str) -> None:  # noqa: ANN401 - the fixture
    """In words, and nothing is shown that was not asked for."""
    answer = asker.ask("electronics", "producer", question)
    assert answer.text
    assert answer.understood or not answer.rows


@pytest.mark.slow
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(question=QUESTIONS, role=st.sampled_from(["customer", "producer"]))
@example(question=EXAMPLES[0], role="customer")
def test_any_question_is_answered_or_refused(asker: Any, question: str, role: str) -> None:  # noqa: ANN401 - the fixture
    """By all stages, whoever asks."""
    if bounds.check(assistant_pb2.GetPredictionRequest(question=question)) is None:
        assert asker.ask("electronics", role, question).text
