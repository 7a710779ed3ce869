"""The command `train`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from side4video.commands.positional import take_positional
from side4video.commands.score_output import print_scores, refusal_reason, report_refusal
from side4video.config import RunConfig, load_config, recipe_names

if TYPE_CHECKING:
    from side4video.sharing.model_card import CardFacts  # only for its type: it imports torch


@dataclass(frozen=True)
class TrainArguments:
    """Train a side network; write adapters, logs, scores and a report to a run folder.

    Examples:
        >>> TrainArguments(config=load_config("own-clips"), out=Path("runs/mine")).resume
        False
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    out: Path
    """Run folder to write: best/ and last/ adapters, log.jsonl, metrics.csv, evaluation.json, report.html. An address,
    such as s3://bucket/run, is a run in an object store."""
    resume: bool = False
    """Continue the interrupted run in the run folder."""
    init_from: Path | None = None
    """Adapter to initialise from; a classifier for other classes is discarded with a message."""
    license: str | None = None
    """Licence of the trained adapter for its card: the hub's short name, such as mit. Default: none."""


def expand_probe_flag(arguments: list[str]) -> list[str]:
    """Expand `--eval.probe` without a value to the linear probe, and `--eval.no-probe` to no probe.

    >>> expand_probe_flag(["--eval.probe", "--eval.clips", "3"])
    ['--eval.probe', 'true', '--eval.clips', '3']
    """
    found = []
    for place, argument in enumerate(arguments):
        following = arguments[place + 1 : place + 2]
        if argument == "--eval.no-probe":
            found += ["--eval.probe", "false"]
        elif argument == "--eval.probe" and (not following or following[0].startswith("--")):
            found += ["--eval.probe", "true"]
        else:
            found.append(argument)
    return found


def train(arguments: list[str]) -> int:
    """Run `side4video train`; returns the exit code."""
    names = f"RECIPE: a YAML file or one of {', '.join(recipe_names())}; ssv2-b16-f16 has 16 frames"
    recipe, rest = take_positional(arguments, "train", names)
    default = TrainArguments(config=load_config(recipe), out=Path("runs") / Path(recipe).stem)
    arguments = expand_probe_flag(rest)
    given = tyro.cli(TrainArguments, prog=f"side4video train {recipe}", args=arguments, default=default)

    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=given.config.data.workers)

    from side4video.sharing.model_card import CardFacts
    from side4video.training.run_mirror import run_folder

    facts = CardFacts(license=given.license)  # raises for an unknown licence before hours of work
    with run_folder(given.out) as out:
        return _train_in(out, given, facts)


def _train_in(out: Path, given: TrainArguments, facts: "CardFacts") -> int:
    """Train in a folder of this machine, and write the report and the card there."""
    from side4video.distributed.processes import is_main_process
    from side4video.reports.run_report import compare_frozen_and_trained, write_run_report
    from side4video.selection.run import train as run
    from side4video.sharing.model_card import write_model_card
    from side4video.training.final_evaluation import read_final
    from side4video.training.out_of_memory import TrainingMemoryError
    from side4video.training.run_mirror import shown_place

    failure = None
    try:
        result = run(given.config, out=out, resume=given.resume, init_from=given.init_from)
    except TrainingMemoryError as error:
        failure = TrainingMemoryError(error.reason, phase=error.phase, num_classes=error.num_classes)
    if failure is not None:  # outside the handler, so that the run's tensors are freed
        from side4video.memory.command import advise_after_failure

        print(advise_after_failure(given.config, failure, out=shown_place(out)), file=sys.stderr)
        return 2
    refused = None if result.evaluation is None else refusal_reason(result.evaluation, given.config.eval)
    if not is_main_process():
        return 0 if refused is None else 1
    if result.evaluation is not None:
        if refused is None:
            print_scores(result.final or result.evaluation, max_classes=50)
            for name, score in (compare_frozen_and_trained(out) | read_final(out)).items():
                print(f"{name:45} {score:6.1%}")
        report = write_run_report(out, explain=not given.config.train.shard_backbone)
        print(f"report: {shown_place(report)}")
    write_model_card(out, facts)
    print(f"adapter: {shown_place(out / ('last' if result.evaluation is None else 'best'))}")
    return 0 if refused is None or result.evaluation is None else report_refusal(refused, result.evaluation.unread)
