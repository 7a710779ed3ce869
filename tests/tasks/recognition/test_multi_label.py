"""Several labels per video: loss, scores and thresholds against scikit-learn, NumPy and hand-made numbers."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

from side4video.adapters.adapter import Thresholds
from side4video.config import RunConfig
from side4video.tasks.recognition.evaluate import read_evaluation
from side4video.tasks.recognition.logistic_regression import fit_several
from side4video.tasks.recognition.loss import RecognitionLoss
from side4video.tasks.recognition.multi_label_scores import multi_label_evaluation
from side4video.tasks.recognition.thresholds import best_threshold, choose_thresholds

NAMES = ("a", "b", "c", "d")
LIMITS = Thresholds((0.4, 0.5, 0.6, 0.5), "by hand")


@pytest.fixture(scope="module")
def scored():
    random = np.random.default_rng(0)
    targets = (random.random((50, 4)) < [0.5, 0.3, 0.15, 0]).astype(int)  # no video shows d; some show nothing
    scores = np.clip(0.3 * targets + 0.7 * random.random((50, 4)), 0, 1)
    return scores, targets


def evaluation_of(scored, **options):
    scores, targets = scored
    names = [f"{number}.mp4" for number in range(len(scores))]
    about = {"names": names, "class_names": NAMES, "views": 3, "thresholds": LIMITS}
    return multi_label_evaluation(scores, targets, **about | options)


def test_scores_are_those_of_scikit_learn(scored):
    scores, targets = scored
    found = evaluation_of(scored)
    assert found.score == pytest.approx(average_precision_score(targets[:, :3], scores[:, :3], average="macro"))
    assert found.micro_average_precision == pytest.approx(average_precision_score(targets, scores, average="micro"))
    assert found.average_precision[3] is None
    predicted = scores >= np.array(LIMITS.values)
    wanted = precision_recall_fscore_support(targets, predicted, zero_division=0)
    assert [row.recall for row in found.classes[:3]] == pytest.approx(wanted[1][:3])
    assert [row.precision for row in found.classes] == pytest.approx(wanted[0])
    assert [row.f1 for row in found.classes[:3]] == pytest.approx(wanted[2][:3])
    assert found.macro_f1 == pytest.approx(f1_score(targets[:, :3], predicted[:, :3], average="macro"))
    assert found.micro_f1 == pytest.approx(f1_score(targets, predicted, average="micro"))
    assert found.metric("recall:b") == found.classes[1].recall
    assert found.metric("recall:d") is None


def test_cooccurrence_counts_pairs_of_true_and_predicted_classes(scored):
    scores, targets = scored
    predicted = scores >= np.array(LIMITS.values)
    found = evaluation_of(scored)
    for one in range(4):
        for other in range(4):
            assert found.cooccurrence[one][other] == sum(t[one] and p[other] for t, p in zip(targets, predicted))  # noqa: B905
            assert found.label_pairs[one][other] == sum(t[one] and t[other] for t in targets)


def test_each_video_has_the_classes_above_their_thresholds():
    scores = np.array([[0.39, 0.9, 0.7, 0.1], [0.1, 0.2, 0.1, 0.1]])
    first, second = evaluation_of((scores, np.array([[0, 1, 1, 0], [0, 0, 0, 0]]))).predictions
    assert (first.predicted, first.labels, first.right) == (("b", "c"), ("b", "c"), True)
    assert (second.predicted, second.labels, second.right) == ((), (), True)
    assert first.classes == ("b", "c", "a", "d")


def test_charades_leaves_out_videos_without_labels(scored):
    """The official evaluation puts them last in every ranking, which leaves average precision as without them."""
    scores, targets = scored
    empty = ~targets.any(axis=1)
    assert empty.any()
    last = np.where(empty[:, None], -np.inf, scores)
    order = np.argsort(-last[:, 1], kind="stable")
    hits = targets[order, 1]
    official = (hits * hits.cumsum() / np.arange(1, 51)).sum() / hits.sum()
    found = evaluation_of(scored, unlabelled="ignore")
    assert found.average_precision[1] == pytest.approx(official)
    assert (found.num_videos, found.num_unlabelled) == (50 - empty.sum(), empty.sum())
    assert evaluation_of(scored).average_precision[1] < official


def test_the_file_is_read_again(scored):
    found = evaluation_of(scored)
    content = json.loads(json.dumps(found.to_json()))
    assert read_evaluation(content) == found
    assert content["classes"][2]["threshold"] == 0.6
    assert "fewer than 10 evaluation videos: " in found.warnings()[0]


def test_the_best_threshold_by_brute_force():
    random = np.random.default_rng(2)
    for _ in range(4):
        targets = (random.random(30) < 0.3).astype(int)
        scores = np.round(0.2 * targets + 0.8 * random.random(30), 1)  # with ties
        found = f1_score(targets, scores >= best_threshold(scores, targets))
        assert found == pytest.approx(max(f1_score(targets, scores >= cut) for cut in np.unique(scores)))
    assert best_threshold(np.array([0.2, 0.8]), np.array([0, 0])) == 0.5


def test_rare_classes_share_a_threshold(scored):
    scores, targets = scored
    found = choose_thresholds(scores, targets, source="val.csv", class_names=NAMES)
    assert found.values[0] == best_threshold(scores[:, 0], targets[:, 0])
    assert found.values[3] == best_threshold(scores.ravel(), targets.ravel())
    assert found.origin.startswith("best F1 of each class on 50 videos of val.csv; 1 of 4 classes have fewer than 5")


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_binary_cross_entropy_of_the_classes(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(5, 4, generator=generator), torch.rand(5, 4, generator=generator) < 0.4
    weights = np.array([1.0, 2.0, 0.5, 3.0])
    config = RunConfig.model_validate({"train": {"label_smoothing": smoothing}})
    loss = RecognitionLoss(config, num_classes=4, class_weights=weights, multi_label=True)
    found, right = loss(lambda clips: logits[: len(clips)], torch.zeros(5, 2, 3, 4, 4), labels.long())
    targets = labels.numpy() * (1 - smoothing) + smoothing / 4
    shown = 1 / (1 + np.exp(-logits.double().numpy()))
    losses = -(targets * np.log(shown) + (1 - targets) * np.log(1 - shown))
    wanted = (losses * np.where(labels.numpy(), weights, 1)).mean(axis=1).sum()
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    assert int(right) == sum(bool(row[best]) for row, best in zip(labels, logits.argmax(dim=1), strict=True))


def test_mixed_clips_have_the_labels_of_both():
    labels = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 1]])
    config = RunConfig.model_validate({"train": {"label_smoothing": 0.0}, "augment": {"mixup": 0.8}})
    loss = RecognitionLoss(config, num_classes=4, multi_label=True)
    logits = torch.tensor([[3.0, 3.0, -3.0, 3.0]]).expand(2, 4)
    found, _ = loss(lambda _: logits, torch.zeros(2, 2, 3, 4, 4), labels)
    shown, hidden = np.log1p(np.exp(-3.0)), 3 + np.log1p(np.exp(-3.0))
    # the shares of both clips add up to one of each: three labels shown, three classes at 3 that the other has not
    assert found.item() == pytest.approx((3 * shown + 3 * hidden + 2 * shown) / 4, rel=1e-5)


def test_a_probe_of_several_labels_is_one_regression_per_class():
    random = np.random.default_rng(3)
    features = random.normal(size=(40, 6))
    targets = (features[:, :3] > 0).astype(int)
    targets[:, 2] = 1
    found = fit_several(features, targets, num_classes=3, strength=1e4)
    assert ((found.logits(features) > 0) == targets).mean() > 0.95
    assert (found.logits(features)[:, 2] > 0).all()
