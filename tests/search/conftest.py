"""A small trained model and videos to search in, for the tests of this folder."""

import shutil

import numpy as np
import pytest

from side4video.config import parse_config
from side4video.demo.videos import write_video
from side4video.search.index_model import load_index_model
from side4video.training.loop import train


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, captioned_videos):
    """A run folder with a retrieval adapter of random weights, trained for a step or two."""
    run = tmp_path_factory.mktemp("searching") / "run"
    settings = {
        "task": "retrieval",
        "backbone": {
            "name": "vit_base_patch16_clip_quickgelu_224",
            "weights": "random",
            "image_size": 32,
            "model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
        },
        "text": {
            "name": "ViT-B-16-quickgelu",
            "weights": "random",
            "max_words": 12,
            "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 2, "context_length": 16},
        },
        "side": {"width": 16},
        "data": {
            "train": captioned_videos / "train.csv",
            "test": captioned_videos / "test.csv",
            "num_frames": 4,
            "workers": 0,
        },
        "augment": {"resize": 32, "crop_scale": None, "flip": 0.0},
        "train": {"epochs": 1, "batch": 8, "device": "cpu", "lr": 1e-2},
        "eval": {"resize": 32},
    }
    train(parse_config(settings, source="the small retrieval run"), out=run)
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
