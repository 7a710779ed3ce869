"""Exact scores of windows for a query, and the frames of a window that match best."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from side4video.models.similarity import Similarity, TextFeatures
from side4video.models.text.tokeniser import Tokeniser
from side4video.search.results import Match
from side4video.search.stores.records import Window

BEST_FRAMES = 3
"""Number of frames to list when the query has no separate words."""


def query_vectors(texts: TextFeatures, kind: Similarity) -> NDArray[np.float32]:
    """(C, E) vectors of length 1, one per text: their dot products with mean vectors approximate the model's scores.

    `mean-pool`: the sentence vector; the products equal the scores. `wti`: the weighted mean of the normalised words;
    the products are close to the scores that would result if each word took the mean of all frames, not the best one.
    """
    if kind == "mean-pool":
        return F.normalize(texts.sentence.float(), dim=-1).numpy()
    words = F.normalize(texts.words.float(), dim=-1) * texts.mask.unsqueeze(-1)
    return F.normalize(torch.einsum("cw,cwe->ce", texts.weights.float(), words), dim=-1).numpy()


def score_windows(query: TextFeatures, windows: Sequence[Window], kind: Similarity) -> NDArray[np.float32]:
    """(windows,) scores from -1 to 1, equal to `models.similarity.similarity` of one text and each window.

    Args:
        query: features of one text.
        windows: the windows to score.
        kind: the model's similarity.
    """
    _check_single_query(query)
    if not windows:
        return np.zeros(0, np.float32)
    if kind == "mean-pool":
        return np.stack([window.mean for window in windows]) @ query_vectors(query, kind)[0]
    mask = query.mask[0]
    similarities = _word_similarities(query, np.stack([window.frames for window in windows]))  # (V, T, words)
    frame_weights = torch.from_numpy(np.stack([window.frame_weights for window in windows]))
    of_words = similarities.amax(dim=1) @ query.weights[0, mask].float()
    best_words = similarities.amax(dim=2)
    if not mask.all():
        best_words = best_words.clamp(min=0)  # padding words have similarity 0, and the maximum includes them
    return ((of_words + (frame_weights * best_words).sum(dim=1)) / 2).numpy()


def match_words(
    text: str, query: TextFeatures, window: Window, kind: Similarity, *, tokeniser: Tokeniser
) -> list[Match]:
    """The best matching frame of a window for each word of a text; for `mean-pool`, the best frames for the whole text.

    The similarity of a word with several tokens is their mean.

    Args:
        text: the query.
        query: features of this text.
        window: the window whose frames are compared.
        kind: the model's similarity.
        tokeniser: the model's tokeniser, which finds the words.
    """
    _check_single_query(query)
    if kind == "mean-pool":
        return match_frames(query_vectors(query, kind)[0], window)
    similarities = _word_similarities(query, window.frames[None])[0]  # (T, words)
    num_words = similarities.shape[1]
    matches = []
    for word, positions in tokeniser.split_words(text, max_words=num_words):
        of_word = similarities[:, positions.start : positions.stop].mean(dim=1)
        best = int(of_word.argmax())
        matches.append(Match(word, float(window.frame_seconds[best]), float(of_word[best])))
    return matches


def match_frames(vector: NDArray[np.float32], window: Window) -> list[Match]:
    """The frames of a window with the largest dot product with a vector of length 1, best first."""
    similarities = window.frames.astype(np.float32) @ vector
    best = np.argsort(-similarities, kind="stable")[:BEST_FRAMES]
    return [Match("", float(window.frame_seconds[frame]), float(similarities[frame])) for frame in best]


def _word_similarities(query: TextFeatures, frames: NDArray[np.float16]) -> Float[Tensor, "V T words"]:
    """Cosine similarity of each frame and each word, without padding."""
    words = F.normalize(query.words[0, query.mask[0]].float(), dim=-1)
    num_videos, num_frames, width = frames.shape
    flat = torch.from_numpy(frames.astype(np.float32)).reshape(num_videos * num_frames, width)
    return (flat @ words.T).reshape(num_videos, num_frames, len(words))


def _check_single_query(query: TextFeatures) -> None:
    if len(query) != 1:
        raise ValueError(f"{len(query)} queries were given, and one is supported. Call this once per query.")
