"""Dates in metadata: values of CSV files, stored as ISO 8601 text, and the periods that conditions name."""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

Order = Literal["ymd", "dmy", "mdy"]

_TIME = r"(?:[ T]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d+)?))?\s*(?P<half>[AaPp][Mm])?)?"
_ISO = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)" + _TIME + r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?)?", re.ASCII
)
_EXIF = re.compile(r"(\d{4}):(\d\d):(\d\d)(?![\d:])", re.ASCII)  # at the start of a field
_NUMERIC = re.compile(r"(?P<a>\d{1,4})(?P<mark>[/.-])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{1,4})" + _TIME, re.ASCII)


class Period(NamedTuple):
    """A period of time, in UTC: `2022` is a year, `2022-05-17` a day, `2022-05-17T10:20` a minute.

    >>> parse_period("2022-02").end.isoformat()
    '2022-03-01T00:00:00'
    """

    start: datetime
    end: datetime  # exclusive


@lru_cache(maxsize=65536)
def parse_period(text: str) -> Period | None:
    """The period of an ISO 8601 date: a year, a month, a day, or a time of a day; None for any other text.

    Times without a zone are UTC.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return None
    try:
        start = datetime(int(match["year"]), int(match["month"] or 1), int(match["day"] or 1)) + _time_of_day(match)
        return Period(start - _zone(match["zone"]), start - _zone(match["zone"]) + _length(match, start))
    except (ValueError, OverflowError):
        return None


def is_date(text: str) -> bool:
    """Whether a stored value is a date: at least year, month and day.

    >>> is_date("2022-05-17"), is_date("2022-05-17T10:20:00"), is_date("2022")
    (True, True, False)
    """
    return len(text) > 7 and parse_period(text) is not None


def read_dates(fields: Sequence[str]) -> tuple[list[str | None], str]:
    """Read a column of dates: each as ISO 8601 text, or None for a field that is no date; and a note on their order.

    ISO dates, `2015/05/17`, `2015:05:17` of cameras, `17.05.2015`, and `5/17/2015` or `17/5/2015`, each with an
    optional time. For the last two the order of day and month is the one that all fields allow. If both or neither is
    possible, no field is a date and the note says so.

    >>> read_dates(["5/6/2015", "5/17/2015 10:20"])
    (['2015-05-06', '2015-05-17T10:20:00'], 'month/day/year')
    >>> read_dates(["5/6/2015"])
    ([None], 'dates such as 5/6/2015 are ambiguous: write 2015-06-05 or 2015-05-06')
    """
    fields = [_EXIF.sub(r"\1-\2-\3", field, count=1) if _EXIF.match(field) else field for field in fields]
    slashed = [field for field in fields if _order(field) is None and _NUMERIC.fullmatch(field)]
    orders: list[Order] = ["mdy", "dmy"]
    possible = [order for order in orders if all(_to_iso(field, order) for field in slashed)]
    if slashed and len(possible) != 1:
        written = " or ".join(iso for order in ("dmy", "mdy") if (iso := _to_iso(slashed[0], order)))
        return [None] * len(
            fields
        ), f"dates such as {slashed[0]} are ambiguous: write {written or 'them as 2015-05-17'}"
    note = {"mdy": "month/day/year", "dmy": "day/month/year"}[possible[0]] if slashed else ""
    return [_to_iso(field, _order(field) or possible[0]) for field in fields], note


def _order(field: str) -> Order | None:
    """The order of year, month and day, if the form of the field tells."""
    match = _NUMERIC.fullmatch(field)
    if match is None or len(match["a"]) == 4:
        return "ymd"
    return "dmy" if match["mark"] == "." else None


def _to_iso(field: str, order: Order) -> str | None:
    if is_date(field) and (period := parse_period(field)):
        return _as_text(period.start, has_time=period.end - period.start < timedelta(days=1))
    match = _NUMERIC.fullmatch(field)
    if match is None:
        return None
    parts = dict(zip(order, (match["a"], match["b"], match["c"]), strict=True))
    if len(parts["y"]) != 4:  # two digits do not tell the century
        return None
    try:
        day = datetime(int(parts["y"]), int(parts["m"]), int(parts["d"]))
        return _as_text(day + _time_of_day(match), has_time=match["hour"] is not None)
    except ValueError:
        return None


def _as_text(moment: datetime, *, has_time: bool) -> str:
    return moment.isoformat(timespec="seconds") if has_time else moment.date().isoformat()


def _time_of_day(match: re.Match[str]) -> timedelta:
    if match["hour"] is None:
        return timedelta(0)
    hour, minute, second = int(match["hour"]), int(match["minute"]), float(match["second"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} is not an hour of a half day.")
        hour = hour % 12 + 12 * (match["half"].lower() == "pm")
    if not (hour < 24 and minute < 60 and second < 60):
        raise ValueError(f"{match[0]} is not a time.")
    return timedelta(hours=hour, minutes=minute, seconds=second)


def _zone(text: str | None) -> timedelta:
    if text is None or text == "Z":
        return timedelta(0)
    return datetime.strptime(text, "%z").utcoffset() or timedelta(0)


def _length(match: re.Match[str], start: datetime) -> timedelta:
    if match["hour"]:
        return timedelta(seconds=1) if match["second"] else timedelta(minutes=1)
    if match["day"]:
        return timedelta(days=1)
    if match["month"]:
        return timedelta(days=monthrange(start.year, start.month)[1])
    return datetime(start.year + 1, 1, 1) - start
