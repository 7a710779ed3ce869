"""Numbers in metadata and conditions, as people and spreadsheets write them."""

import math
import re

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)?(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)


def parse_number(text: str) -> float | None:
    """A finite number; None for other text. Numbers with leading zeros, such as 007, are text.

    >>> [parse_number(text) for text in (".50", "1,024", "-1e3", "007", "1,5", "nan", "")]
    [0.5, 1024.0, -1000.0, None, None, None, None]
    """
    if not _NUMBER.fullmatch(text) or not any(map(str.isdigit, re.split("[eE]", text)[0])):
        return None
    number = float(text.replace(",", ""))
    return number if math.isfinite(number) else None
