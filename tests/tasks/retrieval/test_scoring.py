"""Score matrices compared with a double loop over words and frames, for any order and block size; memory is counted."""

import tracemalloc

import numpy as np
import pytest
import torch

from side4video.memory.tracking import AllocationTracker
from side4video.models.similarity import TextFeatures, VideoFeatures, similarity
from side4video.tasks.retrieval.score_matrix import score_matrix

WIDTH, PLACES, FRAMES = 16, 6, 3


def captions_of(sentences, *, width=WIDTH, places=PLACES, seed=0, causal=True):
    """Random word embeddings; causal: functions of the words before, so that equal prefixes are equal."""
    generator = torch.Generator().manual_seed(seed)
    known = {}

    def embedding(beginning):
        if not causal or beginning not in known:
            known[beginning] = torch.randn(width, generator=generator)
        return known[beginning]

    words = torch.randn(len(sentences), places, width, generator=generator)  # anything where there is no word
    mask = torch.zeros(len(sentences), places, dtype=torch.bool)
    for row, sentence in enumerate(sentences):
        tokens = tuple(sentence.split())
        for place in range(len(tokens)):
            words[row, place] = embedding(tokens[: place + 1])
            mask[row, place] = True
    weights = torch.rand(mask.shape, generator=generator).masked_fill(~mask, -torch.inf).softmax(dim=1)
    return TextFeatures(words, mask, weights, torch.randn(len(sentences), width, generator=generator))


def random_videos(count, *, width=WIDTH, frames=FRAMES, seed=1):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(count, frames, generator=generator).softmax(dim=1)
    return VideoFeatures(torch.randn(count, frames, width, generator=generator), weights)


def in_type(features, dtype):
    return features.map(lambda x: x if x.dtype == torch.bool else x.to(dtype))


SENTENCES = (
    "a",
    "a man",
    "a man is",
    "a man is running",
    "a man is running fast",
    "a man is running fast today",
    "a man is cooking",
    "a man is running fast today",
    "the dog",
    "a man",
    "the dog is in a car",
)
"""Every length up to that of the longest, which fills all six places; equal ones, and beginnings of others."""


def looped(texts, videos):
    """The definition, one word and one frame at a time, in double precision."""
    words, frames = texts.words.double().numpy(), videos.frames.double().numpy()
    result = np.zeros((len(words), len(frames)))
    for c in range(len(words)):
        for v in range(len(frames)):
            table = np.zeros((words.shape[1], frames.shape[1]))
            for w in range(words.shape[1]):
                for t in range(frames.shape[1]):
                    if texts.mask[c, w]:
                        one, other = words[c, w], frames[v, t]
                        table[w, t] = one @ other / np.sqrt((one @ one) * (other @ other))
            of_words = sum(float(texts.weights[c, w]) * max(table[w]) for w in range(len(table)))
            of_frames = sum(float(videos.weights[v, t]) * max(table[:, t]) for t in range(table.shape[1]))
            result[c, v] = (of_words + of_frames) / 2
    return result


def smallest_working_bytes(texts, videos):
    with pytest.raises(ValueError, match="too little for one caption and one video") as error:
        score_matrix(texts, videos, working_bytes=8)
    return int(str(error.value).split()[-1].rstrip("."))


@pytest.mark.parametrize("causal", [True, False])
def test_wti_equals_the_double_loop(causal):
    texts, videos = captions_of(SENTENCES, causal=causal), random_videos(7)
    scores = score_matrix(texts, videos)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, looped(texts, videos), atol=1e-6)
    np.testing.assert_allclose(scores, similarity(texts, videos, "wti"), atol=1e-6)


def test_mean_pool_equals_the_formula():
    texts, videos = captions_of(SENTENCES), random_videos(7)
    means = videos.frames.double().numpy().mean(axis=1)
    expected = np.array([[s @ m / np.sqrt((s @ s) * (m @ m)) for m in means] for s in texts.sentence.double().numpy()])
    np.testing.assert_allclose(score_matrix(texts, videos, similarity="mean-pool"), expected, atol=1e-6)
    assert np.abs(expected - looped(texts, videos)).max() > 0.1


def test_padding_counts_as_similarity_zero():
    """All similarities are -1. Padding has similarity 0, which is the best word of each frame."""
    texts = captions_of(["a man is running fast", "a man is running fast today"])
    texts.words[:] = torch.ones(WIDTH)
    videos = VideoFeatures(-torch.ones(1, FRAMES, WIDTH), torch.full((1, FRAMES), 1 / FRAMES))
    np.testing.assert_allclose(score_matrix(texts, videos), [[-0.5], [-1.0]], atol=1e-6)


def test_words_can_be_at_any_position():
    texts, videos = captions_of(SENTENCES), random_videos(4)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    moved = TextFeatures(texts.words[:, order], texts.mask[:, order], texts.weights[:, order], texts.sentence)
    np.testing.assert_allclose(score_matrix(moved, videos), looped(texts, videos), atol=1e-6)


