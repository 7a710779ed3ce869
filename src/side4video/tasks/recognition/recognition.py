"""Action recognition: data, model, loss and evaluation put together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from side4video.adapters.adapter import load_adapter, read_adapter_for
from side4video.config import DataConfig, EvalConfig, RunConfig
from side4video.data.datasets import ARROW_OF_TIME, TrainClips, both_ways
from side4video.data.lists.annotations import LabelledVideo, VideoList, check_video_list, read_video_list
from side4video.data.loading.batch import Batch
from side4video.data.transforms import flip_label_pairs, mix_clips
from side4video.distributed.processes import WAIT_MINUTES, gather_objects, is_main_process, joined_processes, print_once
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.video_model import VideoModel, choose_device
from side4video.tasks.clip_batches import shared_test_batches
from side4video.tasks.clips import autocast, evaluation_clips, train_clips
from side4video.tasks.recognition.evaluation import Evaluation, evaluation_from_scores
from side4video.tasks.subset import choose_videos, describe_choice
from side4video.tasks.unread import UnreadVideo


@dataclass(frozen=True)
class RecognitionData:
    """The videos of a run, checked; each once, see `as_evaluated`."""

    train: VideoList | None
    test: VideoList | None
    class_names: tuple[str, ...]
    """Of the model's outputs; with arrow_of_time these are "forward" and "reversed"."""
    warnings: tuple[str, ...]
    """What is odd about the lists, in sentences."""
    choice: str | None = None
    """Which part of the training videos was chosen, in a sentence."""


def read_data(
    config: DataConfig, *, class_names: Sequence[str] | None = None, seed: int | None = None
) -> RecognitionData:
    """Read and check the lists named in `config`.

    Args:
        config: which sets there are. Classes are in the order of `config.class_names`, else of the training list.
        class_names: the model's classes, where it is trained already: labels are matched with them by name.
        seed: of the run; `config.shots` and `config.fraction` choose training videos by it.

    Raises:
        DataError: anything that would fail later; all problems of a list at once.
        ValueError: no set is named, or a class has fewer training videos than `config.shots`.
    """
    names: Sequence[str] | Path | None = class_names
    if names is None or config.arrow_of_time:
        names = config.class_names
    warnings: list[str] = []
    train = _read_list(config, config.train, config.root, names, "train", warnings)
    choice = None
    if train is not None:
        if not config.arrow_of_time:
            names = train.class_names
        train, choice = _choose(train, config, seed)
    test = _read_list(config, config.test, config.test_root or config.root, names, "test", warnings)
    known = train or test
    if known is None:
        raise ValueError(
            "No videos: give --data.train and --data.test, a folder with one sub-folder per class or a list."
        )
    if config.arrow_of_time:
        train, test = (videos and replace(videos, class_names=ARROW_OF_TIME) for videos in (train, test))
        known = replace(known, class_names=ARROW_OF_TIME)
    return RecognitionData(train, test, known.class_names, tuple(warnings), choice)


def _choose(train: VideoList, config: DataConfig, seed: int | None) -> tuple[VideoList, str | None]:
    """The part of the training videos that the settings want, and a sentence about it."""
    kept = choose_videos(
        [video.label for video in train.videos], config=config, seed=seed, names=dict(enumerate(train.class_names))
    )
    chosen = replace(train, videos=tuple(train.videos[place] for place in kept))
    return chosen, describe_choice(len(kept), len(train.videos), config)


def _read_list(
    config: DataConfig,
    source: Path | None,
    root: Path | None,
    names: Sequence[str] | Path | None,
    split: str,
    warnings: list[str],
) -> VideoList | None:
    if source is None:
        return None
    has_parts = config.format in {"ucf101", "hmdb51"}
    listed = read_video_list(
        source,
        root=root,
        format=config.format,
        class_names=names,
        delimiter=config.delimiter,
        split=split if has_parts else None,
        fold=config.fold,
        first_label=config.first_label,
        outside_root=config.outside_root,
    )
    checked = check_video_list(listed, allow_missing=config.allow_missing)
    warnings += [f"{source}: {warning}" for warning in checked.warnings]
    return checked.videos


def as_evaluated(videos: VideoList, config: DataConfig) -> list[LabelledVideo]:
    """The videos that are scored: each one, or with arrow_of_time each one forward and reversed."""
    return both_ways(videos.videos) if config.arrow_of_time else list(videos.videos)


def training_clips(data: RecognitionData, *, config: RunConfig, backbone: FrozenBackbone) -> TrainClips:
    """The randomly augmented training set."""
    if data.train is None:
        raise ValueError("No training set: give --data.train.")
    flip_labels = None if config.data.arrow_of_time else flip_label_pairs(data.class_names)
    return train_clips(data.train.videos, config=config, backbone=backbone, flip_labels=flip_labels)


