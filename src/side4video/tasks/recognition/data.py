"""Reads, checks and chooses the labelled videos of a run."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from side4video.config import DataConfig, RunConfig
from side4video.data.datasets import ARROW_OF_TIME, TrainClips, forward_and_reversed
from side4video.data.directions import has_direction
from side4video.data.lists.annotations import LabelledVideo, VideoList, check_video_list
from side4video.data.lists.configured_lists import Split, read_configured_list
from side4video.data.lists.groups import Grouping, find_groups, join_copies
from side4video.data.lists.overlap import check_overlap, copies_of, describe_shared_groups
from side4video.data.lists.segments import describe_parts
from side4video.data.lists.text_files import ClassIndex, DataError, first_few
from side4video.data.transforms import flip_label_pairs
from side4video.distributed.processes import print_once
from side4video.models.backbones.loading import FrozenBackbone
from side4video.tasks.clips import train_clips
from side4video.tasks.data_identity import identify_videos
from side4video.tasks.subset import choose_videos, describe_choice
from side4video.video.decoding import VideoCache


@dataclass(frozen=True)
class RecognitionData:
    """The checked videos of a run, each once; see `as_evaluated`.

    >>> from pathlib import Path
    >>> data = read_data(DataConfig(train=Path("clips/train"), test=Path("clips/test")))
    >>> len(data.train.videos), len(data.test.videos), data.class_names
    (4, 2, ('anticlockwise', 'clockwise'))
    """

    train: VideoList | None
    test: VideoList | None
    class_names: tuple[str, ...]
    """Classes in the order of the model's outputs; with arrow_of_time "forward" and "reversed"."""
    warnings: tuple[str, ...]
    """Warnings about the lists, as sentences."""
    choice: str | None = None
    """A sentence about the chosen part of the training videos; None if all were chosen."""
    notes: tuple[str, ...] = ()
    """How the lists were understood: format, columns, split, classes, and what was left out."""
    multi_label: bool = False
    """Whether videos have any number of classes."""

    @property
    def num_labels(self) -> int | None:
        """Number of classes of multi-label sets, otherwise None, as `TrainClips` and `TestClips` take it."""
        return len(self.class_names) if self.multi_label else None

    def identity(self) -> dict[str, Any]:
        """What identifies the labelled videos of both sets, also if they have moved."""
        sets = {"train": self.train, "test": self.test}
        return {name: identify_videos(one.videos, self.class_names) for name, one in sets.items() if one is not None}


def read_data(
    config: DataConfig,
    *,
    class_names: Sequence[str] | None = None,
    seed: int | None = None,
    test_only: bool = False,
) -> RecognitionData:
    """Read and check the lists named in `config`.

    Args:
        config: names the lists. Classes are in the order of `config.class_names`, by default of the training list.
        class_names: classes of a trained model; labels are matched with them by name.
        test_only: leave out the training set.
        seed: seed of the run, with which `config.shots` and `config.fraction` choose training videos.

    Raises:
        DataError: a list has problems that would fail later, or the two sets overlap; the error names all problems.
        ValueError: `config` names no list, or a class has fewer training videos than `config.shots`.
    """
    names = None if config.arrow_of_time else class_names
    warnings: list[str] = []
    notes: list[str] = []
    train = None if test_only else _read_list(config, "train", names, warnings, notes)
    choice = None
    if train is not None:
        if not config.arrow_of_time:
            names = train.class_names
        config = config.model_copy(update={"multi_label": train.multi_label})  # both sets are read alike
        train, choice = _choose(train, config, seed)
    test = _read_list(config, "test", names, warnings, notes)
    if train is not None and test is not None:
        warnings += check_overlap(train.videos, test.videos, overlap=config.overlap)
        if not config.is_divided:  # which keeps recordings together
            warnings += describe_shared_groups(train.videos, test.videos, config.group)
    known = train or test
    if known is None:
        raise ValueError(
            "No videos: give --data.train and --data.test, a folder with one sub-folder per class or a list."
        )
    if config.arrow_of_time:
        train, test = (videos and replace(videos, class_names=ARROW_OF_TIME) for videos in (train, test))
        known = replace(known, class_names=ARROW_OF_TIME, multi_label=False)
    return RecognitionData(train, test, known.class_names, tuple(warnings), choice, tuple(notes), known.multi_label)


