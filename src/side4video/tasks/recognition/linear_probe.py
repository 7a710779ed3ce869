"""A linear classifier on the frozen model's mean-pooled summary features: what it knows without a side network."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from side4video.data.loading.batch import Batch
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.stored_clips import StoredClips
from side4video.tasks.recognition.metrics import top_k_accuracy


@torch.no_grad()
def frozen_features(
    backbone: FrozenBackbone, batches: Iterable[Batch], *, device: torch.device, description: str
) -> tuple[Float[ndarray, "V D"], Int[ndarray, " V"]]:
    """Per video the mean over views and frames of the frozen model's pooled features, and the labels.

    Videos that cannot be read are left out.
    """
    last = backbone.num_blocks - 1
    features, labels = [], []
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
        labels += [int(views[0]) for views in batch.labels.split(batch.views)]
    if not features:
        raise ValueError(f"No video of the set could be read while computing {description}.")
    return np.stack(features), np.array(labels)


class LinearProbe:
    """Multinomial logistic regression on standardised features, written as weight and bias on the raw features.

    Args:
        features: (V, D), one row per training video.
        labels: (V,), 0..num_classes-1; classes without videos get a score that never wins.
        num_classes: C.
    """

    def __init__(self, features: Float[ndarray, "V D"], labels: Int[ndarray, " V"], *, num_classes: int) -> None:
        mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
        present = np.unique(labels)
        if len(present) < 2:
            raise ValueError(f"A linear probe needs videos of two classes or more; found {len(present)}.")
        model = LogisticRegression(max_iter=2000).fit((features - mean) / std, labels)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(present) == 2:  # scikit-learn keeps one row for two classes; as softmax logits they are -row/2, +row/2
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercepts = np.concatenate([-intercepts, intercepts]) / 2
        self.weight = np.zeros((num_classes, features.shape[1]), dtype=np.float32)
        self.bias = np.full(num_classes, -10.0 + intercepts.min(), dtype=np.float32)
        self.weight[present] = coefficients / std
        self.bias[present] = intercepts - (coefficients * (mean / std)).sum(axis=1)

    def scores(self, features: Float[ndarray, "V D"]) -> Float[ndarray, "V C"]:
        """Logits of feature vectors (V, D)."""
        return features @ self.weight.T + self.bias


def probe_accuracy(
    backbone: FrozenBackbone,
    *,
    train: Iterable[Batch],
    test: Iterable[Batch] | None,
    num_classes: int,
    device: torch.device,
) -> tuple[LinearProbe, float | None]:
    """Fit a probe on one set, without augmentation, and measure its top-1 (0..1) on another where there is one."""
    probe = LinearProbe(
        *frozen_features(backbone, train, device=device, description="probe features (train)"), num_classes=num_classes
    )
    if test is None:
        return probe, None
    features, labels = frozen_features(backbone, test, device=device, description="probe features (test)")
    return probe, top_k_accuracy(probe.scores(features), labels, 1)
