"""Segments of long files: the times in lists, overlaps, and how a list is summed up."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeGuard

_CLOCK = re.compile(r"(?:(\d{1,4}):(?=[0-5]\d:))?(\d{1,4}):([0-5]\d(?:\.\d*)?)")
"""[h:]m:ss[.s]"""
_DECIMAL_COMMA = re.compile(r"(-?[\d:]*\d),(\d+)")
THOUSANDS = re.compile(r"-?\d{1,3},\d{3}")
"""1,234 may be 1.234 or 1234."""
TIME_FORMS = "seconds, m:ss or h:mm:ss, such as 83.5, 1:23.5 or 0:01:23.5"
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)\s*"
_WITH_UNITS = re.compile(
    rf"(?:{_NUMBER}h(?:(?:ou)?rs?)?\s*)?(?:{_NUMBER}m(?:in(?:ute)?s?)?\s*)?(?:{_NUMBER}s(?:ec(?:ond)?s?)?\s*)?"
    rf"(?:{_NUMBER}(?:ms|msec|milliseconds?))?",
    re.IGNORECASE,
)
_UNIT_SECONDS = (3600.0, 60.0, 1.0, 0.001)
_DAYS = re.compile(r"(\d{1,5}) days? (?=\d+:)")
"""`0 days 00:01:02`, as pandas writes lengths of time."""
_MISSING = frozenset({"", "nan", "nat", "none", "null", "n/a", "#n/a", "<na>", "-"})


class Segment(Protocol):
    """The part of a video file from `start_seconds` until before `end_seconds`, as line `line` of a list states it.

    >>> from side4video.data.lists.annotations import LabelledVideo
    >>> segment: Segment = LabelledVideo(Path("film.mp4"), 0, "film.mp4", start_seconds=5.0, end_seconds=7.5, line=3)
    >>> segment.end_seconds - segment.start_seconds
    2.5
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def name(self) -> str:
        """Its name in the list."""

    @property
    def start_seconds(self) -> float | None:
        """None: the start of the file."""

    @property
    def end_seconds(self) -> float | None:
        """None: the end of the file."""

    @property
    def line(self) -> int | None:
        """Counted from 1; None: unknown."""


def parse_seconds(value: object) -> float | None:
    """A time of a list in seconds; None if it is missing, NaN if it is no time.

    A comma before decimals is read as a point, unless it may separate thousands.

    >>> parse_seconds("1:02:03.5"), parse_seconds("2:05"), parse_seconds(75), parse_seconds(""), parse_seconds("1:75")
    (3723.5, 125.0, 75.0, None, nan)
    >>> parse_seconds("0:00:01,500"), parse_seconds("2,5"), parse_seconds("1,500")
    (1.5, 2.5, nan)
    >>> parse_seconds("1m 20.5s"), parse_seconds("500 ms"), parse_seconds("0 days 00:00:01.5"), parse_seconds("NaT")
    (80.5, 0.5, 1.5, None)

    Args:
        value: a number of seconds, or text in one of `TIME_FORMS` or with units.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
        return None
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return math.nan
    if isinstance(value, str) and not THOUSANDS.fullmatch(value.strip()):
        value = _DECIMAL_COMMA.sub(r"\1.\2", value) if _DECIMAL_COMMA.fullmatch(value.strip()) else value
    days = _DAYS.match(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and days:
        return int(days[1]) * 86_400 + (parse_seconds(_DAYS.sub("", value.strip(), count=1)) or 0.0)
    if isinstance(value, str) and (units := _WITH_UNITS.fullmatch(value.strip())):
        numbers = zip(units.groups(), _UNIT_SECONDS, strict=True)
        return sum(float(number) * seconds for number, seconds in numbers if number)
    if isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        hours, minutes, seconds = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    try:
        return float(value) if math.isfinite(float(value)) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def is_span(value: object) -> TypeGuard[list[float]]:
    """Whether a value of JSON is a pair of numbers.

    >>> is_span([0.5, 2]), is_span([1, "2"]), is_span([1])
    (True, False, False)
    """
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(time, (int, float)) and not isinstance(time, bool) and math.isfinite(time) for time in value)
    )


def is_segment(video: Segment) -> bool:
    """Whether a list gives a start or an end."""
    return video.start_seconds is not None or video.end_seconds is not None


def describe_segment(video: Segment) -> str:
    """Name, times and line, for messages.

    >>> from side4video.data.lists.annotations import LabelledVideo
    >>> describe_segment(LabelledVideo(Path("film.mp4"), 0, "film.mp4", 5.0, 7.5, line=3))
    'film.mp4 from 5.0 to 7.5 (line 3)'
    """
    line = "" if video.line is None else f" (line {video.line})"
    return f"{video.name} from {video.start_seconds} to {video.end_seconds}{line}"


def overlap_in_time(one: Segment, other: Segment) -> bool:
    """Whether two parts of one file overlap in time; a part without a start or an end reaches to that of the file."""
    starts = [video.start_seconds or 0.0 for video in (one, other)]
    ends = [math.inf if video.end_seconds is None else video.end_seconds for video in (one, other)]
    return max(starts) < min(ends)


def overlapping(videos: Sequence[Segment]) -> Iterator[tuple[int, int]]:
    """Positions of segments that overlap in time with an earlier one of the same file, and of that one.

    Equal segments are not yielded, nor are whole files. Each segment comes once, with the one that ends last.
    """
    by_file: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for place, video in enumerate(videos):
        if is_segment(video):
            start, end = video.start_seconds, video.end_seconds
            by_file[str(video.path)].append((start or 0.0, math.inf if end is None else end, place))
    for segments in by_file.values():
        segments.sort()
        longest = segments[0]
        for segment in segments[1:]:
            if segment[0] < longest[1] and segment[:2] != longest[:2]:
                yield segment[2], longest[2]
            longest = max(longest, segment, key=lambda each: each[1])


def describe_parts(videos: Sequence[Segment]) -> str | None:
    """How many segments of how many files a list has; None if it has no segments.

    >>> from side4video.data.lists.annotations import LabelledVideo
    >>> film = Path("film.mp4")
    >>> describe_parts([LabelledVideo(film, 0, "film", 0.0, 5.0), LabelledVideo(film, 1, "film", 5.0, 9.5)])
    '2 segments of 1 file, 9.5 s in all'
    """
    segments = [video for video in videos if is_segment(video)]
    if not segments:
        return None
    files = len({str(video.path) for video in segments})
    ends = [video.end_seconds for video in segments]
    whole = "" if len(segments) == len(videos) else f", and {len(videos) - len(segments)} whole videos"
    lengths = [end - (video.start_seconds or 0.0) for video, end in zip(segments, ends, strict=True) if end is not None]
    length = f", {sum(lengths):,.1f} s in all" if len(lengths) == len(segments) else ""
    return f"{len(segments)} segment{'s' * (len(segments) != 1)} of {files} file{'s' * (files != 1)}{length}{whole}"
