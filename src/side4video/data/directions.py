"""Directions in the names of classes, which a mirrored clip would contradict: left, right, clockwise."""

import re

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins in camelCase: `Swipe|Left`, `PTZ|Left`."""
_ENDING = r"(?=(wards?|most|hand(ed)?|side)?(?![a-z]))"
_SIDE = re.compile(rf"(?<![a-z])(left|right){_ENDING}", re.IGNORECASE)
_TURN = re.compile(r"(?<![a-z])(((counter|anti)[ _-]?)?clockwise|c?cw)(?![a-z])", re.IGNORECASE)


def mirrored_name(name: str) -> str:
    """The name with left and right exchanged, and with blanks between words of camelCase.

    >>> mirrored_name("SwipeLeft"), mirrored_name("lean rightwards"), mirrored_name("Stand upright")
    ('Swipe right', 'lean leftwards', 'Stand upright')
    """
    return _SIDE.sub(lambda side: "right" if side[0].lower() == "left" else "left", _words(name))


def has_direction(name: str) -> bool:
    """Whether a name contains left, right, clockwise or counter-clockwise as a word.

    >>> has_direction("RotateCounterClockwise"), has_direction("copyright")
    (True, False)
    """
    return any(direction.search(_words(name)) for direction in (_SIDE, _TURN))


def _words(name: str) -> str:
    return _WORD_START.sub(" ", name)
