"""Text: which texts are the same, and which are no names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.text import (
    FOLDED_BYTES_PER_CHARACTER_MAX,
    FOLDED_PER_CHARACTER_MAX,
    folded,
    is_blank,
    refused_character,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# Where case, composition and the order of marks meet.
KNOTTY = (
    "aAoOsßİIiΐᾯﬃ \u0131\u03a3\u03c3\u03c2\u0300\u0301\u0308\u0315\u0323\u0345\u1100\u1161\u200d"
)
KNOTS = st.text(st.sampled_from(KNOTTY), max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Öl", "öl"),
        ("ÖL", "O\u0308l"),
        ("Чай", "ЧАЙ"),
        ("Überwurf", "U\u0308BERWURF"),
        ("Cre\u0300me", "CRÈME"),
        ("Straße", "STRASSE"),
        ("ΟΔΟΣ", "οδος"),
        ("\u0130", "i\u0307"),
        ("ᾳ\u0301", "\u1fb4"),
        ("\uac01", "\u1100\u1161\u11a8"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"),
        ("❤\ufe0f", "❤"),
        ("two  \u00a0words", "two\u3000words"),
    ],
)
def test_these_are_the_same(one: str, other: str) -> None:
    """Case, composition, invisible characters and the kind of space tell nothing apart."""
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("Öl", "Ol"), ("Crème", "Creme"), ("²", "2")])
def test_these_are_not_the_same(one: str, other: str) -> None:
    """Accents and compatibility characters do."""
    assert folded(one) != folded(other)


@given(st.text(st.characters(codec="ascii"), max_size=20))
def test_text_of_ascii_has_the_form_that_it_has_in_any_text(text: str) -> None:
    """The shorter way to the form of such a text leads to the same."""
    assert folded(f"é{text}") == f"é{folded(text)}"


@pytest.mark.parametrize("shown", [chr(code) for code in range(0x21, 0x7F)])
def test_every_character_of_ascii_shows_something(shown: str) -> None:
    """Anywhere in a name."""
    assert not is_blank(shown)
    assert not refused_character(f"é {shown} é")
    assert folded(f"é{shown}") == f"é{shown.lower()}"


@given(TEXTS | KNOTS)
def test_a_folded_text_stays_as_it_is(text: str) -> None:
    """And is the same for every form that Unicode holds equivalent."""
    once = folded(text)
    assert folded(once) == once
    assert folded(unicodedata.normalize("NFD", text)) == once
    assert folded(unicodedata.normalize("NFC", text)) == once


@given(TEXTS | KNOTS)
def test_a_folded_text_is_bounded(text: str) -> None:
    """So are the tokens and the keys that hold one."""
    once = folded(text)
    assert len(once) <= FOLDED_PER_CHARACTER_MAX * len(text)
    assert len(once.encode()) <= FOLDED_BYTES_PER_CHARACTER_MAX * len(text)


@pytest.mark.slow
def test_no_character_folds_to_more_than_the_bounds() -> None:
    """Of all that there are."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    decomposed = [unicodedata.normalize("NFD", folded(one)) for one in every]
    assert max(map(len, decomposed)) == FOLDED_PER_CHARACTER_MAX
    assert max(len(one.encode()) for one in decomposed) == FOLDED_BYTES_PER_CHARACTER_MAX


@pytest.mark.parametrize("text", ["", " ", "\u3000", "\u00a0", "\u3164", "\u2800", "\u115f\u1160"])
def test_these_show_nothing(text: str) -> None:
    """White space, fillers, and the Braille cell without dots."""
    assert is_blank(text)


@pytest.mark.parametrize(
    "text",
    [
        "Pen", "Öl", "Чай", "\u0645\u06cc\u200c\u062e", "क्\u200dष", "👨\u200d👩\u200d👧", "❤\ufe0f",
        "10 \u00d7 15 cm", "日本\u3000茶",
    ],
)  # fmt: skip
def test_these_are_names(text: str) -> None:
    """Of every script, and emoji."""
    assert not is_blank(text)
    assert not refused_character(text)


@pytest.mark.parametrize(
    "refused",
    [
        "\0", "\n", "\x7f", "\x85", "\u00ad", "\u200b", "\u200e", "\u2028", "\u2029", "\u202e",
        "\u2060", "\ufeff", "\ud800", "\ufffe", "\ufdd0", "\ue000", "\U000e0041", "\U0010ffff",
        "\u0378",
    ],
)  # fmt: skip
def test_these_have_no_place_in_a_name(refused: str) -> None:
    """Controls, format characters, separators of lines, private and unassigned characters."""
    assert refused_character(f"a{refused}b") == refused


@pytest.mark.parametrize(
    "text", ["\u200dab", "ab\u200c", "a\u200d b", "a \u200cb", "a\u200d\u200cb", "\u200d"]
)
def test_a_joiner_stands_between_two_letters(text: str) -> None:
    """Anywhere else it joins nothing, and only hides."""
    assert refused_character(text) in {"\u200c", "\u200d"}


@pytest.mark.parametrize(
    "name",
    ["Laptop\u3164", "\u3164Laptop", "Lap\u1160top", "Laptop\u2800", "a\u034fb", "a\u17b4",
     "a\u180bb", "a\U000e0100", "\u0301", "\ufe0fx", "Lap\ufe0ftop"],
)  # fmt: skip
def test_what_shows_nothing_is_refused(name: str) -> None:
    """Two names that look the same are one name."""
    assert refused_character(name)


@pytest.mark.parametrize(
    "name", ["❤\ufe0f", "1\ufe0f\u20e3", "葛\U000e0100飾", "ᠠ\u180b", "Cre\u0300me", "한글", "नमस्ते"]
)
def test_what_chooses_a_form_may_stay(name: str) -> None:
    """An emoji, a keycap, a Han or Mongolian letter, an accent."""
    assert not refused_character(name)
