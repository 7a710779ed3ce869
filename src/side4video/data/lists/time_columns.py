"""Find the columns that give start and end of a segment, read them, and refuse columns of unknown times."""

import itertools
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from side4video.data.lists.records import Several, joined_spellings
from side4video.data.lists.segments import parse_seconds
from side4video.data.lists.text_files import first_few

START_COLUMNS = joined_spellings(
    *("start_seconds", "start", "start_time", "time_start", "start_sec", "start_secs", "start_s", "start_timestamp"),
    *("start_ms", "start_time_ms", "start_msec", "start_milliseconds", "begin_ms", "begin_time_ms"),
    *("begin", "begin_seconds", "begin_time", "t_start", "from_seconds", "from_time", "time_from"),
)
END_COLUMNS = joined_spellings(
    *("end_seconds", "end", "end_time", "time_end", "end_sec", "end_secs", "end_s", "end_timestamp"),
    *("end_ms", "end_time_ms", "end_msec", "end_milliseconds", "stop_ms", "stop_time_ms"),
    *(
        "stop",
        "stop_seconds",
        "stop_time",
        "t_end",
        "stop_timestamp",
        "stop_s",
        "stop_sec",
        "to_seconds",
        "to_time",
        "time_to",
    ),
)
START_FRAME_COLUMNS = joined_spellings("start_frame", "frame_start", "begin_frame", "first_frame")
END_FRAME_COLUMNS = joined_spellings("end_frame", "stop_frame", "frame_end", "frame_stop")
FPS_COLUMNS = joined_spellings("fps", "frame_rate")
SEGMENT_COLUMNS = joined_spellings(
    *("segment", "segments", "timestamp", "timestamps", "time", "times", "segment_seconds"),
    *("time_span", "time_range", "time_interval"),
)
"""Start and end in one field, if all fields are such pairs."""
DURATION_COLUMNS = joined_spellings(
    "duration", "duration_seconds", "duration_sec", "duration_secs", "duration_s", "duration_ms"
)
"""Length of a segment, if there is a start and no end."""
TIME_ROLES = ("start", "end", "segment", "duration", "start_frame", "end_frame", "fps")

_UNITS = r"(times?|timestamps?|sec|secs|seconds|ms|msec|millis|frames?|idx|index)"
_LOOKS_LIKE_TIME = re.compile(
    r"(^|[^a-z])(start|begin|end|stop|finish|onset|offset|timestamps?)([^a-z]|$)"
    rf"|(start|begin|end|stop|finish|onset|offset)_?{_UNITS}([^a-z]|$)|(^|[^a-z])(from|to|first|last)_?{_UNITS}([^a-z]|$)"
)
_LOOKS_LIKE_LENGTH = re.compile(r"(^|[^a-z])(duration|dur|length|len)([^a-z]|$)|num_?frames|n_?frames")
_MAY_BE_PAIRS = {*SEGMENT_COLUMNS, "interval", "intervals", "span", "spans", "range", "window", "period"}
_TIME = r"([\d:.]+)"
_COMMA_TIME = r"([\d:]+,\d+)"
_SPANS = (
    re.compile(rf"[\[(]\s*{_TIME}\s*[,;]\s*{_TIME}\s*[\])]"),
    re.compile(rf"{_TIME}(?:\s*[;\u2013-]\s*|,?\s+|\s+to\s+){_TIME}"),
    re.compile(rf"{_COMMA_TIME}(?:\s*[;\u2013-]\s*|\s+|\s+to\s+){_COMMA_TIME}"),
    re.compile(rf"(?=.*[.:]){_TIME},{_TIME}"),  # 1,5 may be one number
)


class Times(NamedTuple):
    """The columns of times by their role, and the unread columns that look like times.

    >>> find_times({}, ["video", "from", "to"], [{"from": "0.5", "to": "2"}]).of_role
    {'start': 'from', 'end': 'to'}
    """

    of_role: dict[str, str]
    unread: list[str]


