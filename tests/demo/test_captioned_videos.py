import csv
from collections import Counter

import numpy as np
import pytest

from side4video.demo.captioned_videos import CaptionedVideos, make_captioned_videos
from side4video.demo.moving_captions import CrossingScene, draw_crossing
from side4video.demo.videos import write_video
from side4video.video.decoding import open_video

FEW = CaptionedVideos(train_clips_per_caption=2, forms=("square", "ring"), colours=("red", "blue"), size=32)


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_lists_name_every_video_with_its_caption(tmp_path):
    assert make_captioned_videos(tmp_path, FEW) == 2 * 12 + 16
    train, test = rows(tmp_path / "train.csv"), rows(tmp_path / "test.csv")
    assert list(train[0]) == ["video", "caption"]
    assert {row["video"] for row in train} == {f"train/{number:04d}.mp4" for number in range(1, 25)}
    assert {row["video"] for row in test} == {f"test/{number:04d}.mp4" for number in range(1, 17)}
    assert all((tmp_path / row["video"]).is_file() for row in train + test)
    assert set(Counter(row["caption"] for row in test).values()) == {1}
    assert set(Counter(row["caption"] for row in train).values()) == {2}
    held_out = {row["caption"] for row in test} - {row["caption"] for row in train}
    assert len(held_out) == 4
    assert "a red square moves up" in {row["caption"] for row in test}


def read(path):
    with open_video(path) as video:
        return video.read(range(video.num_frames)).numpy()


def test_scenes_are_unique(tmp_path):
    make_captioned_videos(tmp_path, FEW)
    stills = [read(path).mean(axis=0) for path in sorted(tmp_path.glob("*/*.mp4"))]
    assert len(stills) == 40
    apart = [np.abs(a - b).mean() for index, a in enumerate(stills) for b in stills[:index]]
    assert min(apart) > 5  # the same scene, moving the other way, would be 0 apart


def test_encoding_does_not_reveal_the_direction(tmp_path):
    scene = CrossingScene.random(np.random.default_rng(0), form="cross", colour="green")
    for motion in ("up", "down"):
        write_video(tmp_path / f"{motion}.mp4", draw_crossing(scene, motion), frames_per_second=12)
    np.testing.assert_array_equal(read(tmp_path / "up.mp4"), read(tmp_path / "down.mp4")[::-1])


def test_existing_videos_are_kept_and_other_settings_refused(tmp_path):
    make_captioned_videos(tmp_path, FEW)
    (tmp_path / "train/0003.mp4").unlink()
    kept = (tmp_path / "train/0001.mp4").stat().st_mtime_ns
    assert make_captioned_videos(tmp_path, FEW) == 1
    assert (tmp_path / "train/0001.mp4").stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match="Use another folder"):
        make_captioned_videos(tmp_path, CaptionedVideos(size=32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_clips_per_caption": 0}, "must be 1 or more"),
        ({"forms": ("blob",)}, "one or more, all different, of disc"),
        ({"colours": ()}, "one or more, all different, of red"),
        ({"colours": ("red", "red")}, "different"),
    ],
)
def test_invalid_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        CaptionedVideos(**changes)
