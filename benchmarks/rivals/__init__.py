"""Other training methods on the same few clips: their list, data, training, and the picture of the comparison.

* arguments.py: what all scripts for few clips take as arguments.
* data_sets.py: the development sets, and their augmented clips as pixels on disk.
* log.py: finished parts of a long benchmark, so that it can be resumed.
* training.py: one rival trained and scored.
* ours.py: the command `train own-clips` and its probes.
* picture.py: plots accuracy against saved bytes and seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from methods import aim, dist, evl, full_finetuning, st_adapter


@dataclass(frozen=True)
class Rival:
    """A method at the size of ViT-Tiny.

    Attributes:
        title: name in tables.
        build: `build(backbone, num_classes=, num_frames=, **options)` gives a module from clips to logits.
        lr: the middle one of the learning rates to try.
        options: widths scale with the image model's as in the papers: half of it for ST-Adapter and DiST's integration
            stream, an eighth for DiST's temporal stream.
        frame_ratio: frames of a clip per frame that the image model reads; each frame is repeated so many times.
    """

    title: str
    build: Callable[..., nn.Module]
    lr: float
    options: dict[str, Any] = field(default_factory=dict)
    frame_ratio: int = 1


RIVALS = {
    "full": Rival("full fine-tuning", full_finetuning.build, lr=1e-4),
    "st-adapter": Rival("ST-Adapter", st_adapter.build, lr=1e-3, options={"width": 96}),
    "aim": Rival("AIM", aim.build, lr=1e-3),
    "evl": Rival("EVL", evl.build, lr=5e-4),
    "dist": Rival("DiST", dist.build, lr=5e-4, options={"width": 96, "temporal_width": 24}, frame_ratio=2),
}
OURS = "own-clips"
"""Name of this package's own row."""
