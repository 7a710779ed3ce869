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
    write_text(path, webvtt_text((moment.start_seconds, moment.end_seconds, _text(moment)) for moment in moments))


def webvtt_text(cues: Iterable[tuple[float, float, str]]) -> str:
    r"""WebVTT of cues: start and end in seconds, and the text in one line.

    >>> webvtt_text([(1.0, 2.5, "salt & pepper")])
    'WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nsalt &amp; pepper\n'
    """
    return "WEBVTT\n" + "".join(
        f"\n{_times(start, end, '.')}\n{html.escape(_plain(text), quote=False)}\n" for start, end, text in cues
    )


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
    cues = (
        f"{number}\n{_times(moment.start_seconds, moment.end_seconds, ',')}\n{_text(moment)}\n\n"
        for number, moment in enumerate(moments, start=1)
    )
    write_text(path, "".join(cues))


def _text(moment: Moment) -> str:
    return f"{_plain(moment.name)} {moment.score:.0%}".replace("%", " %")


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("-->", "→")  # an arrow or an empty line would end the cue


def _times(start_seconds: float, end_seconds: float, mark: str) -> str:
    return f"{_clock(start_seconds, mark)} --> {_clock(end_seconds, mark)}"


def _clock(seconds: float, mark: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"
