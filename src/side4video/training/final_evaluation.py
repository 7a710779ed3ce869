"""The last scoring of a run: best/ with more views per video than the evaluations that chose it."""

import gc
import json
from pathlib import Path

from side4video.atomic_files import write_json
from side4video.config import EvalConfig, RunConfig
from side4video.distributed.processes import is_main_process, print_once
from side4video.tasks.recognition.evaluate import evaluate_adapter
from side4video.tasks.task import Scores
from side4video.tasks.unread import withheld_scores_reason

FINAL = "final_evaluation.json"
"""File in the run folder: the scores with the final views, and those by which best/ was chosen."""


def final_views(settings: EvalConfig) -> EvalConfig | None:
    """The settings of the last scoring; None if its views are those of the evaluations during training.

    >>> final = final_views(EvalConfig(final_clips=2, final_crops=3))
    >>> final.clips, final.crops
    (2, 3)
    """
    views = {"clips": settings.final_clips or settings.clips, "crops": settings.final_crops or settings.crops}
    final = settings.model_copy(update=views)
    return None if final == settings else final


def evaluate_best(config: RunConfig, out: Path, chosen_by: Scores | None) -> Scores | None:
    """Score best/ of a finished run with the final views and write `final_evaluation.json`.

    Args:
        config: settings of the run.
        out: its folder.
        chosen_by: the evaluation of best/ during training; None without an evaluation set.

    Returns:
        The scores, the same in each process; None without final views or without reported scores in `chosen_by`.
    """
    settings = final_views(config.eval)
    if settings is None or chosen_by is None or _refused(chosen_by, settings):
        return None
    gc.collect()  # the trained model, so that best/ fits in its memory
    print_once(f"scoring best/ with {describe_views(settings)}")
    found = evaluate_adapter(out / "best", data=config.data, settings=settings, device=config.train.device)
    if refused := _refused(found, settings):
        print_once(refused)
        return None
    if is_main_process():
        chosen = {**chosen_by.headline(), **chosen_by.conditions()}
        write_json(out / FINAL, {**found.to_json(), "described": describe_views(settings), "chosen_by": chosen})
    return found


def read_final(folder: Path) -> dict[str, float]:
    """What the last scoring of a run found, by name, after the score that chose best/; empty if there was none."""
    if not (folder / FINAL).is_file():
        return {}
    content = json.loads((folder / FINAL).read_text(encoding="utf-8"))
    chosen = content["chosen_by"]
    views = f"{chosen['views']} view{'' if chosen['views'] == 1 else 's'}"
    if "top1" not in chosen:
        return {
            f"best/, chosen with {views}: mAP": chosen["mAP"],
            f"best/, {content['described']}: mAP": content["mean_average_precision"],
        }
    return {
        f"best/, chosen with {views}: top-1": chosen["top1"],
        f"best/, {content['described']}: top-1": content["top1"],
        f"best/, {content['described']}: top-5": content["top5"],
    }


def describe_views(settings: EvalConfig) -> str:
    """The views of a video in words: "3 crops x 2 clips"."""
    crops, clips = (
        f"{n} {name}{'' if n == 1 else 's'}" for n, name in ((settings.crops, "crop"), (settings.clips, "clip"))
    )
    return f"{crops} x {clips}"


def _refused(evaluation: Scores, settings: EvalConfig) -> str | None:
    return withheld_scores_reason(
        num_read=evaluation.num_videos, num_unread=len(evaluation.unread), max_unread=settings.max_unread
    )
