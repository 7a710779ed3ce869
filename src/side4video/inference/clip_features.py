"""Feature vectors of videos from a recognition adapter, for search, clustering or a classifier of your own.

side    what the adapter's classifier reads: the side network's tokens after the head's norm, averaged over frames and
        patches (or over the cells of `head.grid`). It depends on the training and on changes over time.
frozen  the image model alone: the summary token of its last block after its final norm, averaged over frames. It is the
        same for all adapters of this backbone, except for the frames that they read.

Both are averaged over the views of a video and are not normalised.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from side4video.data.loading.batch import Batch
from side4video.distributed.processes import gather_objects
from side4video.inference.embedding_file import write_arrays
from side4video.models.video_model import VideoModel
from side4video.tasks.clips import autocast, check_outputs
from side4video.tasks.unread import UnreadVideo

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


@torch.inference_mode()
def extract_features(
    model: VideoModel,
    batches: Iterable[Batch],
    names: list[str],
    *,
    part: Part,
    device: torch.device,
    chunk: int,
    shared: bool,
) -> ClipFeatures:
    """Features of all clips of a loader, averaged over the views of each video.

    Args:
        model: in eval mode, on `device`.
        batches: one video each.
        names: names of all videos, by index.
        part: which features.
        device: device of the model.
        chunk: views per forward pass.
        shared: each joined process has its own share of the videos, and all get all results.

    Raises:
        ValueError: no video can be read.
        FloatingPointError: a feature is not finite.
    """
    found: dict[int, tuple[Tensor | None, Tensor]] = {}
    unread: dict[int, str] = {}
    for batch in batches:
        unread |= {failure.index: failure.reason for failure in batch.failures}
        if len(batch):
            with autocast(device, "auto"):
                views = [model.features(views.to(device)) for views in batch.clips.split(chunk)]
            sides = [side for side, _ in views if side is not None]
            side = torch.cat(sides).float().mean(dim=0).cpu() if sides else None
            found[batch.indices[0]] = side, torch.cat([one for _, one in views]).float().mean(dim=0).cpu()
    if shared:
        found = {index: row for part_of in gather_objects(found) for index, row in part_of.items()}
        unread = {index: reason for part_of in gather_objects(unread) for index, reason in part_of.items()}
    failed = tuple(UnreadVideo(names[index], unread[index]) for index in sorted(unread))
    if not found:
        reasons = "; ".join(f"{video.name}: {video.reason}" for video in failed[:10])
        raise ValueError(f"None of the {len(names)} videos can be read: {reasons}")
    rows = [found[index] for index in sorted(found)]
    return ClipFeatures(
        paths=tuple(names[index] for index in sorted(found)),
        side=check_outputs(torch.stack([row[0] for row in rows if row[0] is not None])) if part != "frozen" else None,
        frozen=check_outputs(torch.stack([row[1] for row in rows])) if part != "side" else None,
        unread=failed,
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
