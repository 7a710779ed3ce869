"""Parse the text of SubRip (.srt) and WebVTT (.vtt) files, as programs and people write them."""

import re

from side4video.subtitles.cues import Cue, plain_text

_CLOCK = r"(?:(\d+)\s*:\s*)?(\d{1,2})\s*:\s*(\d{1,2})(?:\s*[.,:]\s*(\d{1,3}))?"
_TIMES = re.compile(rf"^\s*{_CLOCK}\s*-+>\s*{_CLOCK}(?![\d:])")


def parse_subtitles(text: str, *, language: str = "") -> list[Cue]:
    r"""The cues of a SubRip or WebVTT text, in the order of their times.

    Hours may be missing, and a comma or a point may separate milliseconds. Numbers, names, positions, notes and style
    sheets are left out, and so are cues without text. Cues may overlap. A cue that ends before it starts has no length.

    >>> cues = parse_subtitles("2\n00:02,5 --> 00:04.000\n<i>Two</i>\n\n1\n0:00:01,000 --> 0:00:02,000\nOne\nline\n")
    >>> [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues]
    [(1.0, 2.0, 'One line'), (2.5, 4.0, 'Two')]
    """
    text = text.lstrip("\ufeff \n\r\t")
    is_webvtt = text.startswith("WEBVTT")
    cues: list[tuple[float, float, list[str]]] = []
    is_open = False  # whether lines belong to the last cue
    for line in re.split(r"\r\n|\r|\n", text):
        if (found := _TIMES.match(line)) is not None:
            if cues and cues[-1][2] and cues[-1][2][-1].strip().isdigit() and not is_webvtt:
                cues[-1][2].pop()  # the number of this cue, without or with an empty line before it
            start = _seconds(*found.groups()[:4])
            cues.append((start, max(start, _seconds(*found.groups()[4:])), []))
            is_open = True
        elif is_webvtt and not line.strip():
            is_open = False  # notes, styles and names follow
        elif is_open:
            cues[-1][2].append(line)
    plain = (Cue(start, end, plain_text("\n".join(lines)), language) for start, end, lines in cues)
    return sorted(cue for cue in plain if cue.text)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return whole + (float(f"0.{fraction}") if fraction else 0.0)
