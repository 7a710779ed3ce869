"""Several moments of a video: parts of successive windows above a score, against brute force."""

import csv
import json
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest

from search.windows import make_windows
from side4video import VideoIndex
from side4video.cli import main
from side4video.search.indexing import update_index
from side4video.search.occurrences import find_occurrences
from side4video.search.stores.open_store import open_store
from side4video.video.decoding import VideoFile


def parts(scores, *, limit=10, min_score=None):
    """Start and end, in windows, and the score of each part."""
    windows = make_windows("/a.mp4", len(scores))
    found = find_occurrences(windows, scores, limit=limit, min_score=min_score)
    for one in found:
        assert scores[one.best.number] == one.score
    return [(one.start_seconds / 8, (one.end_seconds - 2) / 8, one.score) for one in found]


@pytest.mark.parametrize("seed", range(10))
def test_parts_are_the_runs_above_the_threshold(seed):
    scores = np.random.default_rng(seed).uniform(-1, 1, 40).tolist()
    expected = []
    for above, group in groupby(enumerate(scores), key=lambda pair: pair[1] >= 0.2):
        run = list(group)
        if above:
            expected.append((run[0][0], run[-1][0] + 1, max(score for _, score in run)))
    expected.sort(key=lambda part: -part[2])
    assert parts(scores, min_score=0.2, limit=100) == expected
    assert parts(scores, min_score=0.2, limit=3) == expected[:3]


def test_without_a_threshold_it_is_between_mean_and_best():
    assert parts([0.0, 0.8, 0.9, 0.0, 0.0, 0.7, 0.0, 0.0]) == [(1, 3, 0.9), (5, 6, 0.7)]
    assert parts([0.3, 0.3, 0.3]) == [(0, 3, 0.3)], "all alike: the whole video"
    assert parts([0.5]) == [(0, 1, 0.5)]


def test_a_score_that_no_window_reaches_gives_nothing():
    assert parts([0.1, 0.2], min_score=0.3) == []


@pytest.fixture
def long_index(model, tmp_path, write_noise, monkeypatch):
    """Two videos of many windows, and the command line in their folder."""
    for seed, (name, seconds) in enumerate({"a.mp4": 61.0, "b.mp4": 21.0}.items()):
        write_noise(tmp_path / "videos" / name, seconds, seed)
    monkeypatch.chdir(tmp_path)
    store = open_store("index", create=True)
    update_index(store, model, ["videos"], address="index", workers=0, window_seconds=4.0, overlap_seconds=2.0)
    store.close()
    return VideoIndex.open("index", device="cpu")


def test_all_moments_of_a_video_are_found(long_index):
    single = long_index.search("a ring")
    found = long_index.search("a ring", moments=100)
    assert [one.file.path for one in single] == list(dict.fromkeys(one.file.path for one in found))
    for best in single:
        own = [one for one in found if one.file.path == best.file.path]
        assert own[0].score == pytest.approx(best.score, abs=1e-4)
        assert own[0].start_seconds <= best.start_seconds < best.end_seconds <= own[0].end_seconds
        assert [one.score for one in own] == sorted((one.score for one in own), reverse=True)
        starts = sorted((one.start_seconds, one.end_seconds) for one in own)
        assert all(first < second for first, second in pairwise(starts))
    assert len(found) > 2
    assert len(long_index.search("a ring", moments=2)) <= 4
    like = long_index.search_like("videos/a.mp4", moments=100)
    assert {Path(one.file.path).name for one in like} == {"b.mp4"}


def test_a_least_score_leaves_out_windows_and_videos(long_index):
    scores = sorted(one.score for one in long_index.search("a ring"))
    between = sum(scores) / 2
    for moments in (1, 100):
        found = long_index.search("a ring", moments=moments, min_score=between)
        assert {one.file.path for one in found} == {long_index.search("a ring", top_k=1)[0].file.path}
        assert all(one.score >= between for one in found)
    assert long_index.search("a ring", moments=5, min_score=0.999) == []
    with pytest.raises(ValueError, match="moments"):
        long_index.search("a ring", moments=0)


def test_the_command_writes_moments_as_csv_and_clips(long_index, capsys):
    expected = long_index.search("a ring", moments=3, top_k=1)
    long_index.close()
    files = ["--json", "found.json", "--csv", "found.csv", "--cut", "clips", "--cut-mode", "copy"]
    command = ["search", "index", "a ring", "--top-k", "1", "--moments", "3", *files, "--device", "cpu"]
    assert main(command) == 0
    (query,) = json.loads(Path("found.json").read_text())["queries"]
    spans = [(one.start_seconds, one.end_seconds) for one in expected]
    assert [(one["start_seconds"], one["end_seconds"]) for one in query["found"]] == spans
    with Path("found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["start"]), float(row["end"])) for row in rows] == spans
    assert {row["label"] for row in rows} == {"a ring"}
    assert len(list(Path("clips").iterdir())) == len(expected)
    for clip, (start, end) in zip(sorted(Path("clips").iterdir()), spans, strict=True):
        with VideoFile(clip) as video:
            assert video.duration_seconds == pytest.approx(end - start, abs=0.5)
    assert "clips written to clips" in capsys.readouterr().out
