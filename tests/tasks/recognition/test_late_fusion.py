"""Weights of a sum of logits: by brute force, and measured on rows that did not choose them."""

import itertools

import numpy as np
import pytest

from side4video.tasks.recognition.late_fusion import cross_fused, fusion_weights

CLASSES = 3


def logits_of(labels, *, clearness, seed):
    """Logits of a classifier that is right where the clearness is large against noise of 1."""
    noise = np.random.default_rng(seed).standard_normal((len(labels), CLASSES))
    return noise + clearness * np.eye(CLASSES)[labels]


def log_loss(weights, logits, labels):
    fused = sum(weight * own for weight, own in zip(weights, logits, strict=True))
    shares = np.exp(fused) / np.exp(fused).sum(axis=1, keepdims=True)
    return -np.log(shares[np.arange(len(labels)), labels]).mean()


LABELS = np.arange(60) % CLASSES
GOOD, WEAK, BAD = (logits_of(LABELS, clearness=c, seed=seed) for seed, c in enumerate((1.5, 0.7, -1.0)))


def test_no_weights_on_a_grid_have_a_smaller_loss():
    logits = np.stack([GOOD, WEAK, BAD])
    found = fusion_weights(logits, LABELS)
    grid = itertools.product(np.arange(0, 3, 0.2), repeat=3)
    assert log_loss(found, logits, LABELS) <= min(log_loss(weights, logits, LABELS) for weights in grid)
    assert found[0] > found[1] > 0
    assert found[2] == 0  # what is wrong more often than guessing is left out, not reversed


def test_an_overconfident_classifier_is_calibrated():
    calibrated = fusion_weights(GOOD[None], LABELS)[0]
    assert fusion_weights(10 * GOOD[None], LABELS)[0] == pytest.approx(calibrated / 10, rel=1e-3)


def test_each_fold_is_fused_with_the_weights_of_the_others():
    logits, folds = np.stack([GOOD, WEAK]), [np.arange(0, 20), np.arange(20, 50)]  # rows 50 to 59 are never held out
    fused = cross_fused(logits, LABELS, folds)
    for own, other in (folds, folds[::-1]):
        weights = fusion_weights(logits[:, other], LABELS[other])
        np.testing.assert_allclose(fused[own], np.tensordot(weights, logits[:, own], 1))
    assert np.isnan(fused[50:]).all()


def test_labels_of_a_fold_do_not_change_how_it_is_fused():
    logits, folds = np.stack([GOOD, WEAK]), [np.arange(0, 30), np.arange(30, 60)]
    poisoned = LABELS.copy()
    poisoned[folds[0]] = (LABELS[folds[0]] + 1) % CLASSES
    before, after = (cross_fused(logits, labels, folds) for labels in (LABELS, poisoned))
    np.testing.assert_array_equal(before[folds[0]], after[folds[0]])
    assert not np.array_equal(before[folds[1]], after[folds[1]])


def test_a_single_fold_is_fused_with_equal_weights():
    logits = np.stack([GOOD, WEAK])
    np.testing.assert_allclose(cross_fused(logits, LABELS, [np.arange(60)]), logits.mean(axis=0))
