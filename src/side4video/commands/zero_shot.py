"""The command `zero-shot`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from side4video.commands.positional import take_model
from side4video.commands.score_output import print_scores, report_refusal, why_refused
from side4video.config import BackboneConfig, DataConfig, EvalConfig, TextConfig


@dataclass(frozen=True)
class ZeroShotArguments:
    """Score a CLIP model on videos with classes without training: class names are put into sentences."""

    backbone: BackboneConfig
    text: TextConfig
    data: DataConfig
    eval: EvalConfig
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    timeout_minutes: float = 60.0
    """That one of several processes, where torchrun or SLURM started them, waits for the others."""
    json: Path | None = None
    """Where the scores, every prediction and every unreadable file go."""


def zero_shot(arguments: list[str]) -> int:
    """Score a CLIP model without training, by class names: zero-shot RECIPE [--data.test ...] [--text.prompts ...]."""
    recipe, config, rest = take_model(arguments, "zero-shot")
    default = ZeroShotArguments(backbone=config.backbone, text=config.text, data=config.data, eval=config.eval)
    given = tyro.cli(ZeroShotArguments, prog=f"side4video zero-shot {recipe}", args=rest, default=default)

    from side4video.video.worker_processes import start_early

    start_early(workers=given.data.workers)

    from side4video.files import write_json
    from side4video.processes import is_main_process
    from side4video.tasks.evaluation import NoneReadError
    from side4video.tasks.zero_shot import evaluate_zero_shot

    train = config.train.model_copy(update={"device": given.device})
    parts = {"backbone": given.backbone, "text": given.text, "data": given.data, "eval": given.eval, "train": train}
    try:
        evaluation = evaluate_zero_shot(config.model_copy(update=parts), timeout_minutes=given.timeout_minutes)
    except NoneReadError as error:
        return report_refusal(str(error), error.unread, given.json)
    if refused := why_refused(evaluation, given.eval):
        return report_refusal(refused, evaluation.unread, given.json)
    exit_code = 1 if evaluation.unread else 0
    if not is_main_process():
        return exit_code
    print_scores(evaluation)
    if given.json is not None:
        write_json(given.json, evaluation.to_json())
        print(f"written to {given.json}")
    return exit_code
