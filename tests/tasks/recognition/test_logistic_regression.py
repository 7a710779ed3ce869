"""Logistic regression: against scikit-learn on all features, and a strength that held-out clips prefer."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from side4video.tasks.recognition.folds import make_folds
from side4video.tasks.recognition.logistic_regression import choose, cross_validate, fit


def clips(num_features, *, classes=3, seed=0, count=30, signal=1.0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = random.normal(size=(count, num_features)) * random.uniform(0.1, 9, num_features) + 3
    features[np.arange(count), labels] += signal * 9
    return features, labels


@pytest.mark.parametrize("num_features", [8, 200])
@pytest.mark.parametrize("classes", [2, 3])
def test_fit_equals_scikit_learn_on_standardised_features(num_features, classes):
    features, labels = clips(num_features, classes=classes)
    found = fit(features, labels, num_classes=classes, strength=5.0)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    model = LogisticRegression(C=5.0 / num_features, tol=1e-8, max_iter=10_000).fit(standard, labels)
    expected = model.predict_proba(standard)
    logits = found.logits(features)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, expected, atol=2e-3)


def test_a_class_without_clips_never_wins():
    features, labels = clips(8)
    assert fit(features, labels, num_classes=5).logits(features).argmax(axis=1).max() == 2


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="two classes or more; found 1"):
        fit(np.ones((3, 2)), np.zeros(3, dtype=int), num_classes=2)


def test_constant_features_have_no_weight():
    features, labels = clips(8)
    wider = np.concatenate([features, np.full((30, 1), 1e6)], axis=1)
    assert fit(wider, labels, num_classes=3).scale[-1] == 0


@pytest.mark.parametrize("num_features", [1, 50])  # fewer and more than clips
def test_clips_whose_features_are_all_constant_get_the_shares_of_the_classes(num_features):
    features, labels = np.full((8, num_features), 3.0), np.array([0, 0, 0, 1] * 2)
    found = fit(features, labels, num_classes=2).logits(features[:1] + 1)[0]
    assert np.exp(found[0] - found[1]) == pytest.approx(3, rel=1e-3)
    folds = make_folds(labels.tolist(), None, class_names="ab", num_folds=2)
    assert choose(cross_validate(features, labels, folds, num_classes=2)).right == (True, True, True, False) * 2


def test_noise_gets_a_weak_probe_and_signal_a_strong_one():
    strengths = {}
    for signal in (0.0, 3.0):
        features, labels = clips(60, signal=signal, count=60)
        folds = make_folds(labels.tolist(), None, class_names="abc")
        strengths[signal] = choose(cross_validate(features, labels, folds, num_classes=3)).strength
    assert strengths[0.0] < strengths[3.0]


def test_held_out_clips_are_judged_by_models_that_did_not_see_them():
    features, labels = clips(500, signal=0.0, count=60)  # enough features to fit any labels
    folds = make_folds(labels.tolist(), None, class_names="abc")
    assert all(np.mean(one.right) < 0.6 for one in cross_validate(features, labels, folds, num_classes=3))
    assert (fit(features, labels, num_classes=3, strength=1e4).logits(features).argmax(axis=1) == labels).all()


def test_ties_count_against_held_out_clips_as_in_a_test():
    """Clips that all look the same: no class is preferred, so none is recognised."""
    features, labels = np.full((8, 5), 3.0), np.array([0, 1] * 4)
    folds = make_folds(labels.tolist(), None, class_names="ab", num_folds=2)
    assert not any(choose(cross_validate(features, labels, folds, num_classes=2)).right)


def test_features_of_32_bits_are_fitted_as_precisely_as_of_64():
    features, labels = clips(400, signal=0.3, count=24)
    features, folds = features.astype(np.float32), make_folds(labels.tolist(), None, class_names="abc")
    single, double = (
        cross_validate(given, labels, folds, num_classes=3) for given in (features, features.astype(float))
    )
    assert [one.loss for one in single] == pytest.approx([one.loss for one in double], rel=1e-6)


def test_a_clip_of_each_of_many_classes_gives_no_warning():
    features = np.eye(30) + np.random.default_rng(0).normal(0, 0.1, (30, 30))
    assert (fit(features, np.arange(30), num_classes=30).logits(features).argmax(axis=1) == np.arange(30)).all()
