"""Data whose content changes is other data, also where files keep their names."""

import numpy as np
import pytest
from PIL import Image

from side4video.data.lists.annotations import LabelledVideo
from side4video.tasks.data_identity import identify_videos
from side4video.video.file_access import content_state


def write_frames(folder, level):
    """Twelve grey pictures; those of every level have the same size in bytes."""
    folder.mkdir(exist_ok=True)
    for number in range(12):
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(folder / f"img_{number:05d}.bmp")


@pytest.fixture
def frames(tmp_path):
    write_frames(tmp_path / "frames", 10)
    return tmp_path / "frames"


def identity(path):
    return identify_videos([LabelledVideo(path, 0, path.name)])


def test_frames_written_again_under_the_same_names_are_other_content(frames):
    before = frames.stat().st_mtime_ns, content_state(frames), identity(frames)
    assert (content_state(frames), identity(frames)) == before[1:]
    write_frames(frames, 20)
    assert frames.stat().st_mtime_ns == before[0]  # the folder itself looks unchanged
    assert content_state(frames) != before[1]
    assert identity(frames) != before[2]


def test_a_moved_folder_is_the_same_data(frames, tmp_path):
    before = identity(frames)
    frames.rename(tmp_path / "moved")
    assert identity(tmp_path / "moved") == before


def test_an_absent_video_has_no_state(tmp_path):
    assert content_state(tmp_path / "absent.mp4") is None
