"""The film of the demonstration and its timeline."""

import csv
from itertools import pairwise

import pytest

from side4video.demo.film import make_film, show_timeline
from side4video.demo.moving_shapes import MOTIONS
from side4video.demo.videos import MotionVideos, make_motion_videos
from side4video.training.loop import train
from side4video.video.decoding import VideoFile


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make_motion_videos(folder, MotionVideos(train_clips_per_class=1, test_clips_per_class=2, size=32))
    return folder / "test"


def test_the_film_shows_each_clip_at_its_time(clips, tmp_path):
    segments = make_film(clips, tmp_path / "film/film.mp4", seed=3)
    names = [segment.name for segment in segments]
    assert sorted(names) == sorted([*MOTIONS] * 2)
    assert all(first != second for first, second in pairwise(names))
    with VideoFile(tmp_path / "film/film.mp4") as film:
        assert film.duration_seconds == pytest.approx(segments[-1].end_seconds) == 32.0
        for place in (0, 7, 15):
            segment = segments[place]
            number = 1 + place // 8
            with VideoFile(clips / segment.name / f"{number:04d}.mp4") as clip:
                shown = list(film.frame_seconds).index(pytest.approx(segment.start_seconds + 1.0))
                one, other = film.read([shown])[0].int(), clip.read([12])[0].int()
                assert (one - other).abs().float().mean() < 4
    with (tmp_path / "film/film.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], float(row["start"])) for row in rows] == [(s.name, s.start_seconds) for s in segments]


def test_another_seed_gives_another_order(clips, tmp_path):
    orders = [[s.name for s in make_film(clips, tmp_path / f"{seed}.mp4", seed=seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_the_timeline_of_the_film_is_scored_and_written(clips, tmp_path, small_run):
    train(small_run(train={"epochs": 1}), out=tmp_path / "run")
    segments = make_film(clips, tmp_path / "film/film.mp4")
    found, page = show_timeline(tmp_path / "run", segments, tmp_path / "film")
    assert found.num_segments == 16
    assert 0 <= found.score <= 1
    assert found.timelines[0].window_seconds == 2.0
    assert 'src="film.mp4"' in page.read_text()
    assert {path.name for path in (tmp_path / "film").glob("timeline.*")} == {
        f"timeline.{suffix}" for suffix in ("json", "csv", "vtt", "srt", "html")
    }
