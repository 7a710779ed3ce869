"""The model's own score of a question and windows, exactly, and what in a window it rests on."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from side4video.models.similarity import Similarity, TextFeatures
from side4video.models.text.text_tower import split_words
from side4video.search.results import Match
from side4video.search.stores.records import Window

BEST_FRAMES = 3
"""Frames that are named where there are no words to name frames for."""


def query_vectors(texts: TextFeatures, kind: Similarity) -> NDArray[np.float32]:
    """(C, E), of length 1, for each text the vector whose products with mean vectors come near the model's scores.

    `mean-pool`: the sentence; the products are the scores. `wti`: the weighted mean of the normalised words; the
    products are close to what the scores would be if each word took the mean of all frames, not the best one.
    """
    if kind == "mean-pool":
        return F.normalize(texts.sentence.float(), dim=-1).numpy()
    words = F.normalize(texts.words.float(), dim=-1) * texts.mask.unsqueeze(-1)
    return F.normalize(torch.einsum("cw,cwe->ce", texts.weights.float(), words), dim=-1).numpy()


def score_windows(question: TextFeatures, windows: Sequence[Window], kind: Similarity) -> NDArray[np.float32]:
    """(windows,), what `models.similarity.similarity` gives for one text and each window, -1 to 1.

    Args:
        question: one text.
        windows: to score.
        kind: of the model.
    """
    _check_one(question)
    if not windows:
        return np.zeros(0, np.float32)
    if kind == "mean-pool":
        return np.stack([window.mean for window in windows]) @ query_vectors(question, kind)[0]
    mask = question.mask[0]
    similarities = _word_similarities(question, np.stack([window.frames for window in windows]))  # (V, T, words)
    frame_weights = torch.from_numpy(np.stack([window.frame_weights for window in windows]))
    of_words = similarities.amax(dim=1) @ question.weights[0, mask].float()
    best_words = similarities.amax(dim=2)
    if not mask.all():
        best_words = best_words.clamp(min=0)  # similarity is 0 where there is room for further words, and counts
    return ((of_words + (frame_weights * best_words).sum(dim=1)) / 2).numpy()


def match_words(text: str, question: TextFeatures, window: Window, kind: Similarity) -> list[Match]:
    """For each word of a text, the frame of a window that fits best; of `mean-pool`, the best frames for all of it.

    A word of several tokens has the mean of their similarities.

    Args:
        text: the question.
        question: what the model's text tower makes of it.
        window: where to look.
        kind: of the model.
    """
    _check_one(question)
    if kind == "mean-pool":
        return match_frames(query_vectors(question, kind)[0], window)
    similarities = _word_similarities(question, window.frames[None])[0]  # (T, words)
    num_words = similarities.shape[1]
    matches = []
    for word, places in split_words(text, max_words=num_words):
        of_word = similarities[:, places.start : places.stop].mean(dim=1)
        best = int(of_word.argmax())
        matches.append(Match(word, float(window.frame_seconds[best]), float(of_word[best])))
    return matches


def match_frames(vector: NDArray[np.float32], window: Window) -> list[Match]:
    """The frames of a window with the largest product with a vector of length 1, best first."""
    similarities = window.frames.astype(np.float32) @ vector
    best = np.argsort(-similarities, kind="stable")[:BEST_FRAMES]
    return [Match("", float(window.frame_seconds[frame]), float(similarities[frame])) for frame in best]


def _word_similarities(question: TextFeatures, frames: NDArray[np.float16]) -> Float[Tensor, "V T words"]:
    """Cosine of each frame and each word that is there."""
    words = F.normalize(question.words[0, question.mask[0]].float(), dim=-1)
    num_videos, num_frames, width = frames.shape
    flat = torch.from_numpy(frames.astype(np.float32)).reshape(num_videos * num_frames, width)
    return (flat @ words.T).reshape(num_videos, num_frames, len(words))


def _check_one(question: TextFeatures) -> None:
    if len(question) != 1:
        raise ValueError(f"{len(question)} questions at once. Ask one after the other.")
