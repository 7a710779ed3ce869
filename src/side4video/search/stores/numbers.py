"""Numbers in metadata and conditions, as people and spreadsheets write them, and values as text."""

import math
import re

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)?(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)

MAX_EXACT = 2**53
"""Whole numbers above it, such as identifiers with 19 digits, lose digits as floating-point numbers."""


def parse_number(text: str) -> float | None:
    """A finite number; None for other text. Numbers with leading zeros, such as 007, are text.

    >>> [parse_number(text) for text in (".50", "1,024", "-1e3", "007", "1,5", "nan", "")]
    [0.5, 1024.0, -1000.0, None, None, None, None]
    """
    if not _NUMBER.fullmatch(text) or not any(map(str.isdigit, re.split("[eE]", text)[0])):
        return None
    number = float(text.replace(",", ""))
    return number if math.isfinite(number) else None


def parse_exact_number(text: str) -> float | None:
    """Like `parse_number`; None for numbers above `MAX_EXACT` with all their digits.

    >>> parse_exact_number("9007199254740992"), parse_exact_number("9,007,199,254,740,993"), parse_exact_number("1e20")
    (9007199254740992.0, None, 1e+20)
    """
    digits = text.replace(",", "").lstrip("+-").partition(".")[0]
    is_too_long = digits.isdecimal() and (len(digits) > len(str(MAX_EXACT)) or int(digits) > MAX_EXACT)
    return None if is_too_long and "e" not in text.lower() else parse_number(text)


def value_text(value: str | float | bool) -> str:
    """A value of metadata as it is shown, and compared in columns of text.

    >>> [value_text(value) for value in (7.0, 1234567.0, 0.25, True, "007")]
    ['7', '1234567', '0.25', 'true', '007']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if value == int(value) and abs(value) <= MAX_EXACT else repr(float(value))
