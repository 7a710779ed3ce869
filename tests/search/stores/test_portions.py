"""Portions of videos that are read together: in order, and never more windows than allowed but of one long video."""

import pytest

from side4video.search.stores import portions
from side4video.search.stores.portions import in_portions, read_in_portions


@pytest.fixture(autouse=True)
def three_at_once(monkeypatch):
    monkeypatch.setattr(portions, "WINDOWS_AT_ONCE", 3)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("", []),
        ("aaaa", ["aaaa"]),
        ("ab", ["ab"]),
        ("abc", ["ab", "c"]),
        ("cab", ["c", "ab"]),
        ("axb", ["axb"]),
        ("lal", ["l", "a", "l"]),
        ("abba", ["abba"]),
        ("xxxxxx", ["xxxxxx"]),
    ],
)
def test_portions(paths, expected):
    counts = {"a": 1, "b": 2, "c": 3, "l": 9}  # and x has none
    assert ["".join(portion) for portion in in_portions(paths, counts)] == expected


def test_nothing_is_read_before_its_turn():
    read = []

    def note(paths):
        read.append(list(paths))
        return []

    lists = read_in_portions("abcdef", count=lambda paths: dict.fromkeys(paths, 2), read=note)
    assert read == []
    assert next(lists) == []
    assert read == [["a"]]
    assert list(lists) == [[]] * 5
    assert read == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]
