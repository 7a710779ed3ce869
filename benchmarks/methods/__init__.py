"""Every method that is compared, by name: how it is built on the shared frozen image model, and what its paper says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from methods import (
    aim,
    clip4clip,
    dist,
    evl,
    full_finetuning,
    linear_probe,
    side4video,
    side4video_modules,
    st_adapter,
)


@dataclass(frozen=True)
class Size:
    """An image model and the batch that it is compared at.

    Attributes:
        title: for tables.
        backbone: timm's name.
        batch: clips in a step, as in the paper.
        num_frames: T, that the image model sees of a clip.
    """

    title: str
    backbone: str
    batch: int
    num_frames: int = 8


@dataclass(frozen=True)
class Published:
    """The paper's own claim on Something-Something V2, 8 frames (arXiv 2311.15769, table of training memory)."""

    memory_gb: float
    top1: float


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        title: for tables.
        build: `build(backbone, num_classes=, num_frames=, **options)` gives a module from clips to logits. For
            retrieval: `build(backbone, **options)`, from clips and words to similarities.
        options: by size; sizes that are missing are not run.
        published: by size.
        frame_ratio: frames of a clip for each frame that the image model sees.
        retrieval: whether it learns from texts instead of labels.
    """

    title: str
    build: Callable[..., nn.Module]
    options: Mapping[str, dict[str, Any]]
    published: Mapping[str, Published] = field(default_factory=dict)
    frame_ratio: int = 1
    retrieval: bool = False


SIZES = {
    "b16": Size("ViT-B/16", "vit_base_patch16_clip_quickgelu_224", batch=32),
    "l14": Size("ViT-L/14", "vit_large_patch14_clip_quickgelu_224", batch=16),
    "b32": Size("ViT-B/32", "vit_base_patch32_clip_quickgelu_224", batch=16, num_frames=12),
}


def _recognition(**options: Any) -> dict[str, dict[str, Any]]:
    return {"b16": options, "l14": options}


def _published(b16: tuple[float, float], l14: tuple[float, float]) -> dict[str, Published]:
    return {"b16": Published(*b16), "l14": Published(*l14)}


_FULL = {"b16": {"width": 320, "taps": "all"}, "l14": {"width": 512, "taps": "all"}}
_LIGHT = {"b16": {"width": 192, "taps": "every-second"}, "l14": {"width": 320, "taps": "every-second"}}


def _side4video(size: str, title: str, memory: str) -> Method:
    shape = _FULL if size == "full" else _LIGHT
    published = _published((18.8, 70.2), (37.0, 71.8)) if size == "full" else _published((8.9, 68.6), (15.3, 70.6))
    options = {name: {**values, "memory": memory} for name, values in shape.items()}
    return Method(title, side4video.build, options, published)


METHODS = {
    "side4video-plain": _side4video("full", "Side4Video, plain", "plain"),
    "side4video-exact": _side4video("full", "Side4Video, exact", "exact"),
    "side4video-tight": _side4video("full", "Side4Video, tight", "tight"),
    "side4video-light-plain": _side4video("light", "Side4Video light, plain", "plain"),
    "side4video-light-exact": _side4video("light", "Side4Video light, exact", "exact"),
    "side4video-light-tight": _side4video("light", "Side4Video light, tight", "tight"),
    "side4video-modules": Method(
        "Side4Video of ready-made modules", side4video_modules.build, _FULL, _published((18.8, 70.2), (37.0, 71.8))
    ),
    "dist": Method(
        "DiST", dist.build, _recognition(num_poolings=2), _published((12.7, 68.7), (18.1, 70.8)), frame_ratio=2
    ),
    "evl-4": Method("EVL, 4 layers", evl.build, _recognition(num_layers=4)),
    "evl": Method("EVL, all layers", evl.build, _recognition(), _published((17.9, 61.0), (33.0, 65.1))),
    "st-adapter": Method(
        "ST-Adapter", st_adapter.build, _recognition(per_block=1), _published((28.8, 67.1), (51.4, 70.0))
    ),
    "st-adapter-checkpointed": Method(
        "ST-Adapter, checkpointed",
        st_adapter.build,
        _recognition(per_block=1, checkpointed=True),
        _published((28.8, 67.1), (51.4, 70.0)),
    ),
    "st-adapter-2": Method("ST-Adapter, 2 per block", st_adapter.build, _recognition(per_block=2)),
    "aim": Method("AIM", aim.build, _recognition(), _published((35.2, 66.4), (64.3, 67.6))),
    "aim-checkpointed": Method(
        "AIM, checkpointed", aim.build, _recognition(checkpointed=True), _published((35.2, 66.4), (64.3, 67.6))
    ),
    "full": Method("full fine-tuning", full_finetuning.build, _recognition()),
    "full-checkpointed": Method(
        "full fine-tuning, checkpointed", full_finetuning.build, _recognition(checkpointed=True)
    ),
    "linear-probe": Method("linear probe", linear_probe.build, _recognition()),
    "clip4clip": Method("CLIP4Clip", clip4clip.build, {"b32": {"freeze": "embeddings"}}, retrieval=True),
    "clip4clip-frozen": Method(
        "CLIP4Clip, image tower frozen", clip4clip.build, {"b32": {"freeze": "image tower"}}, retrieval=True
    ),
}
