"""A linear classifier on the frozen model's mean-pooled summary features: what it knows without a side network."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from tqdm import tqdm

from side4video.data.loading.batch import Batch
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.stored_clips import StoredClips
from side4video.tasks.recognition.folds import Folds, make_folds
from side4video.tasks.recognition.logistic_regression import DEFAULT_STRENGTH, choose, cross_validate, fit
from side4video.tasks.recognition.metrics import top_k_accuracy


@torch.no_grad()
def frozen_features(
    backbone: FrozenBackbone, batches: Iterable[Batch], *, device: torch.device, description: str
) -> tuple[Float[ndarray, "V D"], Int[ndarray, " V"], list[int]]:
    """Per video the mean over views and frames of the frozen model's pooled features, the label, the place in the list.

    Videos that cannot be read are left out.
    """
    last = backbone.num_blocks - 1
    features, labels, places = [], [], []
    for batch in tqdm(batches, desc=description, unit="batch", dynamic_ncols=True, leave=False):
        if not batch.views:
            continue
        stored = batch.clips.pooled if isinstance(batch.clips, StoredClips) else None
        if stored is None:
            (tokens,) = backbone.iterate(batch.clips.to(device), [last])
        pooled = (
            (backbone.pool(tokens) if stored is None else stored).float().mean(dim=1).split(batch.views)
        )  # (views, D) per video
        features += [views.mean(dim=0).cpu().numpy() for views in pooled]
        places += batch.indices
        labels += [int(views[0]) for views in batch.labels.split(batch.views)]
    if not features:
        raise ValueError(f"No video of the set could be read while computing {description}.")
    return np.stack(features), np.array(labels), places


class LinearProbe:
    """Multinomial logistic regression on standardised features, written as weight and bias on the raw features.

    Args:
        features: (V, D), one row per training video.
        labels: (V,), 0..num_classes-1; classes without videos get a score that never wins.
        num_classes: C.
        folds: of the videos; C is the one with the smallest held-out log loss, so that the probe is no more certain
            than it may be. By default, and where there are none, `DEFAULT_STRENGTH`.
    """

    def __init__(
        self,
        features: Float[ndarray, "V D"],
        labels: Int[ndarray, " V"],
        *,
        num_classes: int,
        folds: Folds | None = None,
    ) -> None:
        strength = DEFAULT_STRENGTH
        if folds is not None and folds.parts:
            strength = choose(cross_validate(features, labels, folds, num_classes=num_classes)).strength
        found = fit(features, labels, num_classes=num_classes, strength=strength)
        weight = found.weight * found.scale
        self.weight = weight.astype(np.float32)
        self.bias = (found.bias - weight @ found.mean).astype(np.float32)

    def scores(self, features: Float[ndarray, "V D"]) -> Float[ndarray, "V C"]:
        """Logits of feature vectors (V, D)."""
        return features @ self.weight.T + self.bias


def probe_accuracy(
    backbone: FrozenBackbone,
    *,
    train: Iterable[Batch],
    test: Iterable[Batch] | None,
    class_names: Sequence[str],
    groups: Sequence[str] | None,
    device: torch.device,
) -> tuple[LinearProbe, float | None]:
    """Fit a probe on one set, without augmentation, and measure its top-1 (0..1) on another where there is one.

    Args:
        backbone: the frozen model.
        train, test: batches of the two sets.
        class_names: C names.
        groups: the recording of each training clip, see `make_folds`; None: each clip is its own.
        device: where the backbone is.
    """
    features, labels, places = frozen_features(backbone, train, device=device, description="probe features (train)")
    of_clips = None if groups is None else [groups[place] for place in places]
    folds = make_folds(labels.tolist(), of_clips, class_names=class_names)
    probe = LinearProbe(features, labels, num_classes=len(class_names), folds=folds)
    if test is None:
        return probe, None
    features, labels, _ = frozen_features(backbone, test, device=device, description="probe features (test)")
    return probe, top_k_accuracy(probe.scores(features), labels, 1)
