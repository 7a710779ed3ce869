"""Print and write scores, or the reason why scores are not reported."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from side4video.config import EvalConfig

if TYPE_CHECKING:
    from side4video.tasks.task import Scores
    from side4video.tasks.unread import UnreadVideo


def print_scores(evaluation: "Scores", *, max_classes: int | None = None) -> None:
    """Print the table of an evaluation, and the videos that are not in it."""
    from side4video.system.tables import Console  # help prints no tables

    Console().print(evaluation.table(max_classes=max_classes))
    for warning in evaluation.warnings():
        print(f"warning: {warning}")
    for video in evaluation.unread:
        print(f"not read: {video.name}: {video.reason}")


def report_scores(
    evaluate: "Callable[[], Scores]", settings: EvalConfig, *, path: Path | None, refusal_path: Path | None
) -> int:
    """Evaluate, then print and write the scores, or why there are none; returns the exit code.

    Only the main process prints and writes.

    Args:
        evaluate: returns the scores.
        settings: set how many videos may be unreadable.
        path: file for the scores. None: they are not written.
        refusal_path: file for the reason why there are no scores.
    """
    from side4video.atomic_files import write_json
    from side4video.distributed.processes import is_main_process
    from side4video.tasks.unread import NoReadableVideosError

    try:
        evaluation = evaluate()
    except NoReadableVideosError as error:
        return report_refusal(str(error), error.unread, refusal_path)
    if refused := refusal_reason(evaluation, settings):
        return report_refusal(refused, evaluation.unread, refusal_path)
    if is_main_process():
        print_scores(evaluation)
        if path is not None:
            write_json(path, evaluation.to_json())
            print(f"written to {path}")
    return 1 if evaluation.unread else 0


def refusal_reason(evaluation: "Scores", settings: EvalConfig) -> str | None:
    """The reason why the scores of an evaluation are not reported; None if they are."""
    from side4video.tasks.unread import withheld_scores_reason

    num_unread = len(evaluation.unread)
    return withheld_scores_reason(num_read=evaluation.num_videos, num_unread=num_unread, max_unread=settings.max_unread)


def report_refusal(refused: str, unread: "Sequence[UnreadVideo]", path: Path | None = None) -> int:
    """Print which videos could not be read instead of a score, write it to `path`, and return the exit code.

    Only the main process prints and writes.
    """
    from side4video.distributed.processes import is_main_process

    if not is_main_process():
        return 1
    for video in unread:
        print(f"not read: {video.name}: {video.reason}")
    print(refused, file=sys.stderr)
    if path is not None:
        from side4video.atomic_files import write_json

        rows = [{"name": video.name, "reason": video.reason} for video in unread]
        write_json(path, {"refused": refused, "unread": rows})
        print(f"written to {path}")
    return 1
