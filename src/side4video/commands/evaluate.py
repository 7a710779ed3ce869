"""The command `evaluate`."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from side4video.commands.positional import take_positional
from side4video.commands.score_output import report_scores
from side4video.config import DataConfig, EvalConfig
from side4video.timeline.timeline import TimelineSettings

if TYPE_CHECKING:
    from side4video.tasks.task import Scores


@dataclass(frozen=True)
class EvaluateArguments:
    """Score an adapter on videos with classes or, for retrieval, with captions.

    Examples:
        >>> EvaluateArguments(data=DataConfig(test="clips/test"), eval=EvalConfig(crops=3)).device
        'auto'
    """

    data: DataConfig
    eval: EvalConfig
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    timeout_minutes: float = 60.0
    """Timeout for distributed runs (torchrun or SLURM): how long a process waits for others without heartbeats."""
    timeline: bool = False
    """Score timelines against the segments of --data.test, a list with start, end and class: mAP at tIoU 0.3 to 0.7."""
    windows: tyro.conf.OmitArgPrefixes[TimelineSettings] = field(default_factory=TimelineSettings)
    json: Path | None = None
    """File for the scores, every prediction and every unreadable file. Default: evaluation.json or
    timeline_evaluation.json in the adapter folder; for an adapter from the hub, a file in the current folder."""


def evaluate(arguments: list[str]) -> int:
    """Run `side4video evaluate`; returns the exit code."""
    if arguments[:1] in (["-h"], ["--help"]):  # no adapter is given, so its settings cannot be the defaults
        tyro.cli(EvaluateArguments, prog="side4video evaluate ADAPTER", args=["--help"])
    folder, rest = take_positional(arguments, "evaluate", "ADAPTER: an adapter folder or a run folder")
    from side4video.adapters.adapter import find_adapter, read_adapter
    from side4video.adapters.hub import is_downloaded

    settings = read_adapter(Path(folder)).config
    default = EvaluateArguments(data=settings.data, eval=settings.eval)
    given = tyro.cli(EvaluateArguments, prog=f"side4video evaluate {folder}", args=rest, default=default)

    _check_used(given.eval, settings.eval, task=settings.task)
    name = "timeline_evaluation" if given.timeline else "evaluation"
    found = find_adapter(Path(folder))
    place = (
        Path(f"{name}-{folder.replace('/', '-')}.json")
        if is_downloaded(found) or not os.access(found, os.W_OK)
        else found / f"{name}.json"
    )
    place = given.json or place  # the download cache stays as it is
    evaluate_adapter = _choose_evaluation(given, settings.task)
    return report_scores(
        lambda: evaluate_adapter(
            Path(folder),
            data=given.data,
            device=given.device,
            backbone_weights=given.backbone_weights,
            timeout_minutes=given.timeout_minutes,
        ),
        given.eval,
        path=place,
        refusal_path=given.json,
    )


def _check_used(given: EvalConfig, own: EvalConfig, *, task: str) -> None:
    """Refuse settings that differ from those of the adapter, but that this command does not use."""
    used_in = dict.fromkeys(("every", "final_clips", "final_crops", "probe"), "training")
    if task == "retrieval":
        used_in |= dict.fromkeys(("pool", "unlabelled"), "task recognition")
    else:
        used_in |= dict.fromkeys(("ties", "dual_softmax"), "task retrieval")
    for name, place in used_in.items():
        if getattr(given, name) != getattr(own, name):
            raise ValueError(
                f"eval.{name} = {getattr(given, name)!r} is a setting of {place}: evaluating this adapter does not use "
                "it. Leave it out."
            )


def _choose_evaluation(given: EvaluateArguments, task: str) -> "Callable[..., Scores]":
    """The function that evaluates, with its settings."""
    if given.timeline:
        from side4video.timeline.evaluate import evaluate_timelines

        return partial(evaluate_timelines, settings=given.windows)
    if given.windows != TimelineSettings():
        raise ValueError("The settings of windows need --timeline.")

    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=given.data.workers)

    if task == "retrieval":
        from side4video.tasks.retrieval.evaluate import evaluate_retrieval_adapter

        return partial(evaluate_retrieval_adapter, settings=given.eval)
    from side4video.tasks.recognition.evaluate import evaluate_adapter

    return partial(evaluate_adapter, settings=given.eval)