def test_permuted_input_gives_permuted_scores():
    texts, videos = captions_of(SENTENCES), random_videos(7)
    captions, columns = torch.randperm(len(texts)), torch.randperm(len(videos))
    permuted = score_matrix(texts.map(lambda x: x[captions]), videos.map(lambda x: x[columns]))
    np.testing.assert_allclose(permuted, score_matrix(texts, videos)[captions][:, columns], atol=1e-6)


def test_equal_captions_get_the_same_bits():
    """Otherwise rounding would rank them. Captions 1 and 9 are equal, and 5 and 7."""
    texts, videos = captions_of(SENTENCES, width=64), random_videos(70, width=64)
    texts.weights[[9, 7]] = texts.weights[[1, 5]]
    least = smallest_working_bytes(texts, videos)
    for working_bytes in (least, 2 * least, 100 * least):
        scores = score_matrix(texts, videos, working_bytes=working_bytes)
        np.testing.assert_array_equal(scores[[1, 5]], scores[[9, 7]])


@pytest.mark.parametrize("kind", ["wti", "mean-pool"])
def test_the_block_size_does_not_change_scores(kind):
    texts, videos = captions_of(SENTENCES), random_videos(7)
    expected, least = similarity(texts, videos, kind), smallest_working_bytes(texts, videos)
    for working_bytes in (least, least + 100, 2 * least, 5 * least, 100 * least):
        scores = score_matrix(texts, videos, similarity=kind, working_bytes=working_bytes)
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_sixteen_bit_features_are_computed_in_32_bits():
    texts, videos = captions_of(SENTENCES), random_videos(7)
    texts, videos = in_type(texts, torch.bfloat16), in_type(videos, torch.bfloat16)
    np.testing.assert_allclose(score_matrix(texts, videos), looped(texts, videos), atol=1e-6)


def test_autocast_does_not_affect_scores():
    texts, videos = captions_of(SENTENCES), random_videos(7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = score_matrix(texts, videos)
    np.testing.assert_allclose(scores, looped(texts, videos), atol=1e-6)


def test_one_caption_and_one_video():
    texts, videos = captions_of(["a man"]), random_videos(1)
    np.testing.assert_allclose(score_matrix(texts, videos), looped(texts, videos), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["wti", "mean-pool"])
def test_working_memory_stays_below_the_setting(kind, dtype):
    """Counted separately: allocations of PyTorch, and of Python with NumPy."""
    generator = np.random.default_rng(0)
    sentences = [" ".join(generator.choice(list("abcdefgh"), generator.integers(2, 12))) for _ in range(120)]
    texts, videos = captions_of(sentences, width=64, places=12), random_videos(100, width=64)
    texts, videos = in_type(texts, dtype), in_type(videos, dtype)
    for working_bytes in (50_000, 200_000, 1_000_000):
        with AllocationTracker() as tracker:
            tracker.count([*vars(texts).values(), *vars(videos).values()], "features")
            score_matrix(texts, videos, similarity=kind, working_bytes=working_bytes)
        assert 0 < tracker.highest["workspace"] <= working_bytes
        tracemalloc.start()
        try:
            scores = score_matrix(texts, videos, similarity=kind, working_bytes=working_bytes)
            in_python = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert scores.nbytes < in_python <= working_bytes + scores.nbytes + 100 * texts.mask.numel()


def test_a_large_result_is_in_a_temporary_file(tmp_path):
    texts, videos = captions_of(SENTENCES), random_videos(7)
    scores = score_matrix(texts, videos, in_memory_bytes=4 * len(texts) * len(videos) - 1, folder=tmp_path)
    assert isinstance(scores, np.memmap)
    assert not list(tmp_path.iterdir())
    np.testing.assert_allclose(scores, looped(texts, videos), atol=1e-6)
    assert not isinstance(score_matrix(texts, videos, in_memory_bytes=4 * len(texts) * len(videos)), np.memmap)


def test_embeddings_of_different_models_are_refused():
    with pytest.raises(ValueError, match="Words have 16 channels and frames 8"):
        score_matrix(captions_of(SENTENCES), random_videos(2, width=8))


@pytest.mark.parametrize(("captions", "videos"), [(0, 2), (2, 0)])
def test_empty_inputs_are_refused(captions, videos):
    with pytest.raises(ValueError, match=f"There are {captions} captions and {videos} videos"):
        score_matrix(captions_of(["a", "b"][:captions]), random_videos(videos))


def test_unknown_similarities_are_refused():
    with pytest.raises(ValueError, match="similarity = 'cosine' is not known"):
        score_matrix(captions_of(["a"]), random_videos(1), similarity="cosine")


def test_captions_without_a_word_are_refused():
    texts = captions_of(["a man", "", "a"])
    with pytest.raises(ValueError, match=r"1 captions \(numbers 1\) have no word"):
        score_matrix(texts, random_videos(2))


def test_progress_is_shown_only_for_long_computations(capsys, monkeypatch):
    texts, videos = captions_of(SENTENCES), random_videos(7)
    score_matrix(texts, videos)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("side4video.tasks.retrieval.score_matrix.SECONDS_BEFORE_PROGRESS", 0.0)
    score_matrix(texts, videos)
    assert "scores" in capsys.readouterr().err
