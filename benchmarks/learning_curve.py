"""Accuracy of `train own-clips` by the number of training clips per class, on the development sets for few clips.

python benchmarks/learning_curve.py --sets SETS --weights vit_tiny_patch16_224.safetensors --minutes 30

SETS is made by few_clips_sets.py. The seed of a run chooses the clips of a class; smaller numbers are subsets of larger
ones. A set is skipped if a class has fewer clips. All test clips are used. Finished runs are lines of a log, so an
interrupted script continues with the same command. It writes the JSON file and the picture at the end, or after
--minutes.
"""

import datetime
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rivals import OURS
from rivals.arguments import FewClipsArguments
from rivals.log import Log
from rivals.picture import draw_curves, summarise
from side4video.atomic_files import write_json
from side4video.tasks.recognition.data import read_data


@dataclass(frozen=True)
class Arguments(FewClipsArguments):
    """What to run."""

    shots: tuple[int, ...] = (2, 5, 10, 20, 40)
    """Training clips of each class."""
    work: Path = Path("runs/learning-curve")
    out: Path = Path("docs/figures/learning-curve.json")
    """Result; the picture is next to it, as .svg."""


def run_missing(arguments: Arguments, log: Log) -> None:
    """Run what is not in the log, small numbers of clips first."""
    started = time.monotonic()
    for shots in arguments.shots:
        for name in arguments.only_sets:
            config = arguments.config(name, shots=shots)
            if shots > _smallest_class(config):
                continue
            for seed in range(arguments.seeds):
                key = {"set": name, "method": OURS, "seed": seed, "shots": shots}
                if log.find(**key):
                    continue
                if time.monotonic() - started > 60 * arguments.minutes:
                    return
                out = arguments.work / f"{name}-{shots}-{seed}"
                found, _ = arguments.run_ours(config, out, seed=seed)
                log.add(**key, **found)


def _smallest_class(config: Any) -> int:
    """Training clips of the class that has fewest."""
    videos = read_data(config.data.model_copy(update={"arrow_of_time": False, "shots": None})).train.videos
    return min(Counter(video.label for video in videos).values())


def main(arguments: Arguments) -> None:
    """Run what is missing, and write what is there."""
    log = Log(arguments.work / "log.jsonl", arguments.settings)
    run_missing(arguments, log)
    rows = [
        row | {"shots": shots}
        for shots in arguments.shots
        for row in summarise([part for part in log.rows if part["shots"] == shots])
    ]
    results = {
        "date": str(datetime.date.today()),
        "command": " ".join(["python benchmarks/learning_curve.py", *sys.argv[1:]]),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "settings": log.settings,
        "rows": rows,
    }
    write_json(arguments.out, results)
    draw_curves(rows, arguments.out.with_suffix(".svg"))
    for row in rows:
        print(f"{row['set']:15} {row['shots']:4} {row['method']:20} {100 * row['accuracy']:5.1f}")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
