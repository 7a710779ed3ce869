import av
import numpy as np
import pytest

from side4video.demo.moving_shapes import MOTIONS, Scene, draw_clip
from side4video.demo.videos import MotionVideos, make_motion_videos, write_video

FEW = MotionVideos(train_clips_per_class=2, test_clips_per_class=1, size=32)


def read_video(path):
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_written_frames_round_trip(tmp_path, codec):
    frames = draw_clip(Scene.random(np.random.default_rng(0)), "star_clockwise")
    write_video(tmp_path / "clip.mp4", frames, frames_per_second=8, codec=codec)
    read = read_video(tmp_path / "clip.mp4")
    assert read.shape == frames.shape == (24, 64, 64, 3)
    assert np.abs(read.astype(int) - frames).mean() < 6  # video coding keeps a quarter of the colour samples
    with av.open(tmp_path / "clip.mp4") as container:
        assert container.streams.video[0].average_rate == 8
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_encoding_does_not_reveal_the_motion(tmp_path, codec):
    scene = Scene.random(np.random.default_rng(0))
    seen = set()
    for motion in MOTIONS:
        write_video(tmp_path / "clip.mp4", draw_clip(scene, motion), frames_per_second=8, codec=codec)
        seen.add(tuple(sorted(frame.tobytes() for frame in read_video(tmp_path / "clip.mp4"))))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("frames", "codec", "message"),
    [
        (np.zeros((2, 8, 7, 3), np.uint8), None, "width = 7 must be even"),
        (np.zeros((2, 8, 8, 3)), None, "Give uint8"),
        (np.zeros((0, 8, 8, 3), np.uint8), None, "Give uint8"),
        (np.zeros((2, 8, 8, 3), np.uint8), "prores", "Use one of libx264, mpeg4"),
    ],
)
def test_frames_that_cannot_be_coded_are_refused(tmp_path, frames, codec, message):
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "clip.mp4", frames, frames_per_second=8, codec=codec)
    assert not list(tmp_path.iterdir())


def test_folder_holds_one_sub_folder_per_motion(tmp_path):
    assert make_motion_videos(tmp_path, FEW) == 24
    for split, names in {"train": ["0001.mp4", "0002.mp4"], "test": ["0001.mp4"]}.items():
        folders = sorted((tmp_path / split).iterdir())
        assert [folder.name for folder in folders] == sorted(MOTIONS)
        assert all(sorted(path.name for path in folder.iterdir()) == names for folder in folders)


def test_every_clip_has_its_own_scene(tmp_path):
    make_motion_videos(tmp_path, FEW)
    first_frames = {read_video(path)[0].tobytes() for path in tmp_path.rglob("*.mp4")}
    assert len(first_frames) == 24


def test_second_call_writes_only_what_is_missing_and_the_same_bytes(tmp_path):
    make_motion_videos(tmp_path, FEW)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.mp4")}
    lost = tmp_path / "test" / "clockwise" / "0001.mp4"
    lost.rename(lost.with_suffix(".part"))  # as after a kill while it was written
    assert make_motion_videos(tmp_path, FEW) == 1
    assert lost.read_bytes() == before.pop(lost)[0]
    assert all(path.stat().st_mtime_ns == changed for path, (_, changed) in before.items())
    assert not list(tmp_path.rglob("*.part"))
    assert make_motion_videos(tmp_path, FEW) == 0


def test_folder_with_other_settings_is_refused(tmp_path):
    make_motion_videos(tmp_path, FEW)
    other = MotionVideos(train_clips_per_class=2, test_clips_per_class=1, size=32, seed=1)
    with pytest.raises(ValueError, match="Use another folder or remove this one"):
        make_motion_videos(tmp_path, other)
    assert len(list(tmp_path.rglob("*.mp4"))) == 24


def test_class_without_clips_is_refused():
    with pytest.raises(ValueError, match="test_clips_per_class = 0 must be 1 or more"):
        MotionVideos(test_clips_per_class=0)
