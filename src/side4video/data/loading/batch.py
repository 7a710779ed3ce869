"""A batch of clips, as data loaders yield it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from side4video.data.datasets import Clip, Failure


@dataclass
class Batch:
    """A batch of clips.

    `clips` is float (views of all clips, T, 3, S, S), or what a token cache stores in their place, and `labels` long
    (views of all clips,), clip after clip; of multi-label sets (views of all clips, C) with 0 and 1. `views`,
    `indices`, `names`, `about` and `epochs` have one entry per clip. `failures` are the videos that could not be read;
    if every video failed, `clips` has the shape (0,) and `len(batch)` is 0.

    >>> clip = Clip(frames=torch.zeros(2, 4, 3, 32, 32), labels=[1, 1], index=0, name="a.mp4")
    >>> from pathlib import Path
    >>> batch = collate([clip, Failure(1, "b.mp4", Path("b.mp4"), "there is no such file.")])
    >>> batch.clips.shape, batch.views, batch.failures[0].name
    (torch.Size([2, 4, 3, 32, 32]), [2], 'b.mp4')
    """

    clips: Any
    labels: Tensor
    views: list[int]
    indices: list[int]
    names: list[str]
    failures: list[Failure]
    about: list[Any] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of clips, each of which may have several views."""
        return len(self.views)

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory, from which a GPU reads faster. The loader calls this."""
        return replace(self, clips=self.clips.pin_memory(), labels=self.labels.pin_memory())


def collate(samples: Sequence[Clip | Failure]) -> Batch:
    """Put clips into a batch; failures are listed separately."""
    clips = [sample for sample in samples if isinstance(sample, Clip)]
    frames = torch.cat([clip.frames for clip in clips]) if clips else torch.empty(0)
    labels = torch.tensor([label for clip in clips for label in clip.labels], dtype=torch.long)
    if get_worker_info() is not None:
        _share(frames)
        _share(labels)
    return Batch(
        clips=frames,
        labels=labels,
        views=[len(clip.labels) for clip in clips],
        indices=[clip.index for clip in clips],
        names=[clip.name for clip in clips],
        failures=[sample for sample in samples if isinstance(sample, Failure)],
        about=[clip.about for clip in clips],
        epochs=[clip.epoch for clip in clips],
    )


def _share(tensor: Tensor) -> None:
    """Move a worker's tensor into shared memory.

    PyTorch would do this in a background thread, where an error for lack of space would go unnoticed.
    """
    try:
        tensor.share_memory_()
    except RuntimeError as error:
        raise RuntimeError(
            f"There is no shared memory for a batch of {tensor.nbytes / 1e6:,.0f} MB: {error}. Use fewer workers "
            "(--data.workers); in a container allow more of it, such as docker run --shm-size 8g."
        ) from error
