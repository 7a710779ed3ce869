"""Reads and checks the captioned videos of a run, and selects the training subset."""

from dataclasses import dataclass, replace
from pathlib import Path

from side4video.config import DataConfig, RunConfig, TextConfig
from side4video.data.datasets import TestClips
from side4video.data.directions import has_direction
from side4video.data.lists.captions import CaptionList, check_caption_list, read_caption_list
from side4video.data.lists.overlap import check_overlap
from side4video.distributed.processes import print_once
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.text.caption_warnings import describe_unread
from side4video.models.text.text_tower import load_configured_tokeniser
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.subset import choose_videos, describe_choice
from side4video.video.decoding import VideoCache


@dataclass(frozen=True)
class RetrievalData:
    """The captioned videos of a run, checked.

    >>> data = read_caption_data(DataConfig(train=Path("captions.csv")))
    >>> data.train.captions[0], data.test is None
    (('a shape moves anticlockwise',), True)
    """

    train: CaptionList | None
    test: CaptionList | None
    warnings: tuple[str, ...]
    """Warnings about the files, as sentences."""
    choice: str | None = None
    """A sentence about the selected training subset; None if all videos are used."""
    notes: tuple[str, ...] = ()
    """How the lists were understood: splits, columns of times, and the number, videos and captions of shards."""


def read_caption_data(config: DataConfig, *, seed: int | None = None) -> RetrievalData:
    """Read and check the captioned videos named in `config`.

    Args:
        config: data settings.
        seed: seed of the run, by which `config.fraction` selects training videos; these keep all their captions.

    Raises:
        DataError: invalid files, or the two sets overlap; the message lists all problems of a file.
        ValueError: no set is given.
    """
    warnings: list[str] = []
    notes: list[str] = []

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
            columns=config.columns,
        )
        if listed.understood:
            notes.append(f"{split}: {source}: {' '.join(listed.understood)}")
        checked = check_caption_list(listed, allow_missing=config.allow_missing)
        warnings.extend(f"{source}: {warning}" for warning in checked.warnings)
        return checked.captions

    train = read(config.train, config.root, "train")
    test = read(config.test, config.test_root or config.root, "test")
    if train is None and test is None:
        raise ValueError("No videos: give --data.train and --data.test, files of videos and their captions.")
    if train is not None and test is not None:
        warnings += check_overlap(train.videos, test.videos, overlap=config.overlap)
    choice = None
    if train is not None:
        kept = choose_videos(["all"] * len(train.videos), config=config, seed=seed)
        choice = describe_choice(len(kept), len(train.videos), config)
        train = replace(
            train,
            videos=tuple(train.videos[place] for place in kept),
            captions=tuple(train.captions[place] for place in kept),
        )
    return RetrievalData(train, test, tuple(warnings), choice, tuple(notes))


def print_unread_text(*sets: CaptionList | None, config: TextConfig) -> None:
    """Print how many captions of each set the tokeniser truncates or does not know; only the main process prints.

    Raises:
        ValueError, OSError: the tokeniser cannot be loaded, or does not belong to the text tower.
    """
    tokeniser = load_configured_tokeniser(config)
    for captions in filter(None, sets):
        texts = [caption for of_video in captions.captions for caption in of_video]
        for warning in describe_unread(texts, max_words=config.max_words, tokeniser=tokeniser):
            print_once(f"warning: {captions.source}: {warning}")


def mirrored_captions_warning(captions: CaptionList, flip: float) -> str | None:
    """Return a warning about captions with a direction, which mirrored clips contradict, or None.

    Args:
        captions: the training videos.
        flip: `augment.flip`.

    >>> captions = read_caption_data(DataConfig(train=Path("captions.csv"))).train
    >>> mirrored_captions_warning(captions, 0.0) is None
    True
    """
    directed = [caption for of_video in captions.captions for caption in of_video if has_direction(caption)]
    if not flip or not directed:
        return None
    return (
        f"augment.flip = {flip} mirrors clips and keeps their captions. {len(directed)} captions contain left, right, "
        f"clockwise or anticlockwise, such as {directed[0][:80]!r}. Use --augment.flip 0."
    )


def caption_clips(
    captions: CaptionList, *, config: RunConfig, model: RetrievalModel, video_cache: VideoCache | None = None
) -> TestClips:
    """An evaluation set with one view of each video, without randomness."""
    videos = [replace(video, label=index) for index, video in enumerate(captions.videos)]
    return evaluation_clips(
        videos, config=config, backbone=model.backbone, num_clips=1, num_crops=1, video_cache=video_cache
    )
