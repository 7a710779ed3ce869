"""Conditions of filters as the command line reads them."""

import contextlib
import os
import time
import unicodedata
from datetime import date, datetime

import pytest

from side4video.search.metadata import column_types
from side4video.search.stores import filters
from side4video.search.stores.dates import Period
from side4video.search.stores.filter_matching import fulfils, make_test
from side4video.search.stores.filters import (
    MAX_CONDITION_LENGTH,
    Condition,
    Filter,
    parse_condition,
    parse_filter,
    write_condition,
)
from side4video.search.stores.records import IndexedFile

COLUMNS = {"camera": str, "indoor": bool, "shot_on": date, "year": float}
VALUES = {"camera": {"north", "north gate", "7", "south"}, "year": {2019.0, 2020.0}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camera=north", ("camera", "=", "north")),
        ("camera = north gate ", ("camera", "=", "north gate")),
        ("camera!=north", ("camera", "!=", "north")),
        ("camera~NOR", ("camera", "~", "NOR")),
        ("camera=007", ("camera", "=", "007")),
        ("camera=a=b", ("camera", "=", "a=b")),
        ("year>=2020", ("year", ">=", 2020.0)),
        ("year<1e3", ("year", "<", 1000.0)),
        ("Year<=2020.5", ("year", "<=", 2020.5)),
        ("indoor=True", ("indoor", "=", True)),
        ("indoor!=no", ("indoor", "!=", False)),
        ("year>=1,024", ("year", ">=", 1024.0)),
        ("Shot on>2024-05-01", ("shot_on", ">", Period(datetime(2024, 5, 1), datetime(2024, 5, 2)))),
        ('"Shot on" = 2024-12', ("shot_on", "=", Period(datetime(2024, 12, 1), datetime(2025, 1, 1)))),
        ("camera='north gate'", ("camera", "=", "north gate")),
        ('camera="a ""b"" AND year>1"', ("camera", "=", 'a "b" AND year>1')),
    ],
)
def test_conditions(text, expected):
    condition = parse_condition(text, COLUMNS)
    assert condition == Condition(*expected)
    assert type(condition.value) is type(expected[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("camera", r"'camera' is not a condition: one of = .* is missing \(character 7\). Write a column, one of"),
        ("camera=", "is not a condition"),
        ("=north", "is not a condition"),
        ("camra=north", "there is no column 'camra'. Did you mean 'camera'. Columns: camera, indoor, shot_on, year"),
        ("weather=rain", "there is no column 'weather'. Columns: camera"),
        ("year>=north", "year is a column of numbers, and 'north', at character 7, is not a number"),
        ("year>=nan", "'nan', at character 7, is not a number"),
        (
            "shot_on>5/17/2015",
            "dates such as 2024-05-17, 2024-05 or 2024, and '5/17/2015', at character 9, is not a date",
        ),
        ("camera==north", r"'=' is too much after '='; quote a value \(character 8\)"),
        ("camera=>north", r"'>' is too much after '='.*character 8"),
        ('camera="north', r"a quote is open \(character 8\)"),
        ("camera='north' gate", "text follows a quote"),
        ("", "a column is missing"),
        ("  'camera ", "a column is missing"),
        ("camera =  ", "a value is missing"),
        ("camera north", r"one of = != < <= > >= ~ is missing \(character 13\)"),
        ("camera>=north", "camera is a column of text, and text has no order"),
        ("year=2019 AND camera=north", "'AND camera=' is a second condition"),
        ("year~20", "year is not a column of text"),
        ("indoor=maybe", "indoor is true or false"),
        ("indoor<true", "indoor is true or false"),
    ],
)
def test_invalid_conditions_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_condition(text, COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        " " * 60_000 + '"',
        "camera" + " " * 60_000 + '"',
        "camera=b" + " " * 60_000 + "c",
        "camera=" + '"' * 60_001,
        "camera=" + " and" * 15_000,
        "camera= and" + " " * 60_000,
    ],
)
def test_the_time_grows_linearly_with_the_text(text):
    started = time.process_time()
    with contextlib.suppress(ValueError):
        filters._split(text)
    filters._joined(text)
    assert time.process_time() - started < 20  # with backtracking: minutes to years


def test_long_conditions_are_refused():
    assert parse_condition("camera~" + "x" * (MAX_CONDITION_LENGTH - 7), COLUMNS).operator == "~"
    with pytest.raises(ValueError, match=r"has 2,001 characters; the maximum is 2,000\. Use COLUMN~PART"):
        parse_condition("camera~" + "x" * (MAX_CONDITION_LENGTH - 6), COLUMNS)


