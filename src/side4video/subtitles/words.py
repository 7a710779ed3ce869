"""Words of a text, compared without case and accents. Words end at apostrophes: "homme" is a word of "l'homme"."""

import re
import unicodedata
from functools import lru_cache

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese. Each character is a word."""
_VOICED = "\u3099\u309a"
"""Signs that make another letter of a Japanese one, so they are no accents."""
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""Accents and vowel signs, which are no letters for Python, and the scripts of India."""
_UNSEEN = "\u00ad\u200d\u2060"
"""Soft hyphens and joiners inside of words."""
_LETTER = rf"[^\W_{_UNSPACED}\u02b9-\u02bf]|[{_MARKS}]"  # without apostrophes, which Python counts as letters
_WORD = re.compile(rf"[{_UNSPACED}][{_VOICED}\uff9e\uff9f]*|(?:{_LETTER})(?:{_LETTER}|[{_UNSEEN}])*")
_PLAIN = str.maketrans(
    {"œ": "oe", "æ": "ae", "þ": "th"}
    | dict(zip("øłđðħŧı", "olddhti", strict=True))
    | dict(zip("كيى", "کیی", strict=True))  # Arabic keyboards write Persian with these
    | dict.fromkeys(f"{_UNSEEN}\u0640")  # and the line that lengthens Arabic words
)
"""Letters that Unicode does not decompose, and for which many keyboards have no key."""


def find_words(text: str) -> list[tuple[str, int, int]]:
    """Each word of a text in the form that is compared, its first character, and the character after it.

    >>> find_words("Un Café, s'il")
    [('un', 0, 2), ('cafe', 3, 7), ('s', 9, 10), ('il', 11, 13)]
    """
    return [(compared_form(found[0]), found.start(), found.end()) for found in _WORD.finditer(text)]


@lru_cache(maxsize=65536)
def compared_form(word: str) -> str:
    """A word in lower case and without accents.

    >>> compared_form("Straße"), compared_form("Œuvre"), compared_form("Łódź")
    ('strasse', 'oeuvre', 'lodz')
    """
    letters = unicodedata.normalize("NFKD", word.casefold()).translate(_PLAIN)
    kept = "".join(letter for letter in letters if letter in _VOICED or not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", kept) or word
