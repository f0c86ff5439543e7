"""One spelling for what means the same: case, punctuation, contractions, numbers in words."""

import re

_CONTRACTIONS = {
    "what's": "what is",
    "whats": "what is",
    "how's": "how is",
    "i'd": "i would",
    "i'm": "i am",
    "don't": "do not",
    "isn't": "is not",
}
_WORDS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "twenty": "20", "hundred": "100",
}  # fmt: skip
_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})


def normalise(question: str) -> str:
    """Return a question in lower case, with single spaces and without closing punctuation."""
    text = question.translate(_QUOTES).lower().strip()
    for short, full in _CONTRACTIONS.items():
        text = re.sub(rf"\b{re.escape(short)}(?!\w)", full, text)
    text = re.sub(r"[?!;]+|\.(?!\d)|,(?!\d)|:(?!\d)", " ", text)
    words = [_WORDS.get(word, word) for word in text.split()]
    return " ".join(words)