def _choose(train: VideoList, config: DataConfig, seed: int | None) -> tuple[VideoList, str | None]:
    """Return the part of the training videos that the settings choose, and a sentence about it."""
    if train.multi_label and config.shots is not None:
        raise ValueError(
            f"data.shots = {config.shots} chooses videos by their class, and those of {train.source} have several: use "
            "data.fraction, which chooses among all videos."
        )
    labels = [None if train.multi_label else video.label for video in train.videos]
    names: dict[Hashable, str] = {None: "all"} if train.multi_label else dict(enumerate(train.class_names))
    kept = choose_videos(labels, config=config, seed=seed, names=names)
    chosen = replace(train, videos=tuple(train.videos[place] for place in kept))
    return chosen, describe_choice(len(kept), len(train.videos), config)


def _read_list(
    config: DataConfig, split: Split, class_names: Sequence[str] | None, warnings: list[str], notes: list[str]
) -> VideoList | None:
    listed = read_configured_list(config, split, class_names=class_names)
    if listed is None:
        return None
    checked = check_video_list(listed, allow_missing=config.allow_missing)
    used = sorted({label for video in listed.videos for label in video.all_labels})
    shown = [listed.class_names[label] for label in used]
    if split == "train" and len(shown) < 2 and not (config.arrow_of_time or listed.multi_label):
        raise DataError(
            f"{listed.source} has videos of one class, {first_few(shown)}, so there is nothing to tell apart. Give "
            "videos of two classes or more: one sub-folder per class, or other names in the column of labels."
        )
    warnings += [f"{listed.source}: {warning}" for warning in checked.warnings]
    notes += [f"{split}: {listed.source}: {' '.join(listed.notes)}"]
    return checked.videos


def as_evaluated(videos: VideoList, config: DataConfig) -> list[LabelledVideo]:
    """Return the videos to score: each video once, or with arrow_of_time forward and reversed."""
    return forward_and_reversed(videos.videos) if config.arrow_of_time else list(videos.videos)


def evaluated_groups(videos: VideoList, config: DataConfig) -> Grouping:
    """Return the groups of the clips of `as_evaluated`.

    Both directions of a video are in the same group, and copies of one file.
    """
    found = join_copies(find_groups(videos.videos, config.group), videos.videos, copies_of(videos.videos))
    if not config.arrow_of_time:
        return found
    groups = found.groups or tuple(str(place) for place in range(len(videos.videos)))
    return Grouping(tuple(group for group in groups for _ in ARROW_OF_TIME), found.origin)


def refuse_several_labels(data: RecognitionData, what: str, remedy: str) -> None:
    """Refuse videos with several labels where one class per video is expected.

    Raises:
        ValueError: the data is multi-label; the error names what expects one class.
    """
    if data.multi_label:
        raise ValueError(
            f"{_source(data)} was read as a list with several labels per video. {what} expects one class per video: "
            f"{remedy}, or give --data.multi-label false if each video has one class."
        )


def check_several_labels(data: RecognitionData, config: RunConfig) -> None:
    """Refuse settings of a training run that expect one class per video.

    Raises:
        ValueError: the data is multi-label, and a setting is not supported for it.
    """
    if config.head.init == "text":
        refuse_several_labels(data, "head.init text", "leave it out")
    if further := [name for name in config.eval.probes if name != "linear"]:
        refuse_several_labels(data, f"eval.probe {','.join(further)}", "use --eval.probe linear or --eval.no-probe")


def _source(data: RecognitionData) -> str:
    known = data.train or data.test
    return "The data" if known is None else known.source


