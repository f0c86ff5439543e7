"""Which passwords are refused when they are set (NIST SP 800-63B, section 5.1.1.2).

The length is a bound of the schema. Nothing is asked of the kinds of characters, and no password
expires. Refused is what is guessed first: the user's name, one character again and again, rows of
digits, and the words of `common_passwords.txt`, with whatever digits and signs stand around them.
"""

from functools import cache
from importlib.resources import files

from wire.text import folded, is_blank

COMMON = "common_passwords.txt"
ROWS = ("01234567890123456789", "98765432109876543210", "11223344556677889900")
LOOK_ALIKES = str.maketrans("0134$5@7", "oieassat")


@cache
def common_words() -> frozenset[str]:
    """Return the words that are in many passwords."""
    lines = files("gateway").joinpath(COMMON).read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def problem_of(password: str, username: str) -> str | None:
    """Return why a password may not be set for a user; continues "the password"."""
    text = folded(password).strip()
    word = _word(text)
    if is_blank(password) or len(set(text)) <= 1:
        return "must not be blank, nor one character again and again"
    name = folded(username)
    if name and (name in {text, word} or _word(name) == word != ""):
        return "must not be the name of its user"
    if any(text in row for row in ROWS) or _repeats(text):
        return "must not be a row of digits, nor a few characters again and again"
    if word in common_words() or word.translate(LOOK_ALIKES) in common_words():
        return "is one of those that are guessed first"
    return None


def _word(text: str) -> str:
    """Return a text without the digits and signs before and behind its letters."""
    letters = [place for place, one in enumerate(text) if one.isalpha()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


def _repeats(text: str) -> bool:
    """Tell whether a text is a short piece again and again, such as "12121212"."""
    return any(
        len(text) % length == 0 and text == text[:length] * (len(text) // length)
        for length in range(1, len(text) // 2 + 1)
    )
