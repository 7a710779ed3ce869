"""Metrics of arbitrary scores, compared with counting in a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from side4video.tasks.recognition.metrics import class_accuracies, confusion_matrix, mean_class_accuracy, top_k_accuracy
from side4video.tasks.retrieval.metrics import retrieval_scores, text_to_video_ranks, video_to_text_ranks

values = st.sampled_from([-2.0, -0.0, 0.0, 0.5, 0.5000001, 1.0, 1e30])  # few, so that there are ties


@st.composite
def classified(draw):
    videos, classes = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    scores = draw(arrays(np.float64, (videos, classes), elements=values))
    return scores, np.array(draw(st.lists(st.integers(0, classes - 1), min_size=videos, max_size=videos)))


@st.composite
def captioned(draw):
    videos = draw(st.integers(1, 6))
    owners = [*range(videos), *draw(st.lists(st.integers(0, videos - 1), max_size=6))]
    owners = np.array(draw(st.permutations(owners)))
    return draw(arrays(np.float64, (len(owners), videos), elements=values)), owners


@given(classified(), st.integers(1, 6))
def test_top_k_by_counting(case, k):
    scores, labels = case
    found = sum(sum(score >= row[label] for score in row) <= k for row, label in zip(scores, labels, strict=True))
    assert top_k_accuracy(scores, labels, k) == found / len(labels)


@given(classified())
def test_confusion_by_counting(case):
    scores, labels = case
    predicted, count = scores.argmax(axis=1), scores.shape[1]
    confusion = confusion_matrix(predicted, labels, count)
    pairs = list(zip(labels.tolist(), predicted.tolist(), strict=True))
    assert confusion.tolist() == [[pairs.count((row, column)) for column in range(count)] for row in range(count)]
    shares = [pairs.count((c, c)) / labels.tolist().count(c) for c in range(count) if c in labels]
    accuracies = class_accuracies(confusion)
    assert accuracies[~np.isnan(accuracies)].tolist() == shares
    assert mean_class_accuracy(confusion) == pytest.approx(sum(shares) / len(shares))


def rank(own, all_scores, ties):
    equal = sum(score == own for score in all_scores) - 1
    return 1 + sum(score > own for score in all_scores) + equal * (0.5 if ties == "middle" else 1)


@given(captioned(), st.sampled_from(["middle", "pessimistic"]))
def test_ranks_by_counting(case, ties):
    scores, owners = case
    expected = [rank(row[owner], row, ties) for row, owner in zip(scores, owners, strict=True)]
    assert text_to_video_ranks(scores, owners, ties=ties).tolist() == expected
    videos = range(scores.shape[1])
    sets = [[max(scores[owners == of, video]) for of in videos] for video in videos]
    expected = [rank(sets[video][video], sets[video], ties) for video in videos]
    assert video_to_text_ranks(scores, owners, ties=ties).tolist() == expected


@given(captioned(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_captions_and_videos(case, chance):
    scores, owners = case
    rows, columns = list(range(len(scores))), list(range(scores.shape[1]))
    chance.shuffle(rows)
    chance.shuffle(columns)
    place = np.argsort(columns)
    one, other = retrieval_scores(scores, owners), retrieval_scores(scores[rows][:, columns], place[owners[rows]])
    assert other.text_to_video.mean_rank == pytest.approx(one.text_to_video.mean_rank)
    assert other.video_to_text.recall_at_1 == pytest.approx(one.video_to_text.recall_at_1)
    assert other.text_to_video.median_rank == one.text_to_video.median_rank


@given(captioned())
def test_equal_scores_rank_in_the_middle(case):
    scores, owners = case
    found = retrieval_scores(np.zeros_like(scores), owners)
    assert found.text_to_video.mean_rank == found.video_to_text.mean_rank == (scores.shape[1] + 1) / 2
    assert (
        retrieval_scores(np.zeros_like(scores), owners, ties="pessimistic").text_to_video.mean_rank == scores.shape[1]
    )
