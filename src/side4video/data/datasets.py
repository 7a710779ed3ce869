"""Data sets of clips: random clips of labelled videos for training, all views without randomness for evaluation.

The same key gives the same bytes in every loader process, independent of what the process has read before.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import Label, seeded
from side4video.video.decoding import FrameFolder, VideoCache, VideoError, VideoFile, open_video, shared_cache
from side4video.video.frame_array import as_frames

ARROW_OF_TIME = ("forward", "reversed")
"""Class names if the classes are the two directions of time."""
NO_LABEL = -1
"""Label of videos without a label."""
EncodedLabel = int | tuple[int, ...]
"""A class, or a vector of 0 and 1 in multi-label sets."""
SAMPLING_STREAM, TRANSFORM_STREAM = 0, 1  # independent random streams of a clip

TrainTransform = Callable[[Tensor, Label], tuple[Tensor, Label]]
EvalTransform = Callable[[Tensor], Tensor]


class ClipKey(NamedTuple):
    """Key of a training clip. Epoch, index and the run's seed determine its randomness.

    >>> ClipKey(epoch=2, index=7)
    ClipKey(epoch=2, index=7)
    """

    epoch: int
    index: int  # type: ignore[assignment]  # overrides tuple.index, which is not needed


@dataclass
class Clip:
    """The model's input for one video.

    `frames` is float (V, T, 3, S, S) with V views: crops and shifts in evaluation, repeats in training. `labels` has
    one label per view, because a flip can change it; `NO_LABEL` if the video has none. In multi-label sets each label
    is a vector with 1 for the classes of the video and 0 for the others. `index` and `name` are the position and name
    of the video in its list, `epoch` is that of a training clip's key. `about` contains further facts that a data set
    can add.

    >>> clip = Clip(frames=torch.zeros(1, 8, 3, 32, 32), labels=[3], index=0, name="a.mp4")
    >>> len(clip.frames) == len(clip.labels)  # V, the number of views
    True
    """

    frames: Tensor
    labels: list[EncodedLabel]
    index: int
    name: str
    about: Any = None
    epoch: int = 0


@dataclass(frozen=True)
class Failure:
    """An unreadable video: its position and name in the list, its path, and the reason.

    >>> failure = Failure(index=0, name="a.mp4", path=Path("clips/a.mp4"), reason="there is no such file.")
    >>> f"{failure.path}: {failure.reason}"
    'clips/a.mp4: there is no such file.'
    """

    index: int
    name: str
    path: Path
    reason: str


def encode_label(label: Label, num_labels: int | None) -> EncodedLabel:
    """The label of a view in a batch: the class, `NO_LABEL`, or in a multi-label set of `num_labels` classes a vector.

    >>> encode_label(2, None), encode_label(None, None), encode_label((0, 2), 4)
    (2, -1, (1, 0, 1, 0))
    """
    if num_labels is not None:
        shown = set(label) if isinstance(label, tuple) else set()
        return tuple(int(place in shown) for place in range(num_labels))
    assert not isinstance(label, tuple)
    return NO_LABEL if label is None else label


def _label_of(video: LabelledVideo) -> Label:
    return video.label if video.labels is None else video.labels


def forward_and_reversed(videos: Sequence[LabelledVideo]) -> list[LabelledVideo]:
    """Each video twice, labelled by its direction: item 2i is video i forward (0), item 2i + 1 reversed (1).

    Appearance does not separate these classes (`ARROW_OF_TIME`), so they test whether a model understands time (Wei et
    al., "Learning and Using the Arrow of Time", CVPR 2018). The transform must not change labels.

    >>> clip = LabelledVideo(path=Path("clip.mp4"), label=None, name="clip")
    >>> [(video.name, video.label, video.reverse) for video in forward_and_reversed([clip])]
    [('clip (forward)', 0, False), ('clip (reversed)', 1, True)]
    """
    return [
        replace(video, label=label, labels=None, reverse=bool(label), name=f"{video.name} ({way})")
        for video in videos
        for label, way in enumerate(ARROW_OF_TIME)
    ]


class TrainClips(Dataset):
    """Random clips for training, by `ClipKey`.

    Args:
        videos: labelled videos.
        sampling: chooses the frames of a clip.
        transform: maps uint8 (T, 3, H, W) and a label to float (T, 3, S, S) and the new label.
        seed: seed of the run, 0 or more.
        repeats: differently augmented copies of each clip, all with the same frames (repeated augmentation, Hoffer et
            al., CVPR 2020).
        arrow_of_time: return each clip forward (label 0) and then reversed (label 1), with the same frames and crop:
            what both have in common cancels in the gradient. Labels of the videos are ignored.
        frame_template: name of the files in frame folders, see `FrameFolder`.
        fps: frames per second of frame folders; required if videos that are frame folders have times.
        cache: tables of the video files, see `VideoCache`. Default: those of this process.
        num_labels: number of classes of a multi-label set; None: each video has one class.

    Raises:
        ValueError: `repeats` is below 1, a video has no label and `arrow_of_time` is off, or videos have several labels
            and `num_labels` is None.

    >>> from side4video.data.transforms import TrainTransform
    >>> video = LabelledVideo(path=Path("clip.mp4"), label=1, name="clip.mp4")
    >>> transform = TrainTransform(image_size=32, mean=[0.5] * 3, std=[0.5] * 3)
    >>> clips = TrainClips([video], sampling=FrameSampling(num_frames=4), transform=transform, seed=0, repeats=2)
    >>> clip = clips[ClipKey(epoch=0, index=0)]
    >>> clip.frames.shape, clip.labels  # (V, T, 3, S, S)
    (torch.Size([2, 4, 3, 32, 32]), [1, 1])
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
        fps: float | None = None,
        cache: VideoCache | None = None,
        num_labels: int | None = None,
    ):
        if repeats < 1:
            raise ValueError(f"{repeats = } must be 1 or more: each video needs a clip.")
        self.videos = [replace(video, labels=None) for video in videos] if arrow_of_time else videos
        self.arrow_of_time = arrow_of_time
        self.num_labels = num_labels
        without = (video for video in videos if _label_of(video) is None)
        if not arrow_of_time and (unlabelled := next(without, None)):
            raise ValueError(f"{unlabelled.name} has no label, but training needs one for each video.")
        if num_labels is None and any(video.labels is not None for video in self.videos):
            raise ValueError("num_labels is None, but videos have several labels. Give the number of classes.")
        self.sampling = sampling
        self.transform = transform
        self.seed = seed
        self.repeats = repeats
        self.frame_template = frame_template
        self.fps = fps
        self.cache = cache or shared_cache()

    @property
    def views(self) -> int:
        """Views of each video in a batch."""
        return self.repeats * (2 if self.arrow_of_time else 1)

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def __getitem__(self, key: ClipKey) -> Clip | Failure:
        """The clip of a key, with `views` views, or a `Failure` if the video cannot be read."""
        clip = self.read(key.index, [key.epoch])
        if isinstance(clip, Failure):
            return clip
        clip = replace(clip, epoch=key.epoch)
        if not self.arrow_of_time:
            return clip
        both = torch.stack([clip.frames, clip.frames.flip(1)], dim=1).flatten(0, 1)
        return replace(clip, frames=both, labels=[0, 1] * self.repeats)

    def read(self, index: int, epochs: Sequence[int]) -> Clip | Failure:
        """Decode a video once and return its clips for several epochs: `repeats` views per epoch, all played forward.

        The views of an epoch have the same frames, as in the paper's code, and different augmentation. They do not
        depend on the other epochs of the call.
        """
        video = self.videos[index]

        def choose(num_frames: int) -> list[list[int]]:
            generators = [_generator(self.seed, epoch, index, 0, SAMPLING_STREAM) for epoch in epochs]
            return [self.sampling.train(num_frames, generator) for generator in generators]

        try:
            clips = _read_clips(video, choose, self)
        except VideoError as error:
            return _failure(video, index, error)
        views: list[Tensor] = []
        labels: list[EncodedLabel] = []
        for (epoch, frames), repeat in product(zip(epochs, clips, strict=True), range(self.repeats)):
            with seeded(self.seed, epoch, index, repeat, TRANSFORM_STREAM):
                view, label = self.transform(frames, _label_of(video))
            views.append(view)
            labels.append(encode_label(label, self.num_labels))
        return Clip(torch.stack(views), labels, index, video.name)