def find_times(
    found: Mapping[str, str], names: Sequence[str], rows: Iterable[Mapping[str, Any]], *, nested: Sequence[str] = ()
) -> Times:
    """Find columns of times by their content too, and drop redundant ones, such as frame numbers next to seconds.

    Seconds come before frame numbers. A start or an end alone is valid: the segment begins or ends with the file.

    Args:
        found: columns by role, as far as their names show it.
        names: all columns.
        rows: the fields of the rows.
        nested: fields of JSON that cannot be read.
    """
    rows = list(rows)
    of_role = _without_redundant({**found, **_by_content(found, names, rows)})
    is_half = bool(of_role.keys() & {"start", "end", "start_frame", "end_frame"})
    free = [name for name in names if name not in of_role.values()]
    unnamed = _unnamed_times(free, rows, of_role.get("path", ""), is_half)
    unread = [] if _is_complete(of_role) else [
        name
        for name in dict.fromkeys((*names, *nested))
        if name not in of_role.values()
        and (name in unnamed or _looks_like_time(name, rows, name in nested, is_half))
    ]  # fmt: skip
    if {"start", "end_frame"} <= of_role.keys() or {"end", "start_frame"} <= of_role.keys():
        unread += [of_role[role] for role in ("start_frame", "end_frame") if role in of_role]
    unread += [of_role[role] for role in TIME_ROLES if of_role.get(role) in nested]
    return Times(of_role, unread)


def describe_unread(times: Times, source: Path, *, by_flag: bool) -> str:
    """An error about columns that look like times and are not read; `by_flag`: whether --data.columns may name them."""
    known = [f"{role} = {times.of_role[role]!r}" for role in TIME_ROLES if role in times.of_role]
    are_seconds = not known and len(times.unread) == 2 and not any(map(_LOOKS_LIKE_TIME.search, times.unread))
    start, end = times.unread if are_seconds else ("NAME", "NAME")
    remedy = f", or give --data.columns start {shlex.quote(start)} end {shlex.quote(end)}" if by_flag else ""
    return (
        f"{source} has times of unknown meaning: {first_few(times.unread)}; known are {', '.join(known) or 'none'}. "
        f"Name the columns start and end (seconds or h:mm:ss){remedy}. If they are no times of segments, remove them."
    )


