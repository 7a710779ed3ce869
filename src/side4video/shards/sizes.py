"""Sizes as people write them: 1GB, 500 MB, 2GiB."""

import re

_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b)?\s*", re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def parse_bytes(text: str, name: str) -> int:
    """The number of bytes.

    >>> parse_bytes("1.5GB", "max_size"), parse_bytes("64 KiB", "max_size")
    (1500000000, 65536)

    Raises:
        ValueError: the text is no size above 0.
    """
    match = _FORM.fullmatch(text)
    size = 0
    if match is not None:
        unit = (1024 if match[3] else 1000) ** _POWERS[match[2].lower()] if match[2] else 1
        size = round(float(match[1]) * unit)
    if size < 1:
        raise ValueError(f"{name} = {text!r} is no size. Write a number with a unit, such as 500MB or 1GB.")
    return size
