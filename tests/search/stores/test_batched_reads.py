"""Videos whose windows are read in one batch: in order, no more windows than allowed, except for one long video."""

import pytest

from side4video.search.stores import batched_reads
from side4video.search.stores.batched_reads import read_in_batches, split_paths


@pytest.fixture(autouse=True)
def three_at_once(monkeypatch):
    monkeypatch.setattr(batched_reads, "WINDOWS_PER_BATCH", 3)


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
def test_batches(paths, expected):
    counts = {"a": 1, "b": 2, "c": 3, "l": 9}  # and x has none
    assert ["".join(batch) for batch in split_paths(paths, counts)] == expected


def test_batches_are_read_lazily():
    read = []

    def note(paths):
        read.append(list(paths))
        return []

    lists = read_in_batches("abcdef", count=lambda paths: dict.fromkeys(paths, 2), read=note)
    assert read == []
    assert next(lists) == []
    assert read == [["a"]]
    assert list(lists) == [[]] * 5
    assert read == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]