def check_metric(name: str | None, data: RecognitionData) -> None:
    """Check before training that the score of `train.best_by` is defined.

    Raises:
        ValueError: its class is unknown or has no evaluation video.
    """
    if data.multi_label and name in ("top1", "top5"):
        raise ValueError(
            f"train.best_by = {name!r} expects one class per video, and {_source(data)} has several labels: use mAP, "
            "macro-f1, mean-class or recall:CLASS."
        )
    if name is None or not name.startswith("recall:"):
        return
    wanted = name.removeprefix("recall:")
    if wanted not in data.class_names:
        near = ClassIndex(data.class_names).nearest(wanted)
        hint = f" Did you mean {near!r}?" if near else ""
        raise ValueError(
            f"train.best_by = {name!r}: there is no class {wanted!r}.{hint} Classes: {first_few(data.class_names)}."
        )
    label = data.class_names.index(wanted)
    if data.test is not None and all(label not in video.all_labels for video in data.test.videos):
        raise ValueError(
            f"train.best_by = {name!r}: {data.test.source} has no video of this class, so its recall is undefined. "
            "Choose another class or score."
        )


def flip_warning(class_names: Sequence[str], flip: float) -> str | None:
    """Return a warning about classes whose names give a direction, which mirrored clips would contradict, or None.

    Pairs of classes that differ only in the direction need no warning: mirrored clips get the other label.

    >>> flip_warning(["turn left", "turn right"], 0.5) is None
    True
    """
    directed = _unpaired_directions(class_names)
    if not flip or not directed:
        return None
    return (
        f"augment.flip = {flip} mirrors clips of {', '.join(map(repr, directed))}, whose names give a direction, and "
        "keeps their label. Use --augment.flip 0 if a mirrored clip shows another class."
    )


def mirrored_views_warning(class_names: Sequence[str], crops: int) -> str | None:
    """Return a warning about classes whose names give a direction, which mirrored crops would contradict, or None.

    >>> mirrored_views_warning(["turn left", "turn right"], 10) is None
    True
    """
    directed = _unpaired_directions(class_names)
    if crops < 10 or not directed:
        return None
    return (
        f"eval.crops = {crops} also scores mirrored crops of {', '.join(map(repr, directed))}, whose names give a "
        "direction. Use --eval.crops 5 if a mirrored clip shows another class."
    )


def _unpaired_directions(class_names: Sequence[str]) -> list[str]:
    swapped = flip_label_pairs(class_names)
    return [name for label, name in enumerate(class_names) if label not in swapped and has_direction(name)]


def announce(data: RecognitionData, config: RunConfig) -> None:
    """Print how the lists were understood, and warnings about them and about mirrored clips."""
    names = () if config.data.arrow_of_time else data.class_names
    flips = flip_warning(names, config.augment.flip), mirrored_views_warning(names, config.eval.crops)
    for note in data.notes:
        print_once(note)
    for warning in (*data.warnings, *filter(None, flips)):
        print_once(f"warning: {warning}")
    if data.choice:
        print_once(data.choice)
    for name, videos in (("training", data.train), ("evaluation", data.test)):
        if videos is not None and (parts := describe_parts(videos.videos)):
            print_once(f"{name}: {parts}")


def mirrored_classes(data: RecognitionData, config: DataConfig) -> dict[int, int]:
    """Return the class of mirrored clips, for classes that change: "turn left" and "turn right" are exchanged."""
    return {} if config.arrow_of_time else flip_label_pairs(data.class_names)


def training_clips(
    data: RecognitionData, *, config: RunConfig, backbone: FrozenBackbone, video_cache: VideoCache | None = None
) -> TrainClips:
    """Return the training set with random augmentation."""
    if data.train is None:
        raise ValueError("No training set: give --data.train.")
    return train_clips(
        data.train.videos,
        config=config,
        backbone=backbone,
        flip_labels=mirrored_classes(data, config.data),
        video_cache=video_cache,
        num_labels=data.num_labels,
    )
