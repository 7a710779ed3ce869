"""The parts of subtitles, with their text and time."""

import html
import re
from dataclasses import dataclass

_TAGS = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")  # HTML and WebVTT, times inside a cue, ASS


@dataclass(frozen=True, order=True)
class Cue:
    """A part of subtitles.

    Attributes:
        start_seconds: when it appears, counted from the first frame.
        end_seconds: when it disappears.
        text: plain text in one line.
        language: as in the file name or the track, such as "en" or "pt-BR"; empty: unknown.

    >>> Cue(1.0, 2.5, "A dog barks.", "en").text
    'A dog barks.'
    """

    start_seconds: float
    end_seconds: float
    text: str
    language: str = ""


def plain_text(text: str) -> str:
    r"""Text without formatting, in one line.

    >>> plain_text("<i>Salt</i> &amp; {\\an8}pepper,<br>\n5 < 6 <3")
    'Salt & pepper, 5 < 6 <3'
    """
    text = re.sub(r"<br\s*/?>|\\[Nnh]", " ", text, flags=re.IGNORECASE)
    return " ".join(html.unescape(_TAGS.sub("", text)).replace("\0", "").split())
