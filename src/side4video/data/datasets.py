"""From a labelled video to a clip of tensors: random for training, all views without randomness for evaluation.

The same key gives the same bytes in any loader process, whatever the process read before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import seeded
from side4video.video.decoding import VideoError, open_video

ARROW_OF_TIME = ("forward", "reversed")
"""Class names of data sets whose classes are the two directions of time."""
NO_LABEL = -1
"""The label of videos that have none."""
SAMPLING, TRANSFORM = 0, 1  # independent streams of random numbers of a clip

TrainTransform = Callable[[Tensor, int | None], tuple[Tensor, int | None]]
EvalTransform = Callable[[Tensor], Tensor]


class ClipKey(NamedTuple):
    """Which clip of a training run: its randomness follows from epoch, index and the run's seed."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which keys do not need


@dataclass
class Clip:
    """One video as the model sees it.

    `frames` is float (V, T, 3, S, S) with V views: crops and shifts at evaluation, repeats in training. `labels` has
    one label per view, because a flip can change it; `NO_LABEL` where there is none. `index` and `name` are the
    video's place and name in its list; `about` holds further facts that a data set may add.
    """

    frames: Tensor
    labels: list[int]
    index: int
    name: str
    about: Any = None


@dataclass(frozen=True)
class Failure:
    """An unreadable video: its place and name in the list, the file, and the reason."""

    index: int
    name: str
    path: Path
    reason: str


def both_ways(videos: Sequence[LabelledVideo]) -> list[LabelledVideo]:
    """Each video twice, labelled by its direction: item 2i is video i forward (0), item 2i + 1 reversed (1).

    Appearance does not help with these classes (`ARROW_OF_TIME`), so they show whether a model understands time
    (Wei et al., "Learning and Using the Arrow of Time", CVPR 2018). Their transform must not change labels.
    """
    return [
        replace(video, label=label, reverse=bool(label), name=f"{video.name} ({way})")
        for video in videos
        for label, way in enumerate(ARROW_OF_TIME)
    ]


class TrainClips(Dataset):
    """Random clips for training, by `ClipKey`.

    Args:
        videos: labelled videos; one without a label raises a `ValueError`.
        sampling: which frames of a video to take.
        transform: from uint8 (T, 3, H, W) and a label to float (T, 3, S, S) and the label after it.
        seed: of the run, from 0.
        repeats: differently augmented copies of each clip, all with the same frames (repeated augmentation, Hoffer et
            al., CVPR 2020).
        arrow_of_time: each clip twice in a row, forward (label 0) and reversed (1), with the same frames and crop: what
            both share cancels in the gradient. Labels of the videos are ignored.
        frame_template: name of the frame files of videos that are folders, such as `img_{:05d}.jpg`.
    """

    def __init__(
        self,
        videos: Sequence[LabelledVideo],
        *,
        sampling: FrameSampling,
        transform: TrainTransform,
        seed: int,
        repeats: int = 1,
        arrow_of_time: bool = False,
        frame_template: str | None = None,
    ):
        if repeats < 1:
            raise ValueError(f"{repeats = } clips cannot be drawn from a video. Use 1 or more.")
        self.videos = videos
        self.arrow_of_time = arrow_of_time
        if not arrow_of_time and (unlabelled := next((video for video in self.videos if video.label is None), None)):
            raise ValueError(f"{unlabelled.name} has no label, but training needs one for each video.")
        self.sampling = sampling
        self.transform = transform
        self.seed = seed
        self.repeats = repeats
        self.frame_template = frame_template

    @property
    def views(self) -> int:
        """Views of each video in a batch."""
        return self.repeats * (2 if self.arrow_of_time else 1)

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def __getitem__(self, key: ClipKey) -> Clip | Failure:
        """The clip of a key, with `views` views; a `Failure` where the video cannot be read."""
        clip = self.read(key.index, [key.epoch])
        if isinstance(clip, Failure) or not self.arrow_of_time:
            return clip
        both = torch.stack([clip.frames, clip.frames.flip(1)], dim=1).flatten(0, 1)
        return replace(clip, frames=both, labels=[0, 1] * self.repeats)

    def read(self, index: int, epochs: Sequence[int]) -> Clip | Failure:
        """The clips of a video in several epochs, from one reading: `repeats` views for each epoch, all played forward.

        The views of an epoch have the same frames, as in the paper's code; each has its own augmentation. They are the
        same whatever other epochs are read with them.
        """
        video = self.videos[index]

        def choose(num_frames: int) -> list[list[int]]:
            generators = [_generator(self.seed, epoch, index, 0, SAMPLING) for epoch in epochs]
            return [self.sampling.train(num_frames, generator) for generator in generators]

        try:
            clips = _read_clips(video, choose, self.frame_template)
        except VideoError as error:
            return _failure(video, index, error)
        views, labels = [], []
        for (epoch, frames), repeat in product(zip(epochs, clips, strict=True), range(self.repeats)):
            with seeded(self.seed, epoch, index, repeat, TRANSFORM):
                view, label = self.transform(frames, video.label)
            views.append(view)
            labels.append(NO_LABEL if label is None else label)
        return Clip(torch.stack(views), labels, index, video.name)


class TestClips(Dataset):
    """Every view of each video for evaluation and prediction, by index.

    Args:
        videos: videos with or without labels.
        sampling: which frames of a video to take.
        transform: from uint8 (T, 3, H, W) to float (crops, T, 3, S, S).
        num_clips: clips at different times of a video.
        frame_template: name of the frame files of videos that are folders.

    A clip has `num_clips` x crops views, the crops of the first clip first.
    """

    __test__ = False  # pytest collects classes by their names

    def __init__(
        self,
        videos: Sequence[LabelledVideo],
        *,
        sampling: FrameSampling,
        transform: EvalTransform,
        num_clips: int = 1,
        frame_template: str | None = None,
    ):
        if num_clips < 1:
            raise ValueError(f"{num_clips = } clips cannot be taken from a video. Use 1 or more.")
        self.videos = videos
        self.sampling = sampling
        self.transform = transform
        self.num_clips = num_clips
        self.frame_template = frame_template

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def __getitem__(self, index: int) -> Clip | Failure:
        """All views of a video; a `Failure` where it cannot be read."""
        video = self.videos[index]
        try:
            clips = _read_clips(video, lambda n: self.sampling.test(n, self.num_clips), self.frame_template)
        except VideoError as error:
            return _failure(video, index, error)
        views = torch.cat([self.transform(frames) for frames in clips])
        label = NO_LABEL if video.label is None else video.label
        return Clip(views, [label] * len(views), index, video.name)


def _read_clips(
    video: LabelledVideo, choose: Callable[[int], list[list[int]]], frame_template: str | None
) -> list[Tensor]:
    """The chosen clips of a video, each uint8 (T, 3, H, W); a frame of several clips is decoded once."""
    with open_video(
        video.path, frame_template=frame_template, start_seconds=video.start_seconds, end_seconds=video.end_seconds
    ) as file:
        clips = choose(file.num_frames)
        wanted = sorted({frame for clip in clips for frame in clip})
        frames = file.read(wanted)
    place = {frame: position for position, frame in enumerate(wanted)}
    return [frames[[place[frame] for frame in (reversed(clip) if video.reverse else clip)]] for clip in clips]


def _failure(video: LabelledVideo, index: int, error: VideoError) -> Failure:
    return Failure(index, video.name, video.path, str(error.reason))


def _generator(*numbers: int) -> torch.Generator:
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(seed)
