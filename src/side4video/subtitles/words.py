"""Words of a text, compared without case and accents."""

import re
import unicodedata
from functools import lru_cache

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese. Each character is a word."""
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""Accents and vowel signs, which are no letters for Python, and the scripts of India."""
_LETTERS = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])+"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTERS}(?:['\u2019]{_LETTERS})*")


def find_words(text: str) -> list[tuple[str, int, int]]:
    """Each word of a text in the form that is compared, its first character, and the character after it.

    >>> find_words("Un Café, s'il")
    [('un', 0, 2), ('cafe', 3, 7), ("s'il", 9, 13)]
    """
    return [(compared_form(found[0]), found.start(), found.end()) for found in _WORD.finditer(text)]


@lru_cache(maxsize=65536)
def compared_form(word: str) -> str:
    """A word in lower case, without accents, with plain apostrophes.

    >>> compared_form("Straße"), compared_form("Œuvre’s")
    ('strasse', "œuvre's")
    """
    letters = unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)) or word
