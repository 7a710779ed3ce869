"""Weights of classes against scikit-learn and the formula, their file, and what they do in the loss."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from side4video.config import RunConfig, TrainConfig
from side4video.data.lists.text_files import DataError
from side4video.tasks.recognition.class_weights import class_weights, describe_weights, read_class_weights
from side4video.tasks.recognition.loss import RecognitionLoss

NAMES = ("run", "jump", "fall down")
COUNTS = np.array([60, 30, 10])


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat(np.arange(3), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights(TrainConfig(class_weights="balanced"), COUNTS, NAMES) == pytest.approx(expected)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_effective_weights_follow_their_formula_and_have_mean_1_over_the_clips(beta):
    found = class_weights(TrainConfig(class_weights="effective", class_weights_beta=beta), COUNTS, NAMES)
    effective = np.array([sum(beta**power for power in range(count)) for count in COUNTS])  # 1 + beta + beta^2 + ...
    assert found / found[0] == pytest.approx(effective[0] / effective)
    assert (found * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)


def test_a_class_without_clips_has_weight_1():
    counts = np.array([6, 0, 2])
    assert class_weights(TrainConfig(class_weights="balanced"), counts, NAMES).tolist() == pytest.approx([2 / 3, 1, 2])


def test_a_file_gives_every_weight(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text("class,weight\nFall_down,3\nrun, 0.5\n\njump,1\n")
    assert class_weights(TrainConfig(class_weights=path), COUNTS, NAMES).tolist() == [0.5, 1.0, 3.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("run,1\njump,1\n", "has no weight for 'fall down'"),
        ("run,1\njump,1\nfall down,1\nrun,2\n", "more than one weight for 'run'"),
        ("run,1\njmp,1\nfall down,1\n", "(?s)line 2: jmp.*is near 'jump'.*no weight for 'jump'"),
        ("run,1\njump,-1\nfall down,nan\n", r"not a class and a number above 0: 'line 2: jump,-1', 'line 3: fall down"),
        ("run\n", "line 1: run"),
        ("", "no weight for 'run', 'jump', 'fall down'"),
    ],
)
def test_a_wrong_file_names_its_lines_and_classes(tmp_path, text, complaint):
    path = tmp_path / "weights.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_class_weights(path, NAMES)


def test_a_missing_file_names_the_other_choices():
    with pytest.raises(DataError, match=r"'balancd'.*no such file\. Use balanced, effective"):
        class_weights(TrainConfig.model_validate({"class_weights": "balancd"}), COUNTS, NAMES)


def test_the_log_names_the_ends():
    weights = class_weights(TrainConfig(class_weights="balanced"), COUNTS, NAMES)
    said = describe_weights(weights, COUNTS, NAMES, "balanced")
    assert "'run' 0.556 (60 clips) to 'fall down' 3.33 (10 clips); mean over the training clips 1." in said


MIXED = {"train": {"label_smoothing": 0.3}, "augment": {"mixup": 0.8}}


def loss_of(logits, labels, weights, **groups):
    config = RunConfig.model_validate({"train": {"label_smoothing": 0.0}} | groups)
    loss = RecognitionLoss(config, num_classes=3, class_weights=weights)
    value, right = loss(lambda clips: logits[: len(clips)], torch.zeros(len(labels), 2, 3, 4, 4), labels)
    return value.item(), int(right)


def test_the_loss_of_a_clip_is_weighted_by_its_class():
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 2, 1])
    weights = np.array([0.5, 2.0, 7.0])
    losses = (logits.logsumexp(dim=1) - logits[range(4), labels]).double().numpy()
    found, right = loss_of(logits, labels, weights)
    assert found == pytest.approx((losses * weights[labels]).sum(), rel=1e-5)
    assert right == int((logits.argmax(dim=1) == labels).sum())
    assert loss_of(logits, labels, None)[0] == pytest.approx(losses.sum(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_perfect_model_of_unequal_classes_predicts_the_frequent_one(smoothing):
    """The best probabilities for a clip are its smoothed target, whatever the weights are: here, without a model."""
    counts = np.array([1000, 5])
    weights = class_weights(TrainConfig(class_weights="balanced"), counts, ["walk", "fall"])
    loss = RecognitionLoss(
        RunConfig.model_validate({"train": {"label_smoothing": smoothing}}), num_classes=2, class_weights=weights
    )
    target = torch.tensor([[1 - smoothing / 2, smoothing / 2]]).clamp(min=1e-4).log().requires_grad_()
    value, _ = loss(lambda _: target, torch.zeros(1, 2, 3, 4, 4), torch.tensor([0]))
    value.backward()
    assert target.grad.abs().max() < 1e-3
    assert value.item() == pytest.approx(weights[0] * -(target.exp() * target).sum().item(), abs=1e-3)


def test_smoothed_losses_are_weighted_by_the_class_of_the_clip():
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 2, 1])
    weights = np.array([0.5, 2.0, 7.0])
    log_shares = (logits - logits.logsumexp(dim=1, keepdim=True)).double().numpy()
    losses = -(0.7 * log_shares[range(4), labels] + 0.1 * log_shares.sum(axis=1))
    found, _ = loss_of(logits, labels, weights, train={"label_smoothing": 0.3})
    assert found == pytest.approx((losses * weights[labels]).sum(), rel=1e-5)
    parts = [
        loss_of(logits[[place, place]], labels[[place, place]], weights, train={"label_smoothing": 0.3})[0] / 2
        for place in range(4)
    ]
    mixed = [
        loss_of(logits[[place, place]], labels[[place, (place + 1) % 4]], weights, **MIXED)[0] for place in range(4)
    ]
    assert found == pytest.approx(sum(parts), rel=1e-5)
    others = [
        loss_of(logits[[place, place]], labels[[(place + 1) % 4] * 2], weights, train={"label_smoothing": 0.3})[0] / 2
        for place in range(4)
    ]
    assert mixed == pytest.approx([one + other for one, other in zip(parts, others, strict=True)], rel=1e-5)


def test_mixed_clips_are_weighted_by_both_classes():
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 2])  # a uniform model: log 3 for every class
    weights = np.array([1.0, 1.0, 5.0])
    torch.manual_seed(0)
    found, _ = loss_of(logits, labels, weights, augment={"mixup": 0.8})
    assert found == pytest.approx((1 + 5) * np.log(3), rel=1e-5)  # the shares of two mixed clips add up to one of each


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        (
            {"train": {"class_weights": "balanced"}, "data": {"sampling_weights": "balanced"}},
            "rare classes would count",
        ),
        ({"train": {"class_weights": "balanced"}, "search": "quick"}, "--search off"),
        ({"train": {"best_by": "mAP"}, "probe": {"name": "linear"}}, "train.best_by.*--probe.name none"),
        ({"data": {"sampling_weights": "balanced", "arrow_of_time": True}}, "leave out data.sampling_weights"),
        ({"train": {"class_weights": "balanced", "batch": 4}, "task": "retrieval"}, "not supported by task retrieval"),
        ({"train": {"best_by": "macro-f2"}}, "Did you mean 'macro-f1'"),
        ({"train": {"best_by": "recall:"}}, "or recall:CLASS"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(groups, complaint):
    with pytest.raises(ValueError, match=complaint):
        RunConfig.model_validate(groups)


def test_the_names_of_scores_have_any_case():
    assert TrainConfig(best_by="map").best_by == "mAP"
    assert TrainConfig(best_by="recall:Fall down").best_by == "recall:Fall down"
