"""A small trained model and videos to search in, for the tests of this folder."""

import shutil

import numpy as np
import pytest

from side4video.demo.videos import write_video
from side4video.search.index_model import load_index_model
from side4video.training.loop import train


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, small_retrieval_run):
    """A run folder with a retrieval adapter of random weights, trained for a step or two."""
    run = tmp_path_factory.mktemp("searching") / "run"
    train(small_retrieval_run(train={"epochs": 1, "lr": 1e-2}), out=run)
    return run


@pytest.fixture(scope="session")
def model(adapter):
    return load_index_model(adapter, device="cpu")


@pytest.fixture
def videos(captioned_videos, tmp_path):
    """A folder with eight videos of 2 seconds, one in a folder for each class."""
    return shutil.copytree(captioned_videos / "test", tmp_path / "videos")


@pytest.fixture
def write_noise():
    """`write_noise(path, seconds, seed=0)` writes a video of moving noise, 4 frames per second."""

    def write(path, seconds, seed=0):
        generator = np.random.default_rng(seed)
        frames = generator.integers(0, 256, (round(seconds * 4), 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, frames_per_second=4)
        return path

    return write
