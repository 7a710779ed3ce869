"""The captioned videos of a run: read, checked, chosen."""

from dataclasses import dataclass, replace
from pathlib import Path

from side4video.config import DataConfig, RunConfig
from side4video.data.datasets import TestClips
from side4video.data.lists.captions import CaptionList, check_caption_list, read_caption_list
from side4video.models.retrieval_model import RetrievalModel
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.subset import choose_videos, describe_choice


@dataclass(frozen=True)
class RetrievalData:
    """The captioned videos of a run, checked."""

    train: CaptionList | None
    test: CaptionList | None
    warnings: tuple[str, ...]
    """What is odd about the files, in sentences."""
    choice: str | None = None
    """Which part of the training videos was chosen, in a sentence."""


def read_caption_data(config: DataConfig, *, seed: int | None = None) -> RetrievalData:
    """Read and check the captioned videos named in `config`.

    Args:
        config: which sets there are.
        seed: of the run; `config.fraction` chooses training videos by it, which keep all their captions.

    Raises:
        DataError: anything that would fail later; all problems of a file at once.
        ValueError: no set is named.
    """
    warnings: list[str] = []

    def read(source: Path | None, root: Path | None, split: str) -> CaptionList | None:
        if source is None:
            return None
        listed = read_caption_list(
            source,
            captions=config.captions,
            root=root,
            format=config.format,
            split=split,
            outside_root=config.outside_root,
        )
        checked = check_caption_list(listed, allow_missing=config.allow_missing)
        warnings.extend(f"{source}: {warning}" for warning in checked.warnings)
        return checked.captions

    train = read(config.train, config.root, "train")
    test = read(config.test, config.test_root or config.root, "test")
    if train is None and test is None:
        raise ValueError("No videos: give --data.train and --data.test, files of videos and their captions.")
    choice = None
    if train is not None:
        kept = choose_videos(["all"] * len(train.videos), config=config, seed=seed)
        choice = describe_choice(len(kept), len(train.videos), config)
        train = replace(
            train,
            videos=tuple(train.videos[place] for place in kept),
            captions=tuple(train.captions[place] for place in kept),
        )
    return RetrievalData(train, test, tuple(warnings), choice)


def caption_clips(captions: CaptionList, *, config: RunConfig, model: RetrievalModel) -> TestClips:
    """One view of each video, without randomness."""
    videos = [replace(video, label=index) for index, video in enumerate(captions.videos)]
    return evaluation_clips(videos, config=config, backbone=model.backbone, num_clips=1, num_crops=1)
