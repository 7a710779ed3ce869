"""Precision, recall, F1, average precision and confidence intervals against scikit-learn, SciPy and brute force."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from side4video.tasks.recognition.average_precision import average_precision
from side4video.tasks.recognition.class_table import few_videos_warning
from side4video.tasks.recognition.metrics import wilson_interval
from side4video.tasks.recognition.scores import Evaluation, evaluation_from_scores

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    labels = random.choice(4, size=60, p=[0.6, 0.2, 0.15, 0.05])  # class e has no video
    scores = random.random((60, 5)) + 0.5 * np.eye(5)[labels]
    return scores / scores.sum(axis=1, keepdims=True), labels


@pytest.fixture(scope="module")
def evaluation(scored):
    scores, labels = scored
    return evaluation_from_scores(
        scores, labels, names=[f"{number}.mp4" for number in range(60)], class_names=NAMES, views=1
    )


def test_precision_recall_and_f1_are_those_of_scikit_learn(scored, evaluation):
    scores, labels = scored
    expected = precision_recall_fscore_support(labels, scores.argmax(axis=1), labels=range(5), zero_division=np.nan)
    for place, row in enumerate(evaluation.classes):
        assert row.videos == expected[3][place]
        for found, wanted in zip((row.precision, row.recall), (expected[0][place], expected[1][place]), strict=True):
            assert (found is None and np.isnan(wanted)) or found == pytest.approx(wanted)
    assert [row.f1 for row in evaluation.classes[:4]] == pytest.approx(expected[2][:4])
    assert evaluation.classes[4].f1 is None
    assert evaluation.macro_f1 == pytest.approx(
        f1_score(labels, scores.argmax(axis=1), labels=range(4), average="macro")
    )


def precision_at_each_positive(scores, targets):
    """Average precision in words: for each positive, the share of positives among all that score at least as high."""
    shares = [targets[scores >= score].mean() for score, target in zip(scores, targets, strict=True) if target]
    return np.mean(shares)


def test_average_precision_by_brute_force():
    random = np.random.default_rng(1)
    scores, targets = random.integers(0, 12, size=(40, 4)) / 12, (random.random((40, 4)) < 0.2).astype(int)  # with ties
    targets[:, 3] = 0
    found = average_precision(scores, targets)
    expected = [precision_at_each_positive(scores[:, place], targets[:, place]) for place in range(3)]
    assert found.classes[:3] == pytest.approx(expected)
    assert found.classes[3] is None
    assert found.macro == pytest.approx(np.mean(expected))
    assert found.micro == pytest.approx(precision_at_each_positive(scores.ravel(), targets.ravel()))
    assert average_precision(scores, 0 * targets).macro == 0


@pytest.mark.parametrize(("right", "total"), [(0, 5), (5, 5), (9, 12), (37, 200)])
def test_the_interval_is_wilsons(right, total):
    expected = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high))


def test_few_videos_get_a_warning_and_many_do_not(evaluation):
    (warning,) = evaluation.warnings()
    low, high = binomtest(round(evaluation.top1 * 60), 60).proportion_ci(0.95, method="wilson")
    assert f"on 60 videos: its 95 % confidence interval is {low:.1%} to {high:.1%} (Wilson)" in warning
    assert few_videos_warning("top-1", 500, 1000) is None
    assert few_videos_warning("top-1", 0, 0) is None


@pytest.mark.parametrize("name", [None, "top1", "top5", "mean-class", "macro-f1", "mAP", "recall:c"])
def test_each_metric_can_select_the_best_adapter(evaluation, name):
    wanted = {
        None: evaluation.top1,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "mean-class": evaluation.mean_class_accuracy,
        "macro-f1": evaluation.macro_f1,
        "mAP": evaluation.mean_average_precision,
        "recall:c": evaluation.classes[2].recall,
    }
    assert evaluation.metric(name) == wanted[name]
    assert evaluation.metric("recall:e") is None


def test_the_file_holds_the_scores_of_each_class_and_is_read_again(evaluation):
    content = json.loads(json.dumps(evaluation.to_json()))
    assert content["classes"][0]["recall"] == evaluation.classes[0].recall
    assert content["top1_interval"] == pytest.approx(wilson_interval(round(evaluation.top1 * 60), 60))
    assert Evaluation.from_json(content) == evaluation
    del content["mean_average_precision"]  # as in files of earlier versions
    assert Evaluation.from_json(content).mean_average_precision is None
