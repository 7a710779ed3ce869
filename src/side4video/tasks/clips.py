"""Sets of clips, and how they go through a model, from the settings of a run; for all tasks."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import torch

from side4video.adapters.adapter import find_adapter
from side4video.config import DataConfig, EvalConfig, RunConfig
from side4video.data.crops import check_crop_fits
from side4video.data.datasets import TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import EvalTransform, Interpolation, TrainTransform, flip_label_pairs, is_mirrored
from side4video.distributed.processes import print_once
from side4video.models.backbones.loading import FrozenBackbone, default_image_size
from side4video.parameters import check_count
from side4video.system.devices import prefers_bfloat16, supported_dtype
from side4video.video.decoding import VideoCache


def build_sampling(config: DataConfig) -> FrameSampling:
    """How the settings choose frames of a video."""
    return FrameSampling(
        num_frames=config.num_frames, kind=config.sampling, flavour=config.flavour, stride=config.stride
    )


def train_clips(
    videos: Sequence[LabelledVideo],
    *,
    config: RunConfig,
    backbone: FrozenBackbone,
    flip_labels: dict[int, int] | None = None,
    video_cache: VideoCache | None = None,
    num_labels: int | None = None,
) -> TrainClips:
    """Build a training set with random augmentation.

    `flip_labels`: see `flip_label_pairs`; `num_labels`: see `TrainClips`.
    """
    augment = config.augment
    transform = TrainTransform(
        image_size=backbone.image_size,
        mean=backbone.mean,
        std=backbone.std,
        interpolation=_interpolation(backbone),
        resize=augment.resize,
        crop_scale=augment.crop_scale,
        random_crop=augment.random_crop,
        flip=augment.flip,
        flip_labels=flip_labels,
        rand_augment=augment.rand_augment,
        colour_jitter=augment.colour_jitter,
        grey=augment.grey,
        erasing=augment.erasing,
    )
    return TrainClips(
        videos,
        sampling=build_sampling(config.data),
        transform=transform,
        seed=config.seed,
        repeats=config.data.repeats,
        arrow_of_time=config.data.arrow_of_time,
        frame_template=config.data.frame_template,
        fps=config.data.fps,
        cache=video_cache,
        num_labels=num_labels,
    )


def evaluation_clips(
    videos: Sequence[LabelledVideo],
    *,
    config: RunConfig,
    backbone: FrozenBackbone,
    num_clips: int | None = None,
    num_crops: int | None = None,
    video_cache: VideoCache | None = None,
    num_labels: int | None = None,
) -> TestClips:
    """Build an evaluation set without randomness; clips and crops default to the settings.

    `num_labels`: see `TestClips`.
    """
    transform = EvalTransform(
        image_size=backbone.image_size,
        mean=backbone.mean,
        std=backbone.std,
        interpolation=_interpolation(backbone),
        resize=config.test_resize,
        num_crops=config.eval.crops if num_crops is None else num_crops,
        style=config.eval.crop_style,
    )
    return TestClips(
        videos,
        sampling=build_sampling(config.data),
        transform=transform,
        num_clips=config.eval.clips if num_clips is None else num_clips,
        frame_template=config.data.frame_template,
        fps=config.data.fps,
        cache=video_cache,
        num_labels=num_labels,
    )


def video_cache_in(folder: Path | None, config: DataConfig) -> VideoCache:
    """Tables of the video files of a run, next to its cached tokens if it has any, else in `folder`.

    Args:
        folder: a run folder. None: a temporary folder.
        config: `cache` names the folder of the cached tokens.
    """
    folder = config.cache or folder
    return VideoCache(None if folder is None else folder / "frame-tables")


def video_cache_of_adapter(adapter: Path, config: DataConfig) -> VideoCache:
    """The tables of the run that an adapter is part of; temporary ones for an adapter elsewhere."""
    found = find_adapter(adapter)
    return video_cache_in(found.parent if (found.parent / "config.yaml").is_file() else None, config)


def check_resize(config: RunConfig) -> None:
    """Check the sizes of frames before a model is loaded; warn where training and evaluation differ in shape.

    Raises:
        ValueError: frames are resized to less than the crop.
    """
    trained, tested = config.augment.resize, config.test_resize
    backbone = config.backbone
    given = backbone.image_size or backbone.model_args.get("img_size")
    image_size = int(given) if given else default_image_size(backbone.name)
    if image_size is not None and tested is not None:
        name = "augment.resize" if config.eval.resize is None else "eval.resize"
        check_crop_fits(tested if isinstance(tested, tuple) else (tested,), image_size, name)
    if _shape(trained) != _shape(tested):
        print_once(
            f"warning: augment.resize = {trained} {_describe_shape(trained)}, and eval.resize = {tested} "
            f"{_describe_shape(tested)}: the model is tested on frames of another shape than it was trained on. "
            "Leave out eval.resize, or give both in the same form."
        )


def _shape(resize: int | tuple[int, int] | None) -> Fraction | None:
    """Height over width of resized frames; None: the shape of the video."""
    return Fraction(*resize) if isinstance(resize, tuple) else None


def _describe_shape(resize: int | tuple[int, int] | None) -> str:
    return "gives all frames one shape" if isinstance(resize, tuple) else "keeps the shape of the video"


def _interpolation(backbone: FrozenBackbone) -> Interpolation:
    return "bilinear" if backbone.interpolation == "bilinear" else "bicubic"


def choose_workers(workers: int | None) -> int:
    """Number of loader processes: the given one, from 0; by default one per core minus one, 1 to 8."""
    if workers is not None:
        check_count(workers, "workers", minimum=0)
    return max(1, min(8, (os.cpu_count() or 2) - 1)) if workers is None else workers


def videos_per_batch(settings: EvalConfig) -> int:
    """Number of videos whose views fill a forward pass.

    >>> videos_per_batch(EvalConfig(batch=8, clips=2, crops=1))
    4
    """
    return max(1, settings.batch // (settings.clips * settings.crops))


def frozen_dtype(settings: EvalConfig) -> str | None:
    """The number type in which an evaluation loads the frozen part; None: the one that the run used."""
    return "float32" if settings.precision == "fp32" else None


def class_scores(logits: torch.Tensor, *, multi_label: bool) -> torch.Tensor:
    """Scores of classes, 0..1, from logits (..., C): softmax, or sigmoid if a video can show several classes.

    >>> class_scores(torch.zeros(1, 4), multi_label=False), class_scores(torch.zeros(1, 2), multi_label=True)
    (tensor([[0.2500, 0.2500, 0.2500, 0.2500]]), tensor([[0.5000, 0.5000]]))
    """
    return logits.float().sigmoid() if multi_label else logits.float().softmax(dim=-1)


def pool_views(
    scores: torch.Tensor, settings: EvalConfig, *, class_names: Sequence[str], num_crops: int | None = None
) -> torch.Tensor:
    """Join the scores (V, C) of the views of a video as `eval.pool` says.

    In mirrored views, classes such as "turn left" and "turn right" exchange their scores first.

    >>> scores = torch.tensor([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5)  # ten crops of a turn to the left
    >>> pool_views(scores, EvalConfig(crops=10), class_names=["turn left", "turn right"])
    tensor([0.9000, 0.1000])

    Args:
        scores: of all views, clip by clip.
        settings: settings of the evaluation.
        class_names: C names.
        num_crops: crops of each clip. Default: `settings.crops`.
    """
    pairs = flip_label_pairs(class_names)
    mirrored = is_mirrored(len(scores), num_crops or settings.crops)
    if pairs and mirrored.any():
        exchanged = scores[:, [pairs.get(label, label) for label in range(len(class_names))]]
        scores = torch.where(mirrored.to(scores.device)[:, None], exchanged, scores)
    return scores.amax(dim=0) if settings.pool == "max" else scores.mean(dim=0)


def check_outputs(outputs: torch.Tensor) -> torch.Tensor:
    """Return the outputs of a model, which must be finite.

    Raises:
        FloatingPointError: there is NaN or infinity among them.
    """
    if not bool(outputs.isfinite().all()):
        raise FloatingPointError(
            "The model's outputs contain NaN or infinity. If the frozen part or the trained part runs in float16, its "
            "range was exceeded: use --backbone.dtype float32 or bfloat16, and --eval.precision fp32."
        )
    return outputs


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Autocast for the trained part: "fp32", "bf16", "fp16", or "auto" (bf16 on CUDA and XPU, otherwise fp32)."""
    if precision == "auto":
        precision = "bf16" if prefers_bfloat16(device) else "fp32"
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    enabled = supported_dtype(dtype, device) != torch.float32
    return torch.autocast(device.type, dtype=dtype if enabled else torch.bfloat16, enabled=enabled)
