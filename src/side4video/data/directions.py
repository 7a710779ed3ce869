"""Directions in the names of classes, which change in a mirrored clip: left and right, clockwise and anticlockwise."""

import re

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins in camelCase: `Swipe|Left`, `PTZ|Left`."""
_ENDING = r"(?=(wards?|most|hand(ed)?|side)?(?![a-z]))"
_SIDE = re.compile(rf"(?<![a-z])(left|right){_ENDING}", re.IGNORECASE)
_TURN = re.compile(r"(?<![a-z])(((counter|anti)[ _-]?)?clockwise|c?cw)(?![a-z])", re.IGNORECASE)

_TURNS = ("clockwise", "anticlockwise")


def plain_name(name: str) -> str:
    """The name in lower case, with blanks between words of camelCase and one spelling of clockwise and anticlockwise.

    >>> plain_name("TurnCounter-Clockwise"), plain_name("rotate CW"), plain_name("Stand upright")
    ('turn anticlockwise', 'rotate clockwise', 'stand upright')
    """
    return _TURN.sub(lambda turn: _TURNS[not _is_clockwise(turn)], _words(name).lower())


def mirrored_name(name: str) -> str:
    """The `plain_name` of what a mirrored clip shows: left and right, clockwise and anticlockwise are exchanged.

    >>> mirrored_name("SwipeLeft"), mirrored_name("lean rightwards"), mirrored_name("turn CCW")
    ('swipe right', 'lean leftwards', 'turn clockwise')
    """
    turned = _TURN.sub(lambda turn: _TURNS[_is_clockwise(turn)], plain_name(name))
    return _SIDE.sub(lambda side: "right" if side[0] == "left" else "left", turned)


def has_direction(name: str) -> bool:
    """Whether a name contains left, right, clockwise or counter-clockwise as a word.

    >>> has_direction("RotateCounterClockwise"), has_direction("copyright")
    (True, False)
    """
    return any(direction.search(_words(name)) for direction in (_SIDE, _TURN))


def _is_clockwise(turn: re.Match[str]) -> bool:
    return turn[0].lower() in ("clockwise", "cw")


def _words(name: str) -> str:
    return _WORD_START.sub(" ", name)
