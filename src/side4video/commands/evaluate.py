"""The command `evaluate`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from side4video.commands.positional import take_positional
from side4video.commands.score_output import report_scores
from side4video.config import DataConfig, EvalConfig


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
    """Timeout for distributed runs (torchrun or SLURM): how long a process waits for the others."""
    json: Path | None = None
    """File for the scores, every prediction and every unreadable file. Default: evaluation.json in the adapter folder;
    for an adapter from the hub, a file in the current folder."""


def evaluate(arguments: list[str]) -> int:
    """Score an adapter on labelled or captioned videos: evaluate ADAPTER [--data.test ...] [--eval.crops 3]."""
    if arguments[:1] in (["-h"], ["--help"]):  # no adapter is given, so its settings cannot be the defaults
        tyro.cli(EvaluateArguments, prog="side4video evaluate ADAPTER", args=["--help"])
    folder, rest = take_positional(arguments, "evaluate", "ADAPTER: an adapter folder or a run folder")
    from side4video.adapters.adapter import find_adapter, read_adapter
    from side4video.adapters.hub import is_downloaded

    settings = read_adapter(Path(folder)).config
    retrieval = settings.task == "retrieval"
    default = EvaluateArguments(data=settings.data, eval=settings.eval)
    given = tyro.cli(EvaluateArguments, prog=f"side4video evaluate {folder}", args=rest, default=default)

    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=given.data.workers)

    if retrieval:
        from side4video.tasks.retrieval.evaluate import evaluate_retrieval_adapter as evaluate_adapter
    else:
        from side4video.tasks.recognition.evaluate import evaluate_adapter  # type: ignore[assignment]

    found = find_adapter(Path(folder))
    place = Path(f"evaluation-{folder.replace('/', '-')}.json") if is_downloaded(found) else found / "evaluation.json"
    return report_scores(
        lambda: evaluate_adapter(
            Path(folder),
            data=given.data,
            settings=given.eval,
            device=given.device,
            backbone_weights=given.backbone_weights,
            timeout_minutes=given.timeout_minutes,
        ),
        given.eval,
        path=given.json or place,  # never write into the download cache
        refusal_path=given.json,
    )