class TestClips(Dataset):
    """Every view of each video for evaluation and prediction, by index.

    Args:
        videos: videos with or without labels.
        sampling: chooses the frames of a clip.
        transform: maps uint8 (T, 3, H, W) to float (crops, T, 3, S, S).
        num_clips: clips per video, at different times.
        frame_template: name of the files in frame folders, see `FrameFolder`.
        fps: frames per second of frame folders; required if videos that are frame folders have times.
        cache: tables of the video files, see `VideoCache`. Default: those of this process.
        num_labels: number of classes of a multi-label set; None: each video has one class.

    An item has `num_clips` x crops views, ordered by clip, then by crop.

    Raises:
        ValueError: `num_clips` is below 1.

    >>> from side4video.data.transforms import EvalTransform
    >>> video = LabelledVideo(path=Path("clip.mp4"), label=None, name="clip.mp4")
    >>> transform = EvalTransform(image_size=32, mean=[0.5] * 3, std=[0.5] * 3, num_crops=3)
    >>> clips = TestClips([video], sampling=FrameSampling(num_frames=4), transform=transform, num_clips=2)
    >>> clips[0].frames.shape  # (V, T, 3, S, S)
    torch.Size([6, 4, 3, 32, 32])
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
        fps: float | None = None,
        cache: VideoCache | None = None,
        num_labels: int | None = None,
    ):
        if num_clips < 1:
            raise ValueError(f"{num_clips = } must be 1 or more: each video needs a clip.")
        self.videos = videos
        self.sampling = sampling
        self.transform = transform
        self.num_clips = num_clips
        self.num_labels = num_labels
        self.frame_template = frame_template
        self.fps = fps
        self.cache = cache or shared_cache()

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def __getitem__(self, index: int) -> Clip | Failure:
        """All views of a video, or a `Failure` if it cannot be read."""
        video = self.videos[index]
        try:
            clips = _read_clips(video, self._choose, self)
        except VideoError as error:
            return _failure(video, index, error)
        views = self._transform(clips)
        label = encode_label(_label_of(video), self.num_labels)
        return Clip(views, [label] * len(views), index, video.name)

    def part(self, start: int, stop: int) -> Self:
        """The set of the videos from index `start` to before `stop`; there, the first one has the index 0."""
        part = copy(self)
        part.videos = self.videos[start:stop]
        return part

    def with_absolute_paths(self) -> Self:
        """The same set for processes that have another working directory."""
        moved = copy(self)
        moved.videos = [replace(video, path=video.path.absolute()) for video in self.videos]
        return moved

    def views_of(self, frames: Any) -> Tensor:
        """All views of a video in memory, (V, T, 3, S, S), as of a file with these frames, see `as_frames`."""
        decoded = as_frames(frames)
        return self._transform([decoded[clip] for clip in self._choose(len(decoded))])

    def _choose(self, num_frames: int) -> list[list[int]]:
        return self.sampling.test(num_frames, self.num_clips)

    def _transform(self, clips: Sequence[Tensor]) -> Tensor:
        return torch.cat([self.transform(frames) for frames in clips])


def _read_clips(
    video: LabelledVideo, choose: Callable[[int], list[list[int]]], clips: TrainClips | TestClips
) -> list[Tensor]:
    """The chosen clips of a video, each uint8 (T, 3, H, W). Frames that several clips share are decoded once."""
    span: dict[str, Any] = {"start_seconds": video.start_seconds, "end_seconds": video.end_seconds}
    template, fps, cache = clips.frame_template, clips.fps, clips.cache
    with open_video(video.path, frame_template=template, fps=fps, cache=cache, **span) as file:
        chosen = choose(file.num_frames)
        return _clips_of(file, [clip[::-1] for clip in chosen] if video.reverse else chosen)


def _clips_of(file: VideoFile | FrameFolder, clips: Sequence[Sequence[int]]) -> list[Tensor]:
    wanted = sorted({frame for clip in clips for frame in clip})
    frames = file.read(wanted)
    place = {frame: position for position, frame in enumerate(wanted)}
    return [frames[[place[frame] for frame in clip]] for clip in clips]


def _failure(video: LabelledVideo, index: int, error: VideoError) -> Failure:
    reason = str(error.reason) if video.line is None else f"{error.reason} (line {video.line} of its list)"
    return Failure(index, video.name, video.path, reason)


def _generator(*numbers: int) -> torch.Generator:
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(seed)
