"""Retrieval metrics compared with pure Python, SciPy and scikit-learn, with ties, equal captions, several captions."""

import csv
import json
import tracemalloc
from pathlib import Path
from statistics import mean, median

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import coverage_error, top_k_accuracy_score

from side4video.tasks.retrieval import dual_softmax, metrics, score_storage
from side4video.tasks.retrieval.metrics import retrieval_scores, text_to_video_ranks, video_to_text_ranks
from side4video.tasks.retrieval.scores import QueryResult, RetrievalEvaluation
from side4video.tasks.unread import UnreadVideo

MSRVTT_TEST = Path(__file__).parents[3] / "../shared/data/annotations/MSRVTT/MSRVTT_JSFUSION_test.csv"


def brute_force_rank(own, others, ties):
    better, equal = sum(other > own for other in others), sum(other == own for other in others)
    return 1 + better + equal * {"middle": 0.5, "pessimistic": 1}[ties]


def brute_force_ranks(scores, video_of_caption, ties):
    num_captions, num_videos = len(scores), len(scores[0])
    of_captions = []
    for c, own in enumerate(video_of_caption):
        others = [scores[c][v] for v in range(num_videos) if v != own]
        of_captions.append(brute_force_rank(scores[c][own], others, ties))
    of_videos = []
    for v in range(num_videos):
        best = [max(scores[c][v] for c in range(num_captions) if video_of_caption[c] == u) for u in range(num_videos)]
        of_videos.append(brute_force_rank(best[v], best[:v] + best[v + 1 :], ties))
    return of_captions, of_videos


def random_case(seed, *, levels=None):
    """Up to 9 videos with 1 to 4 captions each, in random order; with `levels`, only so many different scores."""
    generator = np.random.default_rng(seed)
    num_videos = generator.integers(1, 10)
    columns = generator.permutation(np.repeat(np.arange(num_videos), generator.integers(1, 5, num_videos)))
    scores = generator.standard_normal((len(columns), num_videos)).astype(np.float32)
    if levels:
        scores = np.floor(levels * generator.random(scores.shape)).astype(np.float32)
    return scores, columns


@pytest.mark.parametrize("ties", ["middle", "pessimistic"])
@pytest.mark.parametrize("levels", [None, 2, 4])
@pytest.mark.parametrize("seed", range(15))
def test_ranks_equal_brute_force(seed, levels, ties, monkeypatch):
    scores, columns = random_case(seed, levels=levels)
    of_captions, of_videos = brute_force_ranks(scores.tolist(), columns.tolist(), ties)
    for rows in (1, 2, 3, 1000):  # portions that break sets of captions apart
        size = 8 * scores.shape[1] * rows
        monkeypatch.setattr(
            metrics,
            "row_chunks",
            lambda *shape, size=size: score_storage.row_chunks(*shape, chunk_bytes=size),
        )
        assert text_to_video_ranks(scores, columns, ties=ties).tolist() == of_captions
        assert video_to_text_ranks(scores, columns, ties=ties).tolist() == of_videos
    found = retrieval_scores(scores, columns, ties=ties)
    for direction, ranks in ((found.text_to_video, of_captions), (found.video_to_text, of_videos)):
        assert direction.mean_rank == pytest.approx(mean(ranks))
        assert direction.median_rank == median(ranks)
        assert direction.num_queries == len(ranks)
        assert direction.num_candidates == scores.shape[1]
        for k in (1, 5, 10, 50):
            recall = getattr(direction, f"recall_at_{k}")
            assert recall == pytest.approx(mean(rank <= k for rank in ranks))


@pytest.mark.parametrize(("ties", "method"), [("middle", "average"), ("pessimistic", "max")])
def test_ranks_equal_scipy(ties, method):
    generator = np.random.default_rng(0)
    scores = np.round(generator.standard_normal((60, 60)), 1)
    own = np.arange(60)
    expected = rankdata(-scores, method=method, axis=1)[own, own]
    np.testing.assert_array_equal(text_to_video_ranks(scores, own, ties=ties), expected)
    expected = rankdata(-scores, method=method, axis=0)[own, own]
    np.testing.assert_array_equal(video_to_text_ranks(scores, own, ties=ties), expected)


def test_recall_and_mean_rank_equal_scikit_learn():
    generator = np.random.default_rng(0)
    scores, columns = generator.standard_normal((300, 80)), generator.permutation(np.arange(300) % 80)
    found = retrieval_scores(scores, columns).text_to_video
    for k in (1, 5, 10, 50):
        expected = top_k_accuracy_score(columns, scores, k=k, labels=np.arange(80))
        assert getattr(found, f"recall_at_{k}") == pytest.approx(expected)
    coarse = np.round(scores)
    found = retrieval_scores(coarse, columns, ties="pessimistic").text_to_video
    assert found.mean_rank == pytest.approx(coverage_error(np.eye(80)[columns], coarse))


@pytest.mark.parametrize(("ties", "rank"), [("middle", 15.5), ("pessimistic", 30.0)])
def test_a_model_that_scores_everything_alike_gets_one_rank_for_each_query(ties, rank):
    columns = np.repeat(np.arange(30), 3)
    scores = np.full((90, 30), 0.25, dtype=np.float32)
    assert text_to_video_ranks(scores, columns, ties=ties).tolist() == [rank] * 90
    assert video_to_text_ranks(scores, columns, ties=ties).tolist() == [rank] * 30
    found = retrieval_scores(scores, columns, ties=ties)
    assert found.text_to_video.recall_at_1 == found.video_to_text.recall_at_10 == 0.0


