"""Multinomial logistic regression for few clips and many features; cross-validation chooses its strength."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from threadpoolctl import threadpool_limits

from side4video.tasks.recognition.folds import Folds
from side4video.tasks.recognition.metrics import label_ranks

STRENGTHS = tuple(float(value) for value in np.logspace(-1, 5, 7))
"""Candidates for C, in units of 1 / number of features, so that they suit any number of standardised features."""
DEFAULT_STRENGTH = 10.0
"""Strength if cross-validation is not possible."""


@dataclass(frozen=True)
class Fitted:
    """A linear classifier on raw features: logits = (features - mean) * scale @ weight.T + bias.

    >>> found = fit(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), num_classes=2)
    >>> found.logits(np.array([[0.0, 1.0]])).argmax().item()
    0
    """

    mean: Float[ndarray, " F"]
    scale: Float[ndarray, " F"]
    weight: Float[ndarray, "C F"]
    bias: Float[ndarray, " C"]

    def logits(self, features: Float[ndarray, "V F"]) -> Float[ndarray, "V C"]:
        """Logits of feature vectors."""
        return (features - self.mean) * self.scale @ self.weight.T + self.bias


@dataclass(frozen=True)
class CrossValidated:
    """Result of cross-validation for one value of C.

    Attributes:
        strength: C, in units of 1 / number of features.
        loss: mean log loss of the held-out clips.
        losses: log loss of each held-out clip, in the order of `Folds.scored`.
        right: whether each held-out clip was recognised, in the order of `Folds.scored`.
        right_by_fold: share of recognised clips among the held-out clips of each fold.
        logits: logits of each row (V, C); NaN for rows that are never held out.

    >>> logits = np.zeros((2, 2))
    >>> weak = CrossValidated(1.0, 0.7, losses=(0.4, 1.0), right=(True, False), right_by_fold=(0.5,), logits=logits)
    >>> strong = CrossValidated(10.0, 0.6, losses=(0.5, 0.7), right=(True, True), right_by_fold=(1.0,), logits=logits)
    >>> choose([weak, strong]).strength
    10.0
    """

    strength: float
    loss: float
    losses: tuple[float, ...]
    right: tuple[bool, ...]
    right_by_fold: tuple[float, ...]
    logits: Float[ndarray, "V C"] = field(compare=False, repr=False)


def standardisation(features: Float[ndarray, "V F"]) -> tuple[Float[ndarray, " F"], Float[ndarray, " F"]]:
    """Mean and inverse standard deviation of each feature; 0 instead of the inverse for constant features."""
    deviation = features.std(axis=0)
    constant = deviation <= 1e-6 * np.abs(features).max(axis=0, initial=0)
    return features.mean(axis=0), np.where(constant, 0, 1 / np.where(constant, 1, deviation))


def fit(
    features: Float[ndarray, "V F"],
    labels: Int[ndarray, " V"],
    *,
    num_classes: int,
    strength: float = DEFAULT_STRENGTH,
    class_weights: Float[ndarray, " C"] | None = None,
) -> Fitted:
    """Fit on standardised features; classes without clips get a bias so low that they are never predicted.

    Args:
        features: one row per clip.
        labels: 0..num_classes-1.
        num_classes: C.
        strength: C of the logistic regression, in units of 1 / number of features.
        class_weights: weight of each class in the loss; None: 1.

    Raises:
        ValueError: all clips are of one class.
    """
    mean, scale = standardisation(features)
    rows = (features - mean) * scale
    basis, reduced = _reduce(rows)
    ((weight, bias),) = _fit_reduced(reduced, labels, num_classes, [strength / rows.shape[1]], class_weights)
    return Fitted(mean, scale, weight @ basis.T, bias)


def fit_several(
    features: Float[ndarray, "V F"],
    labels: Int[ndarray, "V C"],
    *,
    num_classes: int,
    strength: float = DEFAULT_STRENGTH,
    class_weights: Float[ndarray, " C"] | None = None,
) -> Fitted:
    """Fit one logistic regression for each class of videos with several labels; arguments as in `fit`.

    A class that no clip shows gets a bias so low that it is never predicted, and one that all show is always predicted.

    >>> found = fit_several(np.array([[0.0], [1.0], [2.0]]), np.array([[0, 0], [1, 0], [1, 0]]), num_classes=2)
    >>> (found.logits(np.array([[2.0]])) > 0).tolist()
    [[True, False]]
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = standardisation(features)
    rows = (features - mean) * scale
    basis, reduced = _reduce(rows)
    weight, bias = np.zeros((num_classes, rows.shape[1])), np.full(num_classes, -10.0)
    for place, shown in enumerate(labels.T):
        if shown.min() == shown.max():
            bias[place] = 10.0 if shown.min() else -10.0
            continue
        by_class = None if class_weights is None else {0: 1.0, 1: float(class_weights[place])}
        model = LogisticRegression(C=strength / rows.shape[1], max_iter=2000, class_weight=by_class)
        model.fit(reduced, shown)
        weight[place], bias[place] = basis @ model.coef_[0], model.intercept_[0]
    return Fitted(mean, scale, weight, bias)


