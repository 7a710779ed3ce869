"""The files that examples in docstrings find in their current folder.

* clip.mp4: a moving shape, 24 frames of 32 x 32 pixels, 12 per second.
* frames: the first 6 frames of it as 0000.png to 0005.png.
* clips, captions.csv: two classes in folders, `train` and `test`, and captions of the training clips.
* adapter: trained for recognition on these clips.
* retrieval: an adapter trained on the captions; index: the test clips as it sees them.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from side4video.demo.moving_shapes import Scene, draw_clip
from side4video.demo.videos import write_video

EARLIER = Path(__file__).parents[1] / "tests" / "earlier"


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with these files, shared by all examples."""
    folder = tmp_path_factory.mktemp("examples")
    frames = draw_clip(Scene.random(np.random.default_rng(0), size=32), "clockwise")
    write_video(folder / "clip.mp4", frames, frames_per_second=12)
    (folder / "frames").mkdir()
    for number, frame in enumerate(frames[:6]):
        Image.fromarray(frame).save(folder / f"frames/{number:04d}.png")
    for name in ("clips", "adapter", "index"):
        shutil.copytree(EARLIER / name, folder / name)
    shutil.copy(EARLIER / "captions.csv", folder)
    shutil.unpack_archive(EARLIER / "retrieval.zip", folder / "retrieval")
    return folder


@pytest.fixture(autouse=True)
def _in_example_folder(example_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example_folder)
    monkeypatch.setenv("SIDE4VIDEO_CACHE", str(example_folder / "cache"))
