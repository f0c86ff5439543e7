"""Text: the one form in which texts are compared, and the characters that a name may hold.

Two texts count as the same if Unicode says so whatever their case and encoding: "Öl", "ÖL" and the
"Öl" that is an O with a combining mark. `folded` gives such texts one form: full case folding of
the canonical decomposition, composed again (Unicode 3.13, D145, in NFC). Characters that show
nothing are left out, and each run of white space becomes one space. Text is stored as it came, and
compared by this form alone.

The form of a text of assigned characters is the same in every later version of Unicode (its
stability policies of normalization and of case folding). So a name may not hold a character that is
not assigned. Processes with other versions of Unicode then agree about each name that was taken.
"""

import re
import unicodedata

FOLDED_PER_CHARACTER_MAX = 4  # characters from one character, at most
FOLDED_BYTES_PER_CHARACTER_MAX = 12  # of UTF-8

# Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties): characters that show nothing alone.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_IGNORED = re.compile(f"[{_IGNORABLE}]+")
_SPACES = re.compile(r"\s+")
# Characters that show nothing and have no use in a name. A variation selector chooses a form of an
# emoji, of a Han or Mongolian letter, or of a keycap ("#", "*", a digit). Behind other ASCII a
# variation selector has no use.
_FILLER = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")
_STRAY_SELECTOR = re.compile(
    '(?:^|[\\s!"$-)+-/:-~])[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]'
)
_BLANK = re.compile(rf"[\s\u2800{_IGNORABLE}]*")  # U+2800 is the Braille cell without dots
# Control, format, surrogate, private use, not assigned; separators of lines and paragraphs.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Persian, Kurdish and the scripts of India cannot be spelt without the non-joiner and the joiner.
# Emoji of several parts need the joiner, too.
_JOINERS = "\u200c\u200d"
_STRAY_JOINER = re.compile(rf"(?:^|[\s{_JOINERS}])[{_JOINERS}]|[{_JOINERS}](?:$|\s)")


def folded(text: str) -> str:
    """Return the form by which a text is compared, sorted and searched."""
    if text.isascii():
        return _SPACES.sub(" ", text.lower())
    decomposed = unicodedata.normalize("NFD", text).casefold()
    composed = unicodedata.normalize("NFC", _IGNORED.sub("", decomposed))
    return _SPACES.sub(" ", composed)


def is_blank(text: str) -> bool:
    """Tell whether a text shows nothing."""
    return _BLANK.fullmatch(text) is not None


def refused_character(text: str) -> str:
    """Return the first character that a line of text may not hold, or an empty string."""
    if text.isascii() and text.isprintable():
        return ""
    if unicodedata.combining(text[0]):
        return text[0]
    for character in text:
        is_refused = unicodedata.category(character) in _REFUSED_CATEGORIES
        if is_refused and character not in _JOINERS:
            return character
    stray = _FILLER.search(text) or _STRAY_SELECTOR.search(text) or _STRAY_JOINER.search(text)
    return stray[0].strip()[-1] if stray is not None else ""
