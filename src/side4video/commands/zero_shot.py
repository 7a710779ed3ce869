"""The command `zero-shot`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from side4video.commands.positional import take_model
from side4video.commands.score_output import report_scores
from side4video.config import BackboneConfig, DataConfig, EvalConfig, TextConfig


@dataclass(frozen=True)
class ZeroShotArguments:
    """Score a CLIP model on labelled videos without training; class names are inserted into prompts.

    Examples:
        >>> parts = {"backbone": BackboneConfig(), "text": TextConfig(), "eval": EvalConfig()}
        >>> ZeroShotArguments(**parts, data=DataConfig(test="clips/test")).timeout_minutes
        60.0
    """

    backbone: BackboneConfig
    text: TextConfig
    data: DataConfig
    eval: EvalConfig
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    timeout_minutes: float = 60.0
    """Timeout for distributed runs (torchrun or SLURM): how long a process waits for others without heartbeats."""
    json: Path | None = None
    """File for the scores, every prediction and every unreadable file."""


def zero_shot(arguments: list[str]) -> int:
    """Run `side4video zero-shot`; returns the exit code."""
    recipe, config, rest = take_model(arguments, "zero-shot")
    default = ZeroShotArguments(backbone=config.backbone, text=config.text, data=config.data, eval=config.eval)
    given = tyro.cli(ZeroShotArguments, prog=f"side4video zero-shot {recipe}", args=rest, default=default)

    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=given.data.workers)

    from side4video.tasks.recognition.zero_shot import evaluate_zero_shot

    train = config.train.model_copy(update={"device": given.device})
    parts = {"backbone": given.backbone, "text": given.text, "data": given.data, "eval": given.eval, "train": train}
    settings = config.model_copy(update=parts)
    return report_scores(
        lambda: evaluate_zero_shot(settings, timeout_minutes=given.timeout_minutes),
        given.eval,
        path=given.json,
        refusal_path=given.json,
    )
