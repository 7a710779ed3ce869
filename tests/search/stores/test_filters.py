"""Conditions of filters as the command line reads them."""

import pytest

from side4video.search.stores.filters import Condition, Filter, parse_condition, parse_filter

COLUMNS = {"camera": str, "indoor": bool, "shot_on": str, "year": float}


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
        ("Shot on>2024-05-01", ("shot_on", ">", "2024-05-01")),
    ],
)
def test_conditions(text, expected):
    condition = parse_condition(text, COLUMNS)
    assert condition == Condition(*expected)
    assert type(condition.value) is type(expected[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("camera", "'camera' is not a condition. Write a column, one of"),
        ("camera=", "is not a condition"),
        ("=north", "is not a condition"),
        ("camra=north", "there is no column 'camra'. Did you mean 'camera'. Columns: camera, indoor, shot_on, year"),
        ("weather=rain", "there is no column 'weather'. Columns: camera"),
        ("year>=north", "year is a column of numbers, and 'north' is not a number"),
        ("year~20", "year is not a column of text"),
        ("indoor=maybe", "indoor is true or false"),
        ("indoor<true", "indoor is true or false"),
    ],
)
def test_invalid_conditions_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_condition(text, COLUMNS)


def test_videos_without_metadata():
    with pytest.raises(ValueError, match=r"the videos have no metadata\. Index them again with --metadata"):
        parse_condition("camera=north", {})


def test_several_conditions_and_a_path():
    found = parse_filter(["camera=north", "year>2000"], "*/2024/*", COLUMNS)
    assert found == Filter((Condition("camera", "=", "north"), Condition("year", ">", 2000.0)), "*/2024/*")
    assert parse_filter([], None, {}) == Filter()
