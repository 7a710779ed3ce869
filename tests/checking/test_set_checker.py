"""Findings about the entries of sets, against results by hand."""

from pathlib import Path

import pytest

from side4video.checking.entries import Entry, EntrySet
from side4video.checking.probe import Probe
from side4video.checking.set_checker import find_problems, part_of
from side4video.data.lists.annotations import LabelledVideo


def entry(path, label=None, *captions, times=(None, None)):
    return Entry(LabelledVideo(Path(f"/data/{path}"), label, path, *times), captions)


def entries(name, *found, classes=("run", "sit")):
    return EntrySet(name, f"{name}.csv", found, classes)


def check(*sets, contents=None, faults=None):
    """Findings as (set, position, kind), and the names that are left in each set; `contents` gives equal files."""
    probes = {}
    for one in sets:
        for found in one.entries:
            name = found.video.name
            probes[part_of(found.video)] = Probe((faults or {}).get(name, ()), (contents or {}).get(name))
    results = find_problems(sets, probes)
    findings = [(f.set, f.position, f.kind) for result in results for f in result.findings]
    return findings, [[e.video.name for e in result.clean] for result in results]


def test_good_sets_have_no_findings():
    sets = entries("train", entry("a", 0), entry("b", 1)), entries("test", entry("c", 0))
    assert check(*sets) == ([], [["a", "b"], ["c"]])


def test_faults_remove_entries_and_warnings_do_not():
    faults = {"a": (("damaged", "x"),), "b": (("too-short", "x"), ("wrong-suffix", "x"))}
    findings, clean = check(entries("train", entry("a", 0), entry("b", 1)), faults=faults)
    assert findings == [("train", 0, "damaged"), ("train", 1, "too-short"), ("train", 1, "wrong-suffix")]
    assert clean == [["b"]]


def test_labels_without_a_class_are_found():
    findings, clean = check(entries("test", entry("a", 2), entry("b", -1), entry("c"), entry("d", 1)))
    assert findings == [("test", 0, "wrong-label"), ("test", 1, "wrong-label"), ("test", 2, "no-label")]
    assert clean == [["d"]]


def test_the_first_of_equal_videos_is_kept():
    contents = dict.fromkeys(["a", "b"], "same") | {"c": "other"}
    findings, clean = check(
        entries("train", entry("a", 0), entry("b", 0), entry("c", 0), entry("a", 0)), contents=contents
    )
    assert findings == [("train", 1, "duplicate"), ("train", 3, "listed-twice")]
    assert clean == [["a", "c"]]


@pytest.mark.parametrize("second", ["a", "b"])
def test_equal_videos_of_two_classes_are_both_removed(second):
    findings, clean = check(
        entries("train", entry("a", 0), entry(second, 1), entry("c", 1)), contents={"a": "same", "b": "same"}
    )
    assert findings == [("train", 0, "two-labels"), ("train", 1, "two-labels")]
    assert clean == [["c"]]


def test_different_parts_of_a_file_are_no_duplicates():
    parts = [entry("a", 0, times=(0.0, 1.0)), entry("a", 0, times=(1.0, 2.0))]
    assert check(entries("train", *parts)) == ([], [["a", "a"]])


def test_test_videos_are_removed_from_the_training_set():
    sets = entries("train", entry("a", 0), entry("b", 0), entry("b2", 0)), entries("test", entry("c", 1), entry("a", 0))
    findings, clean = check(*sets, contents={"b": "same", "b2": "same", "c": "same"})
    assert findings == [
        ("train", 0, "test-in-train"),
        ("train", 1, "test-in-train"),
        ("train", 2, "duplicate"),
        ("train", 2, "test-in-train"),
    ]
    assert clean == [[], ["c", "a"]]


@pytest.mark.parametrize(
    ("trained", "tested", "overlap"),
    [
        ((0.0, 1.0), (1.0, 2.0), False),
        ((0.0, 1.5), (1.0, 2.0), True),
        ((None, None), (3.0, None), True),
        ((2.0, None), (None, 2.0), False),
    ],
)
def test_parts_of_one_video_in_both_sets(trained, tested, overlap):
    findings, _ = check(entries("train", entry("a", 0, times=trained)), entries("test", entry("a", 0, times=tested)))
    assert findings == ([("train", 0, "test-in-train")] if overlap else [])


def test_broken_videos_are_not_compared():
    faults = dict.fromkeys(["a", "b", "c"], (("empty", "x"),))
    sets = entries("train", entry("a", 0), entry("b", 0)), entries("test", entry("c", 1))
    findings, _ = check(*sets, contents=dict.fromkeys("abc", "same"), faults=faults)
    assert {kind for _, _, kind in findings} == {"empty"}


def test_captions_of_equal_videos_are_merged():
    found = entries("test", entry("a", None, "one", "two"), entry("b", None, "two", "three"), classes=())
    (result,) = find_problems([found], {part_of(e.video): Probe((), "same") for e in found.entries})
    assert [e.captions for e in result.clean] == [("one", "two", "three")]
    assert [finding.kind for finding in result.findings] == ["duplicate"]


@pytest.mark.parametrize("name", ["a\nb.mp4", "b.mp4 ", "c\udce9.mp4"])
def test_paths_that_no_list_can_hold_are_found(name):
    findings, clean = check(entries("train", entry(name, 0)))
    assert findings == [("train", 0, "unlistable")]
    assert clean == [[]]