def _reduce(rows: Float[ndarray, "V F"]) -> tuple[Float[ndarray, "F R"], Float[ndarray, "V R"]]:
    """Return an orthonormal basis of the rows, whose span contains the solution, and the rows in it; R <= V.

    Both are float64: in float32, directions of rounding errors would count as features, and fits would end early.
    """
    rows = rows.astype(np.float64)
    if rows.shape[1] <= len(rows):
        return np.eye(rows.shape[1]), rows
    if not rows.any():  # all features are constant, as those of motion in clips that do not move
        return np.eye(rows.shape[1], 1), rows[:, :1]
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > values.max() * 1e-7
    lengths = np.sqrt(values[kept])
    return rows.T @ (vectors[:, kept] / lengths), vectors[:, kept] * lengths


def _fit_reduced(
    rows: Float[ndarray, "V R"],
    labels: Int[ndarray, " V"],
    num_classes: int,
    cs: Sequence[float],
    class_weights: Float[ndarray, " C"] | None = None,
) -> Iterator[tuple[Float[ndarray, "C R"], Float[ndarray, " C"]]]:
    """Yield weight and bias for each value of C; a fit starts from the one before."""
    from sklearn.linear_model import LogisticRegression  # takes a second; every report imports this module

    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(f"A probe needs clips of two classes or more; found {len(present)}.")
    by_class = None if class_weights is None else dict(enumerate(class_weights.tolist()))
    model = LogisticRegression(max_iter=2000, warm_start=True, class_weight=by_class)
    for c in cs:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The number of unique classes")  # few clips of many classes are usual
            model.set_params(C=c).fit(rows, labels)
        weights, biases = model.coef_, model.intercept_
        if len(present) == 2:  # scikit-learn keeps one row for two classes; as softmax logits they are -row/2, +row/2
            weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
        weight = np.zeros((num_classes, rows.shape[1]))
        bias = np.full(num_classes, -10.0 + biases.min())
        weight[present], bias[present] = weights, biases
        yield weight, bias


def cross_validate(
    features: Float[ndarray, "V F"],
    labels: Int[ndarray, " V"],
    folds: Folds,
    *,
    num_classes: int,
    class_weights: Float[ndarray, " C"] | None = None,
    clips: Int[ndarray, " V"] | None = None,
) -> list[CrossValidated]:
    """Held-out log loss and recognised clips for each of `STRENGTHS`, over the same folds; other arguments as in `fit`.

    Args:
        folds: indices of rows.
        clips: clip of each row; the softmax of a clip's held-out rows is averaged. None: each row is a clip.
    """
    with threadpool_limits(1):  # several threads are slower on matrices this small
        return _cross_validate(features, labels, folds, num_classes, class_weights, clips)


def _cross_validate(
    features: ndarray,
    labels: ndarray,
    folds: Folds,
    num_classes: int,
    class_weights: ndarray | None,
    clips: ndarray | None,
) -> list[CrossValidated]:
    held_logits = {strength: np.full((len(labels), num_classes), np.nan) for strength in STRENGTHS}
    for train, held in folds.parts:
        mean, scale = standardisation(features[train])
        basis, reduced = _reduce((features[train] - mean) * scale)
        others = (features[held] - mean) * scale @ basis
        cs = [value / features.shape[1] for value in STRENGTHS]
        fits = _fit_reduced(reduced, labels[train], num_classes, cs, class_weights)
        for strength, (weight, bias) in zip(STRENGTHS, fits, strict=True):
            held_logits[strength][held] = others @ weight.T + bias
    return [
        score_held_out(strength, logits, labels, folds, class_weights, clips)
        for strength, logits in held_logits.items()
    ]


def score_held_out(
    strength: float,
    logits: ndarray,
    labels: ndarray,
    folds: Folds,
    class_weights: ndarray | None = None,
    clips: ndarray | None = None,
) -> CrossValidated:
    """Score a candidate by its held-out logits (V, C); rows that are never held out are ignored.

    `clips`: clip of each row; the softmax of a clip's rows is averaged, as a test does. None: each row is a clip.
    """
    rows = folds.scored
    logs = logits[rows] - np.logaddexp.reduce(logits[rows], axis=1, keepdims=True)
    _, first, clip = np.unique(rows if clips is None else clips[rows], return_index=True, return_inverse=True)
    probabilities = np.zeros((len(first), logits.shape[1]))
    np.add.at(probabilities, clip, np.exp(logs) / np.bincount(clip)[clip, None])
    label_of = labels[rows[first]]
    right = label_ranks(probabilities, label_of) == 1
    losses = -np.log(np.maximum(probabilities[np.arange(len(first)), label_of], np.finfo(float).tiny))
    if class_weights is not None:
        losses = losses * class_weights[label_of]
    return CrossValidated(
        strength,
        float(losses.mean()),
        tuple(losses.tolist()),
        tuple(bool(value) for value in right),
        tuple(float(right[np.unique(clip[np.isin(rows, held)])].mean()) for _, held in folds.parts),
        logits,
    )


def choose(found: Sequence[CrossValidated]) -> CrossValidated:
    """Return the candidate with the smallest held-out log loss, on ties the weakest."""
    return min(found, key=lambda one: (one.loss, one.strength))