class RecognitionLoss:
    """Cross-entropy with label smoothing, mixup and cutmix, as the training settings say.

    Args:
        config: settings of the run.
        num_classes: C.
    """

    def __init__(self, config: RunConfig, *, num_classes: int) -> None:
        self.num_classes = num_classes
        self.label_smoothing = config.train.label_smoothing
        self.mixup, self.cutmix = config.augment.mixup, config.augment.cutmix

    def __call__(self, model: VideoModel, clips: Float[Tensor, "B T 3 H W"], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the losses over the clips, and the number of clips whose label has the best logit."""
        targets = labels
        if (self.mixup or self.cutmix) and len(clips) > 1:
            clips, targets = mix_clips(
                clips, labels, num_classes=self.num_classes, mixup_alpha=self.mixup, cutmix_alpha=self.cutmix
            )
        logits = model(clips).float()
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")
        return loss, (logits.detach().argmax(dim=1) == labels).sum()


@torch.no_grad()
def score_views(
    model: nn.Module, clips: Float[Tensor, "V T 3 H W"], *, device: torch.device, chunk: int
) -> Float[Tensor, "V C"]:
    """Softmax scores of clips, `chunk` at a time; puts the model in eval mode."""
    model.eval()
    with autocast(device, "auto" if device.type == "cuda" else "fp32"):
        return torch.cat([model(part.to(device)).float().softmax(dim=1) for part in clips.split(chunk)])


def evaluate(
    model: nn.Module, batches: Iterable[Batch], *, class_names: tuple[str, ...], device: torch.device, chunk: int
) -> Evaluation:
    """Score every video once; the softmax is averaged over a video's views. Unreadable videos are reported.

    With several processes each gives its own batches, and all get the same result.

    Args:
        model: clips in, logits out; put in eval mode and left there.
        batches: from a test loader.
        class_names: of the model's outputs.
        device: where the model is.
        chunk: views per forward pass.
    """
    found: list[tuple[int, Tensor, int, str]] = []  # place in the list, scores, label, name
    unread: list[tuple[int, UnreadVideo]] = []
    views = 1
    for batch in tqdm(
        batches, desc="evaluate", unit="batch", dynamic_ncols=True, leave=False, disable=not is_main_process()
    ):
        unread += [(failure.index, UnreadVideo(failure.name, failure.reason)) for failure in batch.failures]
        if not batch.views:
            continue
        views = batch.views[0]
        by_view = score_views(model, batch.clips, device=device, chunk=chunk).cpu()
        scores = [part.mean(dim=0) for part in by_view.split(batch.views)]
        labels = [int(part[0]) for part in batch.labels.split(batch.views)]
        found += zip(batch.indices, scores, labels, batch.names, strict=True)
    found = sorted((row for part in gather_objects(found) for row in part), key=itemgetter(0))
    unread = sorted((row for part in gather_objects(unread) for row in part), key=itemgetter(0))
    return evaluation_from_scores(
        (torch.stack([row[1] for row in found]) if found else torch.zeros(0, len(class_names))).numpy(),
        torch.tensor([row[2] for row in found], dtype=torch.long).numpy(),
        names=[row[3] for row in found],
        class_names=class_names,
        views=max(gather_objects(views)),
        unread=tuple(video for _, video in unread),
    )


def evaluate_adapter(
    folder: Path,
    *,
    data: DataConfig,
    settings: EvalConfig,
    device: str = "auto",
    backbone_weights: str | None = None,
    timeout_minutes: float = WAIT_MINUTES,
) -> Evaluation:
    """Load an adapter and score it on `data.test`; labels are matched with its classes by name.

    Processes that torchrun or SLURM started together take a share each, and all return the same.

    Args:
        folder: an adapter folder, a run folder, or a name on the Hugging Face hub.
        data: names the set.
        settings: views of each video, and how many go through the model at a time.
        device: "auto", "cpu", "cuda", ...
        backbone_weights: local weights of the backbone; by default what training used.
        timeout_minutes: that one of several processes waits for the others.

    Raises:
        DataError: the set cannot be used, or has classes that the adapter does not know.
        ValueError, FileNotFoundError: the adapter cannot be used.
    """
    class_names = read_adapter_for("recognition", folder).class_names
    place = choose_device(device)
    with joined_processes(place, timeout_minutes=timeout_minutes):
        videos = read_data(data.model_copy(update={"train": None}), class_names=class_names)
        for warning in videos.warnings:
            print_once(f"warning: {warning}")
        if videos.test is None:
            raise ValueError("No evaluation set: give --data.test.")
        model, adapter = load_adapter(folder, device=place, backbone_weights=backbone_weights)
        assert isinstance(model, VideoModel)
        config = adapter.config.model_copy(update={"data": data, "eval": settings})
        clips = evaluation_clips(as_evaluated(videos.test, data), config=config, backbone=model.backbone)
        batches = shared_test_batches(clips, config)
        return evaluate(model, batches, class_names=class_names, device=place, chunk=settings.batch)
