import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from side4video.video.decoding import VIDEO_SUFFIXES, FrameFolder, VideoError, find_videos, open_video


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 7):
        Image.fromarray(np.full((8, 10, 3), number, np.uint8)).save(folder / f"{number:06d}.png")
    return folder


def test_finds_videos_below_a_folder_in_order(tmp_path):
    for name in ["b/2.MP4", "b/1.webm", "a.avi", "notes.txt", "b/._2.mp4", "c/deep/er/x.mov"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert found == ["a.avi", "b/1.webm", "b/2.MP4", "c/deep/er/x.mov"]


def test_finds_nothing_in_an_empty_folder(tmp_path):
    assert find_videos(tmp_path) == []


def test_refuses_to_search_a_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(NotADirectoryError, match=r"a\.mp4 is not a directory"):
        find_videos(tmp_path / "a.mp4")


def test_suffixes_are_lower_case_and_differ():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in VIDEO_SUFFIXES)
    assert len(set(VIDEO_SUFFIXES)) == len(VIDEO_SUFFIXES)


def test_opens_a_folder_as_frames(frames):
    with open_video(frames, frame_template="{:06d}.png", fps=2, start_seconds=1) as video:
        assert isinstance(video, FrameFolder)
        assert video.num_frames == 4
        assert video.read([0])[0, 0, 0, 0] == 3


def test_opens_anything_else_as_a_file(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "missing"):
        with pytest.raises(VideoError):
            open_video(tmp_path / name)


def test_folder_without_matching_names_is_refused(frames):
    with pytest.raises(VideoError, match=r"no file is named like img_00001\.jpg"):
        open_video(frames, frame_template="img_{:05d}.jpg")


def test_video_error_names_file_and_reason_and_survives_pickling():
    error = VideoError("some/clip.mp4", "it is empty.")
    again = pickle.loads(pickle.dumps(error))
    for one in (error, again):
        assert isinstance(one, VideoError)
        assert (one.path, one.reason) == (Path("some/clip.mp4"), "it is empty.")
        assert str(one) == "some/clip.mp4: it is empty."