def _by_content(found: Mapping[str, str], names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    free = [name for name in names if name not in found.values()]
    known = found.keys() & {"start", "end", "segment", "start_frame", "end_frame"}
    if not known and all(name in free and _all_fields(rows, name, _is_time) for name in ("from", "to")):
        return {"start": "from", "end": "to"}
    pairs = [name for name in SEGMENT_COLUMNS if name in free and _all_fields(rows, name, parse_span)]
    if not known and len(pairs) == 1:
        return {"segment": pairs[0]}
    lengths = [name for name in DURATION_COLUMNS if name in free and _all_fields(rows, name, _is_time)]
    return {"duration": lengths[0]} if known == {"start"} and lengths and "duration" not in found else {}


def _without_redundant(of_role: Mapping[str, str]) -> dict[str, str]:
    roles = of_role.keys()
    out: set[str] = set()
    if "segment" in roles:
        out |= {"start", "end", "duration"}
    if "end" in roles or "start" not in roles:
        out.add("duration")
    if _is_complete({role: name for role, name in of_role.items() if not role.endswith("frame")}):
        out |= {"start_frame", "end_frame"}
    elif {"start_frame", "end_frame"} <= roles:
        out |= {"start", "end"}
    if not (roles - out) & {"start_frame", "end_frame"}:
        out.add("fps")
    return {role: name for role, name in of_role.items() if role not in out}


def _is_complete(of_role: Mapping[str, str]) -> bool:
    whole = ({"segment"}, {"start", "end"}, {"start", "duration"}, {"start_frame", "end_frame"})
    return any(roles <= of_role.keys() for roles in whole)


def _looks_like_time(name: str, rows: Sequence[Mapping[str, Any]], is_nested: bool, is_half: bool) -> bool:
    if _LOOKS_LIKE_TIME.search(name) or (is_half and _LOOKS_LIKE_LENGTH.search(name)):
        return True
    if name in _MAY_BE_PAIRS:
        has_lists = any(isinstance(row.get(name), (list, dict, Several)) for row in rows)
        return is_nested or has_lists or _all_fields(rows, name, parse_span)
    return name in ("from", "to") and _all_fields(rows, name, _is_time)


def _unnamed_times(names: Sequence[str], rows: Sequence[Mapping[str, Any]], path: str, is_half: bool) -> list[str]:
    """Columns with other names whose content seems to be times, as in a table with headers in another language.

    In any list, two or more columns of clock times count as times. In a list with several rows for one file, these do:

    * every column of numbers, if a start without an end is known, or an end without a start;
    * otherwise every column of clock times;
    * otherwise the first two neighbouring columns of numbers whose second is larger in each row, if no file has the
      same pair twice.
    """
    parsed = {name: [parse_seconds(row.get(name)) for row in rows] for name in names}
    known = {name: [value for value in values if value is not None and value >= 0] for name, values in parsed.items()}
    times = {name: values for name, values in known.items() if len(values) == len(rows)}
    files = [row.get(path) for row in rows]
    has_parts = bool(path) and len(set(files)) < len(files)  # lists of captions give no path: they repeat videos anyway
    if has_parts and is_half:
        return list(times)
    clocks = [name for name in times if any(":" in str(row[name]) for row in rows)]
    if len(clocks) > 1 - has_parts:
        return clocks
    for one, other in itertools.pairwise(times) if has_parts else ():
        spans = list(zip(files, times[one], times[other], strict=True))
        if len(set(spans)) == len(spans) and all(start < end for _, start, end in spans):
            return [one, other]
    return []


def _all_fields(rows: Sequence[Mapping[str, Any]], name: str, check: Callable[[Any], object]) -> bool:
    """Whether there is a field that is not empty, and all such fields pass the check."""
    fields = [field for row in rows if (field := row.get(name)) not in (None, "")]
    return bool(fields) and all(map(check, fields))


def _is_time(value: object) -> bool:
    return (seconds := parse_seconds(value)) is not None and not math.isnan(seconds)


def parse_span(value: object) -> tuple[object, object] | None:
    """Start and end in one field of CSV or JSON, as the list writes them; None for anything else.

    >>> parse_span([0.5, 2]), parse_span("[0.5, 2]"), parse_span("0:05-0:10"), parse_span("0:01,5")
    ((0.5, 2), ('0.5', '2'), ('0:05', '0:10'), None)
    """
    if isinstance(value, str) and _is_time(value):
        return None
    if isinstance(value, str):
        pair: Sequence[object] = next(
            (match.groups() for form in _SPANS if (match := form.fullmatch(value.strip()))), ()
        )
    else:
        pair = value if isinstance(value, (list, tuple)) else ()
    return (pair[0], pair[1]) if len(pair) == 2 and all(map(_is_time, pair)) else None


def start_and_end(fields: Mapping[str, Any], of_role: Mapping[str, str]) -> tuple[Any, Any]:
    """Start and end of a row, not parsed yet: `parse_seconds` reports values that are no times.

    >>> start_and_end({"start": "1:00", "duration": "2.5"}, {"start": "start", "duration": "duration"})
    ('1:00', 62.5)
    """
    start, end, segment, duration = (
        _in_seconds(of_role[role], fields.get(of_role[role])) if role in of_role else None
        for role in ("start", "end", "segment", "duration")
    )
    if segment not in (None, ""):
        return parse_span(segment) or (segment, segment)
    length = parse_seconds(duration)
    if length is None or math.isnan(length):
        return start, end if length is None else duration
    return start, (parse_seconds(start) or 0.0) + length


def _in_seconds(column: str, value: Any) -> Any:
    """The value; of a column of milliseconds in seconds, if it is a number."""
    if not re.search(r"(ms|msec|milli(second)?s)$", column):
        return value
    try:
        return float(value) / 1000
    except (TypeError, ValueError):
        return value
