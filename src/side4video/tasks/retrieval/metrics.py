"""Metrics of text-video retrieval: pure functions on a score matrix, with exactly one rank per query.

A query's rank is 1 + the number of candidates that score better than its own + half of those that tie (or all of
them). So a model that gives all candidates the same score ranks in the middle, and duplicate captions count fairly.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from side4video.tasks.retrieval.dual_softmax import ASSUMPTION, RowReader, dual_softmax_rows
from side4video.tasks.retrieval.score_storage import row_chunks

Ties = Literal["middle", "pessimistic"]
"""How ties with the correct candidate count: half of them as better, or all."""

_TIE_WORDS: dict[Ties, str] = {
    "middle": "+ half of those that score the same",
    "pessimistic": "+ those that score the same",
}


@dataclass(frozen=True)
class DirectionScores:
    """Recall and ranks in one direction.

    >>> scores = retrieval_scores(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).text_to_video
    >>> scores.recall_at_1, scores.mean_rank
    (0.5, 1.5)
    """

    recall_at_1: float
    """Share of queries with a rank of at most 1, 0 to 1; likewise for 5, 10 and 50."""
    recall_at_5: float
    recall_at_10: float
    recall_at_50: float
    median_rank: float
    """1 is best."""
    mean_rank: float
    num_queries: int
    num_candidates: int
    definition: str
    """One sentence that says what was ranked and how; show it next to the numbers."""


@dataclass(frozen=True)
class RetrievalScores:
    """Recall and ranks in both directions.

    >>> scores = retrieval_scores(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]))
    >>> scores.text_to_video.recall_at_1, scores.video_to_text.recall_at_1
    (0.5, 1.0)
    """

    text_to_video: DirectionScores
    video_to_text: DirectionScores


def text_to_video_ranks(
    scores: Float[ndarray, "C V"], video_of_caption: Int[ndarray, " C"], *, ties: Ties = "middle"
) -> Float[ndarray, " C"]:
    """Rank, 1 to V, of each caption's video among all videos. Arguments and errors as in `retrieval_scores`."""
    columns = _checked(scores, video_of_caption, ties)
    return _text_to_video_ranks(scores.__getitem__, columns, scores.shape[1], ties)


def video_to_text_ranks(
    scores: Float[ndarray, "C V"], video_of_caption: Int[ndarray, " C"], *, ties: Ties = "middle"
) -> Float[ndarray, " V"]:
    """Rank, 1 to V, of each video's captions among the V sets of captions; a set has the score of its best caption.

    Arguments and errors as in `retrieval_scores`.
    """
    columns = _checked(scores, video_of_caption, ties)
    return _video_to_text_ranks(scores.__getitem__, columns, scores.shape[1], ties)


def retrieval_scores(
    scores: Float[ndarray, "C V"],
    video_of_caption: Int[ndarray, " C"],
    *,
    ties: Ties = "middle",
    dual_softmax_temperature: float | None = None,
) -> RetrievalScores:
    """Recall and ranks in both directions, from the scores of C captions and V videos.

    Text to video: each caption is a query among all videos. Video to text: each video is a query among the V sets of
    captions, and a set has the score of its best caption.

    Args:
        scores: similarities, higher is more similar; may be a memory map, as it is read in chunks of rows.
        video_of_caption: column of the video that each caption belongs to, 0 to V - 1.
        ties: count half of the candidates that tie with the correct one as better, or all.
        dual_softmax_temperature: re-rank with `dual_softmax` at this temperature; off by default. The definitions in
            the result then state it and its assumption.

    Raises:
        ValueError: NaN scores, captions without a video, or videos without a caption.
    """
    columns = _checked(scores, video_of_caption, ties)
    num_captions, num_videos = scores.shape
    text_to_video: RowReader = scores.__getitem__
    video_to_text: RowReader = scores.__getitem__
    ending = "."
    if dual_softmax_temperature is not None:
        text_to_video = dual_softmax_rows(scores, "text-to-video", temperature=dual_softmax_temperature)
        video_to_text = dual_softmax_rows(scores, "video-to-text", temperature=dual_softmax_temperature)
        ending = f", after dual softmax at temperature {dual_softmax_temperature:g}, which {ASSUMPTION}."
    rank = f"rank 1 + those that score better than its own {_TIE_WORDS[ties]}{ending}"
    sets = "captions" if num_captions == num_videos else f"sets of captions, each by its best of {num_captions}"
    return RetrievalScores(
        text_to_video=_summary(
            _text_to_video_ranks(text_to_video, columns, num_videos, ties),
            num_candidates=num_videos,
            definition=f"Each of {num_captions} captions ranks {num_videos} videos: {rank}",
        ),
        video_to_text=_summary(
            _video_to_text_ranks(video_to_text, columns, num_videos, ties),
            num_candidates=num_videos,
            definition=f"Each of {num_videos} videos ranks {num_videos} {sets}: {rank}",
        ),
    )


