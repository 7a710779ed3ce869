"""Classification metrics against scikit-learn and brute force."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, top_k_accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from side4video.tasks.recognition.metrics import class_accuracies, confusion_matrix, mean_class_accuracy, top_k_accuracy
from side4video.tasks.recognition.scores import evaluation_from_scores
from side4video.tasks.unread import UnreadVideo


@pytest.fixture
def scored():
    generator = np.random.default_rng(0)
    return generator.random((200, 7)), generator.integers(0, 7, 200)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_equals_scikit_learn(scored, k):
    scores, labels = scored
    assert top_k_accuracy(scores, labels, k) == pytest.approx(top_k_accuracy_score(labels, scores, k=k))


def test_confusion_and_class_means_equal_scikit_learn(scored):
    scores, labels = scored
    predicted = scores.argmax(axis=1)
    confusion = confusion_matrix(predicted, labels, 7)
    np.testing.assert_array_equal(confusion, sklearn_confusion(labels, predicted))
    assert mean_class_accuracy(confusion) == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_a_constant_output_scores_zero():
    assert top_k_accuracy(np.ones((10, 4)), np.zeros(10, dtype=int), 1) == 0.0


def test_classes_without_videos_have_no_accuracy():
    confusion = confusion_matrix(np.array([0, 1]), np.array([0, 0]), 3)
    assert class_accuracies(confusion)[0] == 0.5
    assert np.isnan(class_accuracies(confusion)[1:]).all()
    assert mean_class_accuracy(confusion) == 0.5


def test_evaluation_counts_and_reports(scored):
    scores, labels = scored
    names = [f"clip{i}" for i in range(200)]
    unread = (UnreadVideo("broken.mp4", "no frames"),)
    classes = tuple("abcdefg")
    result = evaluation_from_scores(scores, labels, names=names, class_names=classes, views=6, unread=unread)
    assert result.top1 == pytest.approx(accuracy_score(labels, scores.argmax(axis=1)))
    assert sum(prediction.right for prediction in result.predictions) == round(result.top1 * 200)
    assert result.headline()["unread"] == 1
    assert len(result.predictions[0].classes) == 5
    assert "broken" not in {prediction.name for prediction in result.predictions}
    assert "1 could not be read" in str(result.table().title)


def test_an_evaluation_without_readable_videos_is_an_error():
    with pytest.raises(ValueError, match="None of the 1 videos can be read: a: empty"):
        evaluation_from_scores(
            np.zeros((0, 2)),
            np.zeros(0, dtype=int),
            names=[],
            class_names=("x", "y"),
            views=1,
            unread=(UnreadVideo("a", "empty"),),
        )
