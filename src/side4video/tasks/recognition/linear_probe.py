"""Linear probe: a linear classifier on the frozen model's mean-pooled summary features."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from tqdm import tqdm

from side4video.data.loading.batch import Batch
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.stored_clips import StoredClips
from side4video.tasks.recognition.average_precision import average_precision
from side4video.tasks.recognition.folds import Folds, make_folds
from side4video.tasks.recognition.logistic_regression import (
    DEFAULT_STRENGTH,
    choose,
    cross_validate,
    fit,
    fit_several,
)
from side4video.tasks.recognition.metrics import top_k_accuracy


@torch.no_grad()
def frozen_features(
    backbone: FrozenBackbone, batches: Iterable[Batch], *, device: torch.device, description: str
) -> tuple[Float[ndarray, "V D"], Int[ndarray, "*shape"], list[int]]:
    """Return features, label (several: a vector of 0 and 1) and list index of each video.

    Features are the mean over views and frames of the frozen model's pooled features. Unreadable videos are skipped.

    Raises:
        ValueError: no video could be read.
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
        labels += [views[0].numpy() for views in batch.labels.split(batch.views)]
    if not features:
        raise ValueError(f"No video of the set could be read while computing {description}.")
    return np.stack(features), np.stack(labels), places


class LinearProbe:
    """Multinomial logistic regression on standardised features, stored as weight and bias for raw features.

    With several labels per video it is one logistic regression for each class, of the default strength.

    Args:
        features: (V, D), one row per training video.
        labels: (V,), 0..num_classes-1, or (V, C) with 0 and 1; classes without videos are never predicted.
        num_classes: C.
        folds: folds of the videos. The strength with the smallest held-out log loss is used, which avoids an
            overconfident probe. Without folds it is `DEFAULT_STRENGTH`.
        class_weights: weight of each class in the loss; None: all are 1.

    >>> probe = LinearProbe(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), num_classes=2)
    >>> probe.scores(np.array([[0.0, 1.0], [1.0, 0.0]])).argmax(axis=1).tolist()
    [0, 1]
    """

    def __init__(
        self,
        features: Float[ndarray, "V D"],
        labels: Int[ndarray, "*shape"],
        *,
        num_classes: int,
        folds: Folds | None = None,
        class_weights: Float[ndarray, " C"] | None = None,
    ) -> None:
        strength = DEFAULT_STRENGTH
        options: dict[str, Any] = {"num_classes": num_classes, "class_weights": class_weights}
        if folds is not None and folds.parts and labels.ndim == 1:
            strength = choose(cross_validate(features, labels, folds, **options)).strength
        fit_labels = fit if labels.ndim == 1 else fit_several
        found = fit_labels(features, labels, strength=strength, **options)
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
    class_weights: Float[ndarray, " C"] | None = None,
) -> tuple[LinearProbe, float | None]:
    """Fit a probe on `train`, without augmentation, and measure its top-1 (0..1) on `test`, if given.

    With several labels per video the score is mAP.

    Args:
        backbone: the frozen model.
        train, test: batches of the two sets.
        class_names: C names.
        groups: recording of each training clip, see `make_folds`; None: each clip is its own group.
        device: device of the backbone.
        class_weights: weight of each class in the loss of the probe; None: all are 1.
    """
    features, labels, places = frozen_features(backbone, train, device=device, description="probe features (train)")
    of_clips = None if groups is None else [groups[place] for place in places]
    folds = make_folds(labels.tolist(), of_clips, class_names=class_names) if labels.ndim == 1 else None
    probe = LinearProbe(features, labels, num_classes=len(class_names), folds=folds, class_weights=class_weights)
    if test is None:
        return probe, None
    features, labels, _ = frozen_features(backbone, test, device=device, description="probe features (test)")
    if labels.ndim > 1:
        return probe, average_precision(probe.scores(features), labels).macro
    return probe, top_k_accuracy(probe.scores(features), labels, 1)
