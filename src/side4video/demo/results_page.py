"""The results page of the retrieval demonstration: scores of the two models and film strips of their results."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from side4video.config import RunConfig
from side4video.demo.moving_captions import MOTIONS, MotionCaption
from side4video.reports.retrieval_report import FoundVideo, Query, write_retrieval_report
from side4video.tasks.clips import build_sampling
from side4video.tasks.retrieval.scores import QueryResult, RetrievalEvaluation
from side4video.video.decoding import open_video

SHOWN_PER_MOTION, SHOWN_WRONG = 2, 2
"""Number of captions on the page: per motion, wrong for the first model; in total, wrong for the last model."""

_CAPTION_STEP = 5  # captions from one motion's first shown one to the next one's, so that forms and colours differ
_SUMMARY = (
    "Each caption ranks {videos} videos that are not in the training set. The image-text model was trained on single "
    "pictures with captions such as “a red square on the left”: it recognises form, colour and place. A shape that "
    "moves up gives the same frames as one that moves down, in the opposite order, so single frames do not reveal the "
    "motion. The side network learned it from other videos; the image model is frozen, and the text tower was trained "
    "at a thousandth of the learning rate. The page shows the three best videos for some captions that the frozen "
    "model gets wrong, followed by captions that the trained model gets wrong, if there are any."
)


def compare_models(evaluations: Mapping[str, RetrievalEvaluation]) -> dict[str, dict[str, float]]:
    """Return name of each measure -> name of each model -> its share, 0 to 1.

    Args:
        evaluations: name of each model -> its evaluation on the test set of `make_captioned_videos`, where each
            caption has one video.
    """
    scores = {model: _scores(evaluation) for model, evaluation in evaluations.items()}
    measures = next(iter(scores.values()))
    return {measure: {model: scores[model][measure] for model in scores} for measure in measures}


def _scores(evaluation: RetrievalEvaluation) -> dict[str, float]:
    caption_of = {query.video: _parse(query.caption) for query in evaluation.queries}
    firsts = [(_parse(query.caption), caption_of[query.best[0]]) for query in evaluation.queries]

    def share(hits: list[bool]) -> float:
        return float(np.mean(hits))

    return {
        "text to video: R@1": evaluation.scores.text_to_video.recall_at_1,
        "… of captions without a training video": share([asked == got for asked, got in firsts if asked.held_out]),
        "… right form and colour": share(
            [(asked.form, asked.colour) == (got.form, got.colour) for asked, got in firsts]
        ),
        "… right motion": share([asked.motion == got.motion for asked, got in firsts]),
        "text to video: R@5": evaluation.scores.text_to_video.recall_at_5,
        "video to text: R@1": evaluation.scores.video_to_text.recall_at_1,
    }


def write_results_page(
    path: Path,
    *,
    scores: Mapping[str, Mapping[str, float]],
    evaluations: Mapping[str, RetrievalEvaluation],
    config: RunConfig,
) -> None:
    """Write the page: scores, and the frames of the three best videos of each model for some captions.

    Args:
        path: the HTML file.
        scores: result of `compare_models`.
        evaluations: name of each model -> its evaluation, the frozen model first.
        config: settings of the run, whose test set contains the videos.
    """
    results = {model: {query.caption: query for query in found.queries} for model, found in evaluations.items()}
    caption_of = {query.video: caption for found in results.values() for caption, query in found.items()}
    assert config.data.test is not None
    folder = config.data.test.parent

    def show(result: QueryResult) -> list[FoundVideo]:
        return [
            FoundVideo(
                name=name,
                caption=caption_of[name],
                frames=_read_clip(folder / name, config),
                similarity=similarity,
                right=name == result.video,
            )
            for name, similarity in zip(result.best, result.best_scores, strict=True)
        ]

    write_retrieval_report(
        path,
        title="Text-video search: frozen model and side network",
        summary=_SUMMARY.format(videos=len(caption_of)),
        scores=scores,
        queries=[
            Query(
                caption=caption,
                rank={model: found[caption].rank for model, found in results.items()},
                found={model: show(found[caption]) for model, found in results.items()},
            )
            for caption in _choose(evaluations)
        ],
    )


def _choose(evaluations: Mapping[str, RetrievalEvaluation]) -> list[str]:
    """Choose the captions to show."""
    wrong = [[query.caption for query in found.queries if query.rank > 1] for found in evaluations.values()]
    chosen = []
    for index, motion in enumerate(MOTIONS):
        own = [caption for caption in wrong[0] if _parse(caption).motion == motion]
        start = index * _CAPTION_STEP % max(1, len(own))
        chosen += (own[start:] + own[:start])[:SHOWN_PER_MOTION]
    return list(dict.fromkeys(chosen + wrong[-1][:SHOWN_WRONG]))


def _parse(caption: str) -> MotionCaption:
    """Parse a caption of the demonstration."""
    return next(known for known in MotionCaption.all_captions() if str(known) == caption)


def _read_clip(path: Path, config: RunConfig) -> NDArray[np.uint8]:
    """Read the frames that the models get, uint8 (T, H, W, 3)."""
    with open_video(path) as video:
        frames = video.read(build_sampling(config.data).test(video.num_frames, 1)[0])
    return frames.permute(0, 2, 3, 1).numpy()
