"""A small real run: moving-shape videos, a tiny ViT with random weights, a side network of width 16."""

import pytest

from side4video.config import parse_config
from side4video.demo.videos import MotionVideos, make_motion_videos


@pytest.fixture(scope="session")
def motion_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion_videos")
    make_motion_videos(folder, MotionVideos(train_clips_per_class=3, test_clips_per_class=1, size=32))
    return folder


@pytest.fixture
def small_run(motion_videos):
    """Settings of the small run; keyword arguments change groups of them."""

    def make(**groups):
        settings = {
            "backbone": {
                "name": "vit_tiny_patch16_224",
                "weights": "random",
                "image_size": 32,
                "model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
            },
            "side": {"width": 16},
            "data": {
                "train": motion_videos / "train",
                "test": motion_videos / "test",
                "num_frames": 4,
                "workers": 0,
            },
            "augment": {"resize": 32, "flip": 0.0, "erasing": 0.5},
            "train": {"epochs": 2, "batch": 8, "log_every": 1, "device": "cpu"},
            "eval": {"resize": 32},
        }
        for name, changes in groups.items():
            settings[name] = {**settings.get(name, {}), **changes} if isinstance(changes, dict) else changes
        return parse_config(settings, source="the small run")

    return make
