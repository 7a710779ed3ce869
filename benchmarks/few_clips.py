"""Accuracy of `train own-clips` next to its own baselines, on the development sets for few clips.

python benchmarks/few_clips.py --sets SETS --weights vit_tiny_patch16_224.safetensors --minutes 60

SETS is made by few_clips_sets.py. Each set is divided in two ways: as given, and with training and test clips swapped.
Every finished run is a line of a log, so an interrupted script continues with the same command. It writes the JSON file
at the end, or after --minutes.
"""

import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import tyro

from rivals.arguments import FewClipsArguments
from rivals.data_sets import DATA_SETS
from rivals.log import Log
from side4video.atomic_files import write_json
from side4video.config import RunConfig

SPLITS = ("as given", "swapped")


@dataclass(frozen=True)
class Arguments(FewClipsArguments):
    """What to run."""

    splits: tuple[str, ...] = SPLITS
    probes: tuple[str, ...] = ("linear", "motion", "space-time", "correlation", "flow", "speed")
    """Baselines; attentive takes minutes more for each run."""
    work: Path = Path("runs/few-clips")
    out: Path = Path("docs/figures/few-clips.json")

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"probes": [*self.probes]}


def swapped(config: RunConfig) -> RunConfig:
    """The settings with training and test clips exchanged."""
    data = config.data.model_copy(update={"train": config.data.test, "test": config.data.train})
    return config.model_copy(update={"data": data})


def missing(arguments: Arguments, log: Log) -> Iterator[tuple[dict[str, Any], RunConfig]]:
    """Key and settings of each run that is not in the log; all sets once before the second seed."""
    for seed in range(arguments.seeds):
        for split in arguments.splits:
            for name in arguments.only_sets:
                key = {"set": name, "split": split, "seed": seed}
                if log.find(**key):
                    continue
                config = arguments.config(name)
                probes = {"probe": ",".join(arguments.probes)}
                config = config.model_copy(update={"eval": config.eval.model_copy(update=probes)})
                yield key, config if split == "as given" else swapped(config)


def run(key: dict[str, Any], config: RunConfig, arguments: Arguments) -> dict[str, Any]:
    """Run the command once; the result of `run_ours`, the choice of the search, and the number of test clips."""
    out = arguments.work / f"{key['set']}-{key['split'].replace(' ', '-')}-{key['seed']}"
    found, search = arguments.run_ours(config, out, seed=key["seed"])
    if not arguments.probes_alone:
        found["num_clips"] = json.loads((out / "evaluation.json").read_text())["num_videos"]
    assert search is not None
    chosen = {"chosen": search.chosen, "search_seconds": search.seconds}
    return found | chosen | {"cv": {one.name: one.mean for one in search.tried}}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each set, over its finished runs.

    "best_baseline" is the probe of a single cue with the highest mean test accuracy over the runs: a choice that sees
    the test clips, which no user can make. "error" is the standard error of "accuracy" for independent clips.
    """
    found = []
    for name in DATA_SETS:
        own = [row for row in rows if row["set"] == name]
        if not own:
            continue
        singles = [probe for probe in own[0]["probes"] if not probe.startswith("combined")]
        probes = {probe: mean(row["probes"][probe] for row in own) for probe in singles}
        best = max(probes, key=lambda probe: probes[probe])
        accuracy, clips = mean(row["accuracy"] for row in own), mean(row["num_clips"] for row in own)
        splits = len({row["split"] for row in own})
        found.append(
            {
                "set": name,
                "runs": len(own),
                "accuracy": accuracy,
                "error": (accuracy * (1 - accuracy) / (splits * clips)) ** 0.5,
                "best_baseline": best,
                "best_baseline_accuracy": probes[best],
                "probes": probes,
                "chosen": [row["chosen"] for row in own],
                "search_seconds": mean(row["search_seconds"] for row in own),
                "seconds": mean(row["seconds"] for row in own),
            }
        )
    return found


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| set | runs | own-clips | best single probe, chosen by the test clips | search, s |",
        "| --- | --: | --: | --- | --: |",
    ]
    for row in rows:
        score = f"{100 * row['accuracy']:.1f} ± {100 * row['error']:.1f}"
        probe = f"{100 * row['best_baseline_accuracy']:.1f} ({row['best_baseline']})"
        title = DATA_SETS[row["set"]].title
        lines.append(f"| {title} | {row['runs']} | {score} | {probe} | {row['search_seconds']:.0f} |")
    return "\n".join(lines)


def main(arguments: Arguments) -> None:
    """Run the missing parts and write the results."""
    log = Log(arguments.work / "log.jsonl", arguments.settings)
    started = time.monotonic()
    for key, config in missing(arguments, log):
        if time.monotonic() - started > 60 * arguments.minutes:
            break
        log.add(**key, **run(key, config, arguments))
    runs = [{name: value for name, value in row.items() if name != "settings"} for row in log.rows]
    results = {
        "date": str(datetime.date.today()),
        "command": " ".join(["python benchmarks/few_clips.py", *sys.argv[1:]]),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "torch": torch.__version__,
        "settings": log.settings,
        "runs": runs,
        "rows": summarise(runs),
    }
    write_json(arguments.out, results)
    print(markdown(results["rows"]))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
