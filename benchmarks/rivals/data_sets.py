"""The development sets for few clips, and their augmented clips on disk, so that all rivals get the same pixels.

They are the clips whose tokens the recipe own-clips caches: the same copies with the same frames, crops and flips.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from side4video.config import RunConfig, load_config
from side4video.config.probe import PROBES
from side4video.data.datasets import Failure, TestClips, TrainClips
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.stored_clips import denormalise_pixels, normalise_pixels
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.recognition.data import as_evaluated, read_data, training_clips
from side4video.tasks.token_cache import CACHE_SEED

BACKBONE = "vit_tiny_patch16_224"
SEGMENTS = {"sampling": "segments", "stride": None}


@dataclass(frozen=True)
class DataSet:
    """A development set, see `few_clips_sets.py`, and its settings for the recipe own-clips.

    Attributes:
        title: name in tables.
        folder: sub-folder of the folder of all sets.
        data: settings of `data` that differ from the recipe's.
        flip: probability of mirrored clips; 0 if the classes are directions.
    """

    title: str
    folder: str
    data: dict[str, Any]
    flip: float = 0.5


DATA_SETS = {
    "classes": DataSet("3 actions", "ucf3", {}),
    "arrow": DataSet("arrow of time", "ucf3", {"arrow_of_time": True}),
    "ut_interaction": DataSet("6 interactions", "ut_interaction", SEGMENTS),
    "egogestar": DataSet("10 gestures", "egogestar", SEGMENTS, flip=0.0),
    "speed": DataSet("3 speeds", "speed", SEGMENTS),
    "camera": DataSet("8 camera motions", "camera", SEGMENTS, flip=0.0),
}


def set_config(name: str, *, sets: Path, weights: str, image_size: int, model_args: dict[str, Any]) -> RunConfig:
    """The recipe own-clips on one of the sets."""
    chosen, recipe = DATA_SETS[name], load_config("own-clips").model_dump()
    folder = sets / chosen.folder
    lists = {"train": folder / "train.txt", "test": folder / "test.txt", "root": folder}
    recipe["backbone"] = {
        "name": BACKBONE, "weights": weights, "image_size": image_size, "model_args": model_args
    }  # fmt: skip
    recipe["data"] |= {**lists, **chosen.data}
    recipe["augment"]["flip"] = chosen.flip
    recipe["eval"]["probe"] = ",".join(PROBES)
    return RunConfig.model_validate(recipe)


@dataclass(frozen=True)
class PixelSet:
    """Clips of one split, uint8 on disk.

    Attributes:
        pixels: (V, K, T, 3, S, S): K augmented copies for training, or K clips for the evaluation.
        labels: (V,).
        mean, std: normalisation of the image model.
        both_ways: the classes are the two directions of time: a batch has each clip forward (0) and reversed (1).
    """

    pixels: ndarray
    labels: ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]
    both_ways: bool = False

    def batch(self, rows: Sequence[int], copy: int) -> tuple[Tensor, Tensor]:
        """Normalised clips (B, T, 3, S, S) of one copy, and their labels (B,)."""
        clips = torch.from_numpy(np.stack([self.pixels[row, copy] for row in rows]))
        clips, labels = normalise_pixels(clips, self.mean, self.std), torch.from_numpy(self.labels[list(rows)])
        if not self.both_ways:
            return clips, labels
        return torch.stack([clips, clips.flip(1)], 1).flatten(0, 1), torch.tensor([0, 1]).repeat(len(labels))


@dataclass(frozen=True)
class PixelSets:
    """Both splits of a set, its number of classes, and the recording of each training clip."""

    train: PixelSet
    test: PixelSet
    class_names: tuple[str, ...]
    groups: tuple[str, ...]


def load_sets(config: RunConfig, backbone: FrozenBackbone, cache: Path) -> PixelSets:
    """Read a set, from `cache` if an earlier run stored it there."""
    data = read_data(config.data)
    assert data.train is not None
    assert data.test is not None
    train = training_clips(data, config=config.model_copy(update={"seed": CACHE_SEED}), backbone=backbone)
    test = evaluation_clips(as_evaluated(data.test, config.data), config=config, backbone=backbone)
    parts = {}
    for name, clips in (("train", train), ("test", test)):
        about = f"{name} {config.data!r} {config.augment!r} {config.eval!r} {backbone.image_size}"
        path = cache / f"pixels-{hashlib.sha256(about.encode()).hexdigest()[:16]}.npy"
        pixels = _stored(path, clips, copies=config.data.cache_copies, backbone=backbone)
        labels = np.array([video.label for video in clips.videos])
        both = config.data.arrow_of_time and name == "train"
        parts[name] = PixelSet(pixels, labels, backbone.mean, backbone.std, both_ways=both)
    return PixelSets(parts["train"], parts["test"], data.class_names, _groups(config, data.train.videos))


def _stored(path: Path, clips: TrainClips | TestClips, *, copies: int, backbone: FrozenBackbone) -> ndarray:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, pixels = path.with_suffix(".partial"), None
        for index in range(len(clips)):
            clip = clips.read(index, range(copies)) if isinstance(clips, TrainClips) else clips[index]
            if isinstance(clip, Failure):
                raise ValueError(f"{clip.path}: {clip.reason}")
            views = denormalise_pixels(clip.frames, backbone.mean, backbone.std).numpy()
            if pixels is None:
                shape = (len(clips), *views.shape)
                pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            pixels[index] = views
        assert pixels is not None
        pixels.flush()
        partial.rename(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _groups(config: RunConfig, videos: Sequence[Any]) -> tuple[str, ...]:
    """The recording of each clip, from clips.csv next to the list."""
    assert config.data.train is not None
    with (config.data.train.parent / "clips.csv").open(newline="") as file:
        groups = {row["path"]: row["group"] for row in csv.DictReader(file)}
    return tuple(groups[video.name] for video in videos)
