"""The median length of training clips."""

from pathlib import Path

import pytest

from side4video.data.lists.annotations import LabelledVideo
from side4video.tasks.clip_length import median_clip_seconds


def video(path, **span):
    return LabelledVideo(path=Path(path), label=0, name=str(path), **span)


def test_the_median_of_files_and_segments(tmp_path, make_video):
    paths = [make_video(tmp_path / f"{length}.mp4", [0] * length, fps=10) for length in (10, 30, 80)]
    assert median_clip_seconds([video(path) for path in paths]) == pytest.approx(3.0)
    part = [video(paths[2], start_seconds=1.0, end_seconds=2.5), video(paths[2], start_seconds=3.0)]
    assert median_clip_seconds(part) == pytest.approx((1.5 + 5.0) / 2)


def test_unknown_lengths_are_left_out(tmp_path, make_video):
    (tmp_path / "frames").mkdir()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    odd = [video(tmp_path / name) for name in ("frames", "broken.mp4", "gone.mp4")]
    assert median_clip_seconds(odd) is None
    assert median_clip_seconds([]) is None
    assert median_clip_seconds([*odd, video(make_video(tmp_path / "a.mp4", [0] * 20))]) == pytest.approx(2.0)


def test_a_long_list_is_sampled(monkeypatch):
    read = []
    monkeypatch.setattr("side4video.tasks.clip_length.listed_seconds", lambda path: read.append(path) or 4.0)
    assert median_clip_seconds([video(f"{number}.mp4") for number in range(10_000)]) == 4.0
    assert len(read) == 101
    assert read[0] == Path("0.mp4")
    assert read[-1] > Path("9000.mp4")
