"""Clips side by side: what a loader hands over."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from side4video.data.datasets import Clip, Failure


@dataclass
class Batch:
    """Clips side by side.

    `clips` is float (views of all clips, T, 3, S, S), or what a token cache has instead of them, and `labels` long
    (views of all clips,), clip after clip; `views`, `indices`, `names` and `about` have one entry per clip. `failures`
    are the videos that could not be read; where nothing could, `clips` has the shape (0,) and `len(batch)` is 0.
    """

    clips: Any
    labels: Tensor
    views: list[int]
    indices: list[int]
    names: list[str]
    failures: list[Failure]
    about: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of clips, each of which may have several views."""
        return len(self.views)

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from where a GPU reads faster. Called by the loader."""
        return replace(self, clips=self.clips.pin_memory(), labels=self.labels.pin_memory())


def collate(samples: Sequence[Clip | Failure]) -> Batch:
    """Put samples side by side; failures are set apart, none is lost."""
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
    )


def _share(tensor: Tensor) -> None:
    """Put a worker's tensor where the main process can see it.

    PyTorch would do that in a thread, when the next video is read; if there is no room, that thread is all who notices.
    """
    try:
        tensor.share_memory_()
    except RuntimeError as error:
        raise RuntimeError(
            f"There is no shared memory for a batch of {tensor.nbytes / 1e6:,.0f} MB: {error}. Use fewer workers "
            "(--data.workers); in a container allow more of it, such as docker run --shm-size 8g."
        ) from error