def _text_to_video_ranks(
    read: RowReader, video_of_caption: Int[ndarray, " C"], num_videos: int, ties: Ties
) -> Float[ndarray, " C"]:
    ranks = np.empty(len(video_of_caption))
    for chunk in row_chunks(len(ranks), num_videos):
        rows = read(np.arange(chunk.start, chunk.stop))
        own = np.take_along_axis(rows, video_of_caption[chunk, None], axis=1)
        ranks[chunk] = _ranks((rows > own).sum(axis=1), (rows == own).sum(axis=1), ties)
    return ranks


def _video_to_text_ranks(
    read: RowReader, video_of_caption: Int[ndarray, " C"], num_videos: int, ties: Ties
) -> Float[ndarray, " V"]:
    order = np.argsort(video_of_caption, kind="stable")
    videos = video_of_caption[order]
    own = np.full(num_videos, -np.inf)
    for chunk in row_chunks(len(order), num_videos):
        rows = read(order[chunk])
        np.maximum.at(own, videos[chunk], np.take_along_axis(rows, videos[chunk, None], axis=1)[:, 0])
    better, equal = np.zeros(num_videos, dtype=np.int64), np.zeros(num_videos, dtype=np.int64)
    unfinished = np.empty((0, num_videos))  # the set that the last chunk ended in, as far as it was read
    for chunk in row_chunks(len(order), num_videos):
        starts = np.flatnonzero(np.diff(videos[chunk], prepend=-1))
        sets = np.maximum.reduceat(read(order[chunk]), starts, axis=0)
        if len(unfinished) and videos[chunk.start] == videos[chunk.start - 1]:
            sets[0] = np.maximum(sets[0], unfinished[0])
        elif len(unfinished):
            sets = np.concatenate([unfinished, sets])
        finished = len(sets) if chunk.stop == len(order) else len(sets) - 1
        better += (sets[:finished] > own).sum(axis=0)
        equal += (sets[:finished] == own).sum(axis=0)
        unfinished = sets[finished:].copy()
    return _ranks(better, equal, ties)


def _ranks(better: Int[ndarray, " n"], equal: Int[ndarray, " n"], ties: Ties) -> Float[ndarray, " n"]:
    """`equal` counts the query's own candidate too."""
    return 1 + better + (equal - 1) * (0.5 if ties == "middle" else 1.0)


def _summary(ranks: Float[ndarray, " n"], *, num_candidates: int, definition: str) -> DirectionScores:
    return DirectionScores(
        **{f"recall_at_{k}": float((ranks <= k).mean()) for k in (1, 5, 10, 50)},
        median_rank=float(np.median(ranks)),
        mean_rank=float(ranks.mean()),
        num_queries=len(ranks),
        num_candidates=num_candidates,
        definition=definition,
    )


def _checked(scores: Float[ndarray, "C V"], video_of_caption: Int[ndarray, " C"], ties: Ties) -> Int[ndarray, " C"]:
    if ties not in _TIE_WORDS:
        raise ValueError(f"{ties = } is not known. Use {' or '.join(_TIE_WORDS)}.")
    num_captions, num_videos = scores.shape
    if video_of_caption.shape != (num_captions,) or not np.issubdtype(video_of_caption.dtype, np.integer):
        raise ValueError(
            f"The scores have {num_captions} rows, so {num_captions} column numbers are needed, one for each caption; "
            f"video_of_caption has shape {video_of_caption.shape} and dtype {video_of_caption.dtype}."
        )
    outside = np.flatnonzero((video_of_caption < 0) | (video_of_caption >= num_videos))
    if len(outside):
        first = outside[0]
        raise ValueError(
            f"{len(outside)} captions belong to no column: caption {first} has {video_of_caption[first]}, "
            f"and the columns are 0 to {num_videos - 1}."
        )
    columns = video_of_caption.astype(np.int64)
    alone = np.flatnonzero(np.bincount(columns, minlength=num_videos) == 0)
    if len(alone):
        raise ValueError(
            f"{len(alone)} of {num_videos} videos have no caption (columns {', '.join(map(str, alone[:10]))}), so "
            "they cannot be ranked. Remove their columns."
        )
    if not num_captions:
        raise ValueError("There are no captions and no videos to rank.")
    missing = sum(int(np.count_nonzero(np.isnan(scores[chunk]))) for chunk in row_chunks(*scores.shape))
    if missing:
        raise ValueError(f"{missing} of {scores.size} scores are NaN, which cannot be ranked.")
    return columns
