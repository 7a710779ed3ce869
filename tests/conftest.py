"""Fixtures for all tests: small real video files, and the settings of a small real run on some of them."""

import gc
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path

import huggingface_hub
import pytest
from hypothesis import HealthCheck, settings
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from hub_server import TOKEN, running_hub
from longest_first import LONGEST_FIRST
from side4video.adapters.hub import download
from side4video.config import parse_config
from side4video.demo.videos import MotionVideos, make_motion_videos
from small_videos import write_grey_video
from warm_process import WarmProcess

settings.register_profile(  # the same examples in every run, few enough for seconds, and no file of earlier failures
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    """The longest files first, then files of few tests, which start processes: no worker has a long one at the end."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    sizes = Counter(item.path for item in items)
    # Keeps the order within a place and size, so files stay whole.
    items.sort(key=lambda item: (places.get(item.path.stem, len(places)), sizes[item.path]))


def pytest_collection_finish():
    """Modules and tests stay until the end: no test looks for garbage among them."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """At the end they are garbage again: nanobind reports what is left of its objects."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def cache_of_indexes(tmp_path_factory):
    """Indexes of shards are kept in a folder of this session, not in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIDE4VIDEO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_fork_server(cache_of_indexes):
    """The server that starts all processes of a test session imports what loaders need, whichever test comes first."""
    set_preload = BaseContext.set_forkserver_preload

    def set_preload_too(self, modules):
        set_preload(self, [*modules, "side4video.data.loading.loader"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseContext, "set_forkserver_preload", set_preload_too)
        yield


@pytest.fixture(scope="session", autouse=True)
def early_notice_of_lost_workers():
    """PyTorch checks every 5 seconds whether a loader process has ended; here it checks more often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_state_folder(tmp_path_factory):
    """No test writes into the user's own folder for the state of programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """`make_video(path, brightness, height=48, width=64, fps=10)` writes an mp4 file; see `write_grey_video`."""
    return write_grey_video


@pytest.fixture(scope="module")
def short_reports():
    """Reports explain one right and one wrong clip; an explanation takes as long as 50 training passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("side4video.reports.run_report.SHOWN_RIGHT", 1)
        patch.setattr("side4video.reports.run_report.SHOWN_WRONG", 1)
        yield


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """A process that has imported everything, so that real runs start at once."""
    with WarmProcess(tmp_path_factory.mktemp("warm")) as process:
        yield process


@pytest.fixture(scope="session")
def motion_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion_videos")
    make_motion_videos(folder, MotionVideos(train_clips_per_class=3, test_clips_per_class=1, size=32))
    return folder


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def captioned_videos(motion_videos):
    """The same videos with captions: train.csv and test.csv, two captions for each training video."""
    for split, endings in (("train", ("", " again")), ("test", ("",))):
        lines = ["video,caption"]
        for path in sorted((motion_videos / split).glob("*/*.mp4")):
            name = path.relative_to(motion_videos)
            lines += [f"{name},a shape moves {path.parent.name.replace('_', ' ')}{ending}" for ending in endings]
        (motion_videos / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return motion_videos


@pytest.fixture(scope="session")
def small_retrieval_run(captioned_videos):
    """Settings of a small retrieval run on random weights; keyword arguments change groups of them."""

    def make(**groups):
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
            "train": {"epochs": 2, "batch": 8, "log_every": 1, "device": "cpu", "lr": 1e-3},
            "eval": {"resize": 32},
        }
        for name, changes in groups.items():
            settings[name] = {**settings.get(name, {}), **changes} if isinstance(changes, dict) else changes
        return parse_config(settings, source="the small retrieval run")

    return make


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine and an empty cache, as HF_ENDPOINT, HF_HOME and HF_TOKEN choose them for a new process."""
    with running_hub() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        download.cache_clear()
        yield hub
        download.cache_clear()
