"""Moments as subtitles, which video players show over the film: WebVTT and SubRip (SRT)."""

import html
from collections.abc import Iterable
from pathlib import Path

from side4video.atomic_files import write_text
from side4video.moments.moment import Moment


def write_webvtt(path: Path, moments: Iterable[Moment]) -> None:
    """Write WebVTT (W3C): browsers show it as a `<track>`, and most players if it is next to the film.

    >>> write_webvtt(Path("film.vtt"), [Moment(Path("film.mp4"), 1.0, 2.5, "clockwise", 0.9)])
    >>> print(Path("film.vtt").read_text())
    WEBVTT
    <BLANKLINE>
    00:00:01.000 --> 00:00:02.500
    clockwise 90 %
    <BLANKLINE>
    """
    cues = (f"\n{_times(moment, '.')}\n{html.escape(_text(moment), quote=False)}\n" for moment in moments)
    write_text(path, "WEBVTT\n" + "".join(cues))


def write_srt(path: Path, moments: Iterable[Moment]) -> None:
    """Write SubRip: numbered cues, times with a comma.

    >>> write_srt(Path("film.srt"), [Moment(Path("film.mp4"), 3601.0, 3602.5, "clockwise", 0.9)])
    >>> print(Path("film.srt").read_text())
    1
    01:00:01,000 --> 01:00:02,500
    clockwise 90 %
    <BLANKLINE>
    <BLANKLINE>
    """
    cues = (f"{number}\n{_times(moment, ',')}\n{_text(moment)}\n\n" for number, moment in enumerate(moments, start=1))
    write_text(path, "".join(cues))


def _text(moment: Moment) -> str:
    name = " ".join(moment.name.split()).replace("-->", "→")  # an arrow or an empty line would end the cue
    return f"{name} {moment.score:.0%}".replace("%", " %")


def _times(moment: Moment, mark: str) -> str:
    return f"{_clock(moment.start_seconds, mark)} --> {_clock(moment.end_seconds, mark)}"


def _clock(seconds: float, mark: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"
