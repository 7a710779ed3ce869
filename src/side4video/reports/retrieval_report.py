"""One self-contained HTML page about text-video retrieval: scores of several models and their results for captions.

The page makes no network requests, follows the reader's light or dark preference and fits a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from side4video.atomic_files import write_text
from side4video.reports.report_pictures import draw_film_strip


@dataclass(frozen=True, kw_only=True)
class FoundVideo:
    """A search result: a video that a model found for a caption.

    Attributes:
        name: identifies the video, for instance its path in the data set.
        caption: the video's own caption.
        frames: uint8 (T, H, W, 3), RGB.
        similarity: similarity to the query, -1 to 1.
        right: whether it is the correct video for the query.

    >>> frames = np.zeros((8, 64, 64, 3), dtype=np.uint8)
    >>> FoundVideo(name="1.mp4", caption="a ring", frames=frames, similarity=0.3, right=True).right
    True
    """

    name: str
    caption: str
    frames: NDArray[np.uint8]
    similarity: float
    right: bool


@dataclass(frozen=True, kw_only=True)
class Query:
    """A caption and the videos that each model found for it.

    Attributes:
        caption: text of the query.
        rank: name of each model -> rank of the correct video among all, from 1.
        found: name of each model -> its best videos, best first.

    >>> Query(caption="a ring", rank={"trained": 1.0}, found={"trained": []}).rank["trained"]
    1.0
    """

    caption: str
    rank: Mapping[str, float]
    found: Mapping[str, Sequence[FoundVideo]]


def write_retrieval_report(
    path: Path,
    *,
    title: str,
    summary: str,
    scores: Mapping[str, Mapping[str, float]],
    queries: Sequence[Query] = (),
) -> None:
    """Write the page; all names and captions are shown as plain text, never as HTML.

    Args:
        path: the HTML file; an existing one is replaced, its folder is created.
        title: heading of the page.
        summary: a paragraph below the heading.
        scores: name of each score -> name of each model -> value, 0 to 1.
        queries: queries to show with their results, in this order.

    Raises:
        ValueError: a score is outside 0 to 1, or scores and queries name different models.
    """
    models = list(dict.fromkeys(model for shares in scores.values() for model in shares))
    _check(models, scores, queries)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    drawn = [
        (query, {model: [(video, draw_film_strip(video.frames)) for video in query.found[model]] for model in models})
        for query in queries
    ]
    page = environment.get_template("retrieval_report.html.jinja").render(
        title=title, summary=summary, models=models, scores=scores, queries=drawn
    )
    write_text(path, page)


def _check(models: list[str], scores: Mapping[str, Mapping[str, float]], queries: Sequence[Query]) -> None:
    for measure, shares in scores.items():
        if list(shares) != models:
            raise ValueError(
                f"{measure!r} has scores of {[*shares]}, but the models are {models}. Give a score of each."
            )
        for model, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{measure!r} of {model!r} is {share}, outside 0 to 1. Divide percentages by 100.")
    for query in queries:
        if set(query.found) != set(models) or set(query.rank) != set(models):
            raise ValueError(
                f"{query.caption!r} has results of {[*query.found]}, but the models are {models}. Give results of each."
            )