def test_videos_without_metadata():
    with pytest.raises(ValueError, match=r"the videos have no metadata\. Index them again with --metadata"):
        parse_condition("camera=north", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("camera=North", "no video has camera 'North'. Did you mean 'north'"),
        ("camera!=nroth", "no video has camera 'nroth'. Did you mean 'north'"),
        ("camera=east wing", "Values are '7', 'north', 'north gate'"),
        ("camera=north,south", "no video has camera 'north,south'"),
        ("camera=north AND year>1", "'AND year>' is a second condition"),
        (
            "camera<south",
            "camera is a column of text, because of 'north', 'north gate', 'south', and text has no order",
        ),
    ],
)
def test_texts_that_no_video_has_are_errors(text, message):
    with pytest.raises(ValueError, match=message):
        parse_condition(text, COLUMNS, VALUES)


def test_texts_that_a_video_has_and_parts_of_texts():
    assert parse_condition("camera=north gate", COLUMNS, VALUES).value == "north gate"
    assert parse_condition("camera~gate 9", COLUMNS, VALUES).value == "gate 9"
    assert parse_condition("year=1999", COLUMNS, VALUES).value == 1999.0


@pytest.mark.parametrize("value", ["north", "a b", 'say "x"', "it's", "=x", " <", "a AND b=c", "ü", "1,5"])
@pytest.mark.parametrize("column", ["camera", "a=b"])
def test_written_conditions_are_read_back(column, value):
    assert parse_condition(write_condition(column, "~", value), {column: str}) == Condition(column, "~", value)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("shot_on<2015-05-17", ["2015-05-16"]),
        ("shot_on<=2015-05-17", ["2015-05-16", "2015-05-17", "2015-05-17T23:59:59"]),
        ("shot_on=2015-05-17", ["2015-05-17", "2015-05-17T23:59:59"]),
        ("shot_on!=2015-05-17", ["2015-05-16", "2015-06-01", "2022-01-01"]),
        ("shot_on>2015-05", ["2015-06-01", "2022-01-01"]),
        ("shot_on>=2022", ["2022-01-01"]),
        ("shot_on>2015-05-17T12:00", ["2015-05-17T23:59:59", "2015-06-01", "2022-01-01"]),
    ],
)
def test_dates_are_compared_with_whole_periods(condition, expected):
    days = ["2015-05-16", "2015-05-17", "2015-05-17T23:59:59", "2015-06-01", "2022-01-01"]
    condition = parse_condition(condition, COLUMNS)
    assert [day for day in days if fulfils({"shot_on": day}, condition)] == expected
    assert not fulfils({}, condition)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("camera=7", [7.0, "7"]),
        ("camera!=7", ["north", True, 1234567.0]),
        ("camera=1234567", [1234567.0]),
        ("camera~345", [1234567.0]),
        ("camera=true", [True]),
        ("camera=north", ["north"]),
    ],
)
def test_a_column_with_numbers_and_text_is_compared_as_text(condition, expected):
    values = [7.0, "7", "north", True, 1234567.0]
    columns = column_types({"camera": value} for value in values)
    parsed = parse_condition(condition, columns, {"camera": set(values)})
    assert [value for value in values if fulfils({"camera": value}, parsed)] == expected
    with pytest.raises(ValueError, match=r"no video has camera '7\.0'. Values are .*'7'"):
        parse_condition("camera=7.0", columns, {"camera": set(values)})


@pytest.mark.parametrize(("on_disk", "given"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_unicode_forms_of_paths_and_texts_are_equal(on_disk, given):
    path, folder = unicodedata.normalize(on_disk, "/videos/Café/a.mp4"), unicodedata.normalize(given, "/videos/Café")
    file = IndexedFile(path, content="", size=1, modified=0, duration_seconds=1.0, metadata={"camera": path})
    assert make_test(Filter(path=folder))(file)
    assert make_test(Filter(path=f"*{folder}/*"))(file)
    assert not make_test(Filter(path="/videos/Cafe"))(file)
    assert fulfils(file.metadata, Condition("camera", "~", folder.upper()))


def test_several_conditions_and_a_path():
    found = parse_filter(["camera=north", "year>2000"], "*/2024/*", COLUMNS)
    assert found == Filter((Condition("camera", "=", "north"), Condition("year", ">", 2000.0)), "*/2024/*")
    assert parse_filter([], None, {}) == Filter()


def test_folders_of_windows(monkeypatch):
    file = IndexedFile(r"C:\videos\2024\cat.mp4", content="", size=1, modified=0, duration_seconds=1.0)
    assert not make_test(Filter(path="C:/videos"))(file)
    monkeypatch.setattr(os, "sep", "\\")
    for pattern in (r"C:\videos", "C:/videos/", r"*\2024\*.mp4", "*/2024/*"):
        assert make_test(Filter(path=pattern))(file), pattern
    assert not make_test(Filter(path=r"C:\video"))(file)
