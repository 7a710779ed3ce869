"""Feature vectors of videos from a recognition adapter, for search, clustering or a classifier of your own.

side    what the adapter's classifier reads: the side network's tokens after the head's norm, averaged over frames and
        patches (or over the cells of `head.grid`). It depends on the training and on changes over time.
frozen  the image model alone: the summary token of its last block after its final norm, averaged over frames. It is the
        same for all adapters of this backbone, except for the frames that they read.

Both are averaged over the views of a video and are not normalised.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from side4video.data.datasets import Failure
from side4video.data.loading.batch import Batch
from side4video.inference.embedding_file import write_arrays
from side4video.models.video_model import VideoModel, choose_device
from side4video.tasks.clips import autocast, check_outputs
from side4video.tasks.unread import NoReadableVideosError, UnreadVideo, separate_failures

Part = Literal["side", "frozen", "both"]
"""Which features: of the side network, of the frozen image model, or both."""


@dataclass(frozen=True)
class ClipFeatures:
    """Features of videos, one row each.

    Attributes:
        paths: paths of the V readable videos, as given.
        side: (V, F), see the file's description; None if not requested.
        frozen: (V, D); None if not requested.
        unread: the unreadable videos, each with the reason.

    >>> from side4video import Predictor
    >>> features = Predictor("adapter", device="cpu").features("clip.mp4", part="both")
    >>> features.side.shape, features.frozen.shape
    (torch.Size([1, 8]), torch.Size([1, 32]))
    """

    paths: tuple[str, ...]
    side: Float[Tensor, "V F"] | None
    frozen: Float[Tensor, "V D"] | None
    unread: tuple[UnreadVideo, ...]


def check_part(model: VideoModel, part: str) -> None:
    """Check that a model has the requested features.

    Raises:
        ValueError: the name is unknown, or the adapter has no side network.
    """
    if part not in get_args(Part):
        raise ValueError(f"{part = } is not known. Use one of {', '.join(get_args(Part))}.")
    if part != "frozen" and not model.has_side_features:
        raise ValueError(f"{part = }: this adapter is a probe without a side network. Use part frozen.")


@dataclass(frozen=True)
class FeatureBatches:
    """Computes features of batches of one video each, averaged over its views: yields index and features, or failure.

    Features are a pair of side (F,) and frozen (D,), on the CPU; without a side network, side is None.

    Attributes:
        model: in eval mode, on `device`.
        device: device of the model.
        chunk: views per forward pass.

    >>> from side4video import Predictor
    >>> predictor = Predictor("adapter", device="cpu")
    >>> list(FeatureBatches(predictor.model, predictor.device, chunk=8)([]))
    []
    """

    model: VideoModel
    device: torch.device
    chunk: int

    def on_device(self, name: str) -> "FeatureBatches":
        """The same with its model on another device."""
        device = choose_device(name)
        return replace(self, model=self.model.to(device), device=device)

    def __call__(self, batches: Iterable[Batch]) -> Iterator[tuple[int, "_Row | Failure"]]:
        """Yield the index of each video with its features, or with the failure."""
        for batch in batches:
            yield from ((failure.index, failure) for failure in batch.failures)
            if len(batch):
                yield batch.indices[0], self._features(batch)

    @torch.inference_mode()
    def _features(self, batch: Batch) -> "_Row":
        with autocast(self.device, "auto"):
            views = [self.model.features(views.to(self.device)) for views in batch.clips.split(self.chunk)]
        sides = [side for side, _ in views if side is not None]
        side = torch.cat(sides).float().mean(dim=0).cpu() if sides else None
        return side, torch.cat([one for _, one in views]).float().mean(dim=0).cpu()


_Row = tuple[Tensor | None, Tensor]


def join_features(results: Mapping[int, _Row | Failure], names: Sequence[str], *, part: Part) -> ClipFeatures:
    """The features of all readable videos, in the order of their indices.

    Args:
        results: of `FeatureBatches`, by index.
        names: names of all videos.
        part: which features.

    Raises:
        NoReadableVideosError: no video can be read.
        FloatingPointError: a feature is not finite.
    """
    found, unread = separate_failures(results)
    if not found:
        raise NoReadableVideosError(unread)
    sides = [side for side, _ in found.values() if side is not None]
    return ClipFeatures(
        paths=tuple(names[index] for index in found),
        side=check_outputs(torch.stack(sides)) if part != "frozen" else None,
        frozen=check_outputs(torch.stack([frozen for _, frozen in found.values()])) if part != "side" else None,
        unread=unread,
    )


def write_features(path: Path, features: ClipFeatures, *, normalise: bool = False) -> None:
    """Write features, atomically: the arrays `side` (V, F) and `frozen` (V, D), and the names in `paths`.

    With `normalise`, each row has length 1.
    """
    arrays = {"side": features.side, "frozen": features.frozen}
    given = {name: array for name, array in arrays.items() if array is not None}
    if normalise:
        given = {name: F.normalize(array, dim=-1) for name, array in given.items()}
    write_arrays(path, given, {"paths": features.paths})