def test_equal_captions_of_different_videos_cost_half_a_rank():
    """The model is right about everything, but videos 0 and 1 have the same caption."""
    scores = np.eye(4)
    scores[[0, 1]] = [[1, 1, 0, 0]] * 2
    assert text_to_video_ranks(scores, np.arange(4)).tolist() == [1.5, 1.5, 1, 1]
    assert video_to_text_ranks(scores, np.arange(4)).tolist() == [1.5, 1.5, 1, 1]


@pytest.mark.skipif(not MSRVTT_TEST.exists(), reason="the folder ../shared/data/annotations is not there")
def test_the_test_set_of_msr_vtt_gives_1000_ranks_in_each_direction():
    """995 different sentences of 1000: what counts equal scores as hits gives 1012 ranks from video to text."""
    with MSRVTT_TEST.open(encoding="utf-8", newline="") as file:
        sentences = [row["sentence"] for row in csv.DictReader(file)]
    distinct = sorted(set(sentences))
    assert (len(sentences), len(distinct)) == (1000, 995)
    text = np.random.default_rng(0).standard_normal((995, 64))
    captions = text[[distinct.index(sentence) for sentence in sentences]]
    scores = captions @ captions.T  # videos that are exactly as their captions say
    equal = int((scores == np.diag(scores)).sum())
    assert equal == 1012
    ranks = video_to_text_ranks(scores, np.arange(1000))
    assert ranks.shape == text_to_video_ranks(scores, np.arange(1000)).shape == (1000,)
    assert sorted(ranks)[-9:] == [1.5] * 6 + [2.0] * 3  # three sentences twice, one three times
    assert retrieval_scores(scores, np.arange(1000)).video_to_text.recall_at_1 == 0.991


def test_scores_can_be_a_memory_map(tmp_path):
    scores, columns = random_case(3)
    np.save(tmp_path / "scores.npy", scores)
    mapped = np.load(tmp_path / "scores.npy", mmap_mode="r")
    assert retrieval_scores(mapped, columns) == retrieval_scores(scores, columns)


def test_only_a_few_rows_are_in_memory_at_a_time(monkeypatch):
    scores, columns = np.random.default_rng(0).random((3000, 500), dtype=np.float32), np.arange(3000) % 500
    for module in (metrics, dual_softmax):
        monkeypatch.setattr(module, "row_chunks", lambda *shape: score_storage.row_chunks(*shape, chunk_bytes=100_000))
    for temperature, chunks in ((None, 3), (100.0, 5)):
        tracemalloc.start()
        try:
            retrieval_scores(scores, columns, dual_softmax_temperature=temperature)
            assert (
                100_000 < tracemalloc.get_traced_memory()[1] < chunks * 100_000 + 40 * len(scores) < scores.nbytes / 8
            )
        finally:
            tracemalloc.stop()


def test_results_survive_json():
    scores = retrieval_scores(*random_case(4))
    query = QueryResult("a cat", "a.mp4", 1.5, best=("b.mp4", "a.mp4"), best_scores=(0.5, 0.25))
    unread = (UnreadVideo("c.mp4", "it is empty."),)
    for again in (None, scores):
        found = RetrievalEvaluation("test.csv", "", "wti", 2, 3, scores, again, (query,), unread)
        assert RetrievalEvaluation.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_the_definition_describes_what_was_ranked():
    scores, columns = np.eye(3)[[0, 0, 1, 2]], np.array([0, 0, 1, 2])
    found = retrieval_scores(scores, columns)
    assert found.text_to_video.definition == (
        "Each of 4 captions ranks 3 videos: rank 1 + those that score better than its own + half of those that score "
        "the same."
    )
    assert "Each of 3 videos ranks 3 sets of captions, each by its best of 4:" in found.video_to_text.definition
    assert "Each of 3 videos ranks 3 captions:" in retrieval_scores(np.eye(3), np.arange(3)).video_to_text.definition
    pessimistic = retrieval_scores(scores, columns, ties="pessimistic", dual_softmax_temperature=100)
    assert pessimistic.video_to_text.definition.endswith(
        "than its own + those that score the same, after dual softmax at temperature 100, which assumes that all "
        "queries are known at once and spread evenly over the candidates."
    )


def test_unsigned_column_numbers_work():
    scores, columns = random_case(5)
    assert retrieval_scores(scores, columns.astype(np.uint64)) == retrieval_scores(scores, columns)


@pytest.mark.parametrize(
    ("scores", "columns", "message"),
    [
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), [0, 1], "2 of 4 scores are NaN"),
        (np.zeros((2, 3)), [0, 2], r"1 of 3 videos have no caption \(columns 1\)"),
        (np.zeros((2, 2)), [0, 2], "caption 1 has 2, and the columns are 0 to 1"),
        (np.zeros((2, 2)), [0, -1], "caption 1 has -1"),
        (np.zeros((2, 2)), [0], "2 column numbers are needed"),
        (np.zeros((2, 2)), [0.0, 1.0], "and dtype float64"),
        (np.zeros((0, 0)), np.zeros(0, dtype=int), "no captions and no videos"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(scores, columns, message):
    for function in (text_to_video_ranks, video_to_text_ranks, retrieval_scores):
        with pytest.raises(ValueError, match=message):
            function(scores, np.asarray(columns))


def test_unknown_rules_for_ties_are_refused():
    for function in (text_to_video_ranks, video_to_text_ranks, retrieval_scores):
        with pytest.raises(ValueError, match=r"ties = 'optimistic' is not known. Use middle or pessimistic"):
            function(np.eye(2), np.arange(2), ties="optimistic")


def test_infinite_scores_can_be_ranked():
    scores = np.array([[np.inf, 0.0], [-np.inf, -np.inf]])
    assert text_to_video_ranks(scores, np.arange(2)).tolist() == [1.0, 1.5]
