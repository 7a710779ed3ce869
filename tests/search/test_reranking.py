"""Scores of stored windows, against the model's similarity of their embeddings."""

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from side4video.models.similarity import TextFeatures, VideoFeatures, similarity
from side4video.models.text.tokeniser import clip_tokeniser
from side4video.search.reranking import match_frames, match_words, query_vectors, score_windows
from side4video.search.stores.records import IndexedFile, Window

NUM_FRAMES, WIDTH = 5, 64


def make_texts(count, *, places=9, words=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, places + 1, (count,), generator=generator) if words is None else torch.tensor(words)
    mask = torch.arange(places) < lengths.unsqueeze(1)
    weights = torch.randn(count, places, generator=generator).masked_fill(~mask, -torch.inf).softmax(dim=1)
    words = 3 * torch.randn(count, places, WIDTH, generator=generator)
    return TextFeatures(words, mask, weights, 3 * torch.randn(count, WIDTH, generator=generator))


def make_videos(count, *, shift=0.0):
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(count, NUM_FRAMES, WIDTH, generator=generator) * 7 + shift
    frames *= 0.2 + torch.rand(count, NUM_FRAMES, 1, generator=generator)  # of very different lengths
    return VideoFeatures(frames, torch.randn(count, NUM_FRAMES, generator=generator).softmax(dim=1))


def to_windows(videos):
    """Windows as stored: frames normalised in 16 bits, and the mean of the frames before normalisation."""
    seconds = np.arange(NUM_FRAMES, dtype=np.float32) + 0.5
    return [
        Window(
            IndexedFile(f"/{number}.mp4", "", 1, 1, 5.0),
            0,
            0.0,
            5.0,
            F.normalize(frames, dim=-1).half().numpy(),
            weights.numpy(),
            seconds,
            F.normalize(frames.mean(dim=0), dim=-1).numpy(),
        )
        for number, (frames, weights) in enumerate(zip(videos.frames, videos.weights, strict=True))
    ]


@pytest.mark.parametrize("kind", ["wti", "mean-pool"])
@pytest.mark.parametrize("shift", [0.0, -4.0], ids=["around zero", "mostly negative"])
def test_scores_equal_the_models_similarity(kind, shift):
    texts, videos = make_texts(6, words=[9, 3, 5, 9, 8, 4]), make_videos(40, shift=shift)
    texts.words.add_(abs(shift))  # with shift, padding decides what is the best word of a frame
    windows = to_windows(videos)
    expected = similarity(texts, videos, kind).numpy()
    for row in range(len(texts)):
        question = texts.map(lambda tensor, row=row: tensor[row : row + 1])
        scores = score_windows(question, windows, kind)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected[row], atol=1e-3)


def test_mean_pool_and_wti_scores_differ():
    question, videos = make_texts(1), make_videos(10)
    scores = score_windows(question, to_windows(videos), "wti")
    assert np.abs(scores - similarity(question, videos, "mean-pool")[0].numpy()).max() > 0.01


def test_no_windows_and_several_questions():
    assert score_windows(make_texts(1), [], "wti").shape == (0,)
    with pytest.raises(ValueError, match="2 queries were given"):
        score_windows(make_texts(2), to_windows(make_videos(1)), "wti")


def test_query_vectors():
    texts, videos = make_texts(4), make_videos(20)
    means = np.stack([window.mean for window in to_windows(videos)])
    of_sentences = query_vectors(texts, "mean-pool")
    np.testing.assert_allclose(of_sentences @ means.T, similarity(texts, videos, "mean-pool").numpy(), atol=1e-5)
    of_words = query_vectors(texts, "wti")
    for row, vector in enumerate(of_words):
        words = [
            weight.item() * word.numpy() / np.linalg.norm(word.numpy())
            for word, weight, there in zip(texts.words[row], texts.weights[row], texts.mask[row], strict=True)
            if there
        ]
        np.testing.assert_allclose(vector, np.sum(words, axis=0) / np.linalg.norm(np.sum(words, axis=0)), atol=1e-5)


def test_best_frame_of_each_word():
    text = "A dog, backflipping!"
    pieces = (
        clip_tokeniser()([text], max_words=9)[1].sum().item()
    )  # start, a, dog, comma, two pieces of the word, mark, end
    question = make_texts(1, words=[pieces])
    window = to_windows(make_videos(1))[0]
    words = F.normalize(question.words[0].double(), dim=-1).numpy()
    cosines = words @ (window.frames / np.linalg.norm(window.frames.astype(float), axis=1, keepdims=True)).T
    matches = match_words(text, question, window, "wti", tokeniser=clip_tokeniser())
    assert [match.word for match in matches] == ["a", "dog", "backflipping"]
    for match, own in zip(matches, (cosines[1:2], cosines[2:3], cosines[4:6]), strict=True):
        assert match.similarity == pytest.approx(own.mean(axis=0).max(), abs=1e-3)
        assert match.seconds == window.frame_seconds[own.mean(axis=0).argmax()]


def test_truncated_words_have_no_match():
    question = make_texts(1, words=[5])
    matches = match_words(
        "one two three four five", question, to_windows(make_videos(1))[0], "wti", tokeniser=clip_tokeniser()
    )
    assert [match.word for match in matches] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("!?", []),
        ("Two  WORDS", ["two", "words"]),
        ("café 猫", ["café", "猫"]),
        ("it's 12", ["it's", "12"]),
    ],
)
def test_words_of_a_query(text, words):
    assert [word for word, _ in clip_tokeniser().split_words(text, max_words=20)] == words


def test_best_frames_of_a_sentence():
    question, window = make_texts(1), to_windows(make_videos(1))[0]
    sentence = F.normalize(question.sentence[0], dim=-1).numpy()
    order = sorted(range(NUM_FRAMES), key=lambda frame: -float(window.frames[frame].astype(np.float32) @ sentence))[:3]
    matches = match_words("some words", question, window, "mean-pool", tokeniser=clip_tokeniser())
    assert [match.seconds for match in matches] == [window.frame_seconds[frame] for frame in order]
    assert [match.word for match in matches] == ["", "", ""]
    assert match_frames(sentence, window) == matches


def test_a_shortlist_takes_milliseconds():
    generator = torch.Generator().manual_seed(0)
    frames = F.normalize(torch.randn(500, 12, 512, generator=generator), dim=-1).half().numpy()
    weights, seconds = np.full(12, 1 / 12, np.float32), np.arange(12, dtype=np.float32)
    file = IndexedFile("/x.mp4", "", 1, 1, 1.0)
    windows = [Window(file, 0, 0.0, 1.0, own, weights, seconds, own[0].astype(np.float32)) for own in frames]
    words = torch.randn(1, 32, 512, generator=generator)
    question = TextFeatures(words, torch.arange(32)[None] < 10, torch.full((1, 32), 0.1), words[:, 0])
    taken = []
    for _ in range(10):
        begin = time.perf_counter()
        score_windows(question, windows, "wti")
        taken.append(time.perf_counter() - begin)
    print(f"{min(taken) * 1e3:.1f} ms")
    assert min(taken) < 0.1
