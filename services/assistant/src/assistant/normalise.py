"""One spelling for equal meanings: case, punctuation, contractions, numbers in words."""

import re

from wire.text import folded

_CONTRACTIONS = {
    "what's": "what is",
    "whats": "what is",
    "how's": "how is",
    "i'd": "i would",
    "i'm": "i am",
    "don't": "do not",
    "isn't": "is not",
}
_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""".split()  # noqa: SIM905 - it is read as text
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905 - likewise
_SMALL = {word: number for number, word in enumerate(_UNITS)}
_SMALL |= {word: 10 * number for number, word in enumerate(_TENS, start=2)}
_TEN = 10  # a number after a word of tens is below it
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})


def normalise(question: str) -> str:
    """Return a question folded, with single spaces and without closing punctuation."""
    text = folded(question.translate(_QUOTES)).strip()
    for short, full in _CONTRACTIONS.items():
        text = re.sub(rf"\b{re.escape(short)}(?!\w)", full, text)
    text = re.sub(r"[?!;]+|\.(?!\d)|,(?!\d)|:(?!\d)", " ", text)
    text = re.sub(r"(\w)'s\b", r"\1", text)
    return " ".join(_with_numbers(text.replace("-", " - ").split())).replace(" - ", "-")


def _with_numbers(words: list[str]) -> list[str]:
    """Return words with numbers in digits: "two thousand five hundred" is 2500."""
    done: list[str] = []
    at = 0
    while at < len(words):
        if words[at] == "a" and not _SCALES.keys().isdisjoint(words[at + 1 : at + 2]):
            at += 1
        number, used = _number(words[at:])
        done.append(words[at] if number is None else str(number))
        at += used
    return done


def _number(words: list[str]) -> tuple[int | None, int]:
    """Read the longest number that words begin with; return it and how many words it took.

    If no number is there, one word is passed over.

    A number ends where the next word cannot belong to it: "five six" are two numbers.
    """
    whole, part, at = 0, 0, 0
    room = 1_000  # the next number to be added is below it
    last = 0  # the scale of `whole`: the next one is below it
    if words[0].isascii() and words[0].isdigit() and not _SCALES.keys().isdisjoint(words[1:2]):
        part, at = int(words[0]), 1
    while at < len(words):
        skip = at + (bool(at) and _joins(words[at : at + 3], room))
        word = "".join(words[skip : skip + 1])
        scale = _SCALES.get(word, 0) if skip == at else 0
        if part < scale and (part or not at) and (not last or scale < last):
            part = max(part, 1) * scale
            room = scale
            if word != "hundred":
                whole, part, last = whole + part, 0, scale
        elif word in _SMALL and _SMALL[word] < room and (_SMALL[word] or not at):
            part += _SMALL[word]
            room = _TEN if word in _TENS else 0
        else:
            break
        at = skip + 1
    return (whole + part, at) if at else (None, 1)


def _joins(words: list[str], room: int) -> bool:
    """Tell "twenty-five" and "a hundred and five" from "between a hundred and five hundred"."""
    if words[0] == "-":
        return room == _TEN
    return words[0] == "and" and room >= _SCALES["hundred"] and words[-1] not in _SCALES
