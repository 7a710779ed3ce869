"""Accuracy of `train own-clips` by the number of training clips per class, on the development sets for few clips.

python benchmarks/learning_curve.py --sets SETS --weights vit_tiny_patch16_224.safetensors --minutes 30

SETS is made by few_clips_sets.py. The seed of a run chooses the clips of a class; smaller numbers are subsets of larger
ones. A set is skipped if a class has fewer clips. All test clips are used. Finished runs are lines of a log, so an
interrupted script continues with the same command. It writes the JSON file and the picture at the end, or after
--minutes.
"""

import datetime
import math
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from rivals import OURS
from rivals.data_sets import DATA_SETS, set_config
from rivals.log import Log
from rivals.ours import choose_probe_alone, run_ours, with_run
from rivals.picture import draw_curves, summarise
from side4video.atomic_files import write_json
from side4video.tasks.recognition.data import read_data


@dataclass(frozen=True)
class Arguments:
    """What to run."""

    sets: Path
    """Folder of the development sets."""
    weights: str
    """Weights of ViT-Tiny: a file, hub or random."""
    only_sets: tuple[str, ...] = tuple(DATA_SETS)
    shots: tuple[int, ...] = (2, 5, 10, 20, 40)
    """Training clips of each class."""
    seeds: int = 3
    epochs: int = 20
    image_size: int = 224
    minutes: float = math.inf
    """Begin nothing new after so many minutes."""
    probes_alone: bool = False
    """Choose among probes, without side networks, training and reports."""
    ours_flags: tuple[str, ...] = ()
    """Further flags of `train own-clips`, such as --search thorough."""
    work: Path = Path("runs/learning-curve")
    """Folder of the log and the runs."""
    out: Path = Path("docs/figures/learning-curve.json")
    """Result; the picture is next to it, as .svg."""
    model_args: dict[str, int] = field(default_factory=dict)
    """For a smaller image model in tests."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides about results; lines of the log with other settings are not used."""
        return {
            "epochs": self.epochs,
            "image_size": self.image_size,
            "ours": ["probes alone"] if self.probes_alone else [*self.ours_flags],
        }


def run_missing(arguments: Arguments, log: Log) -> None:
    """Run what is not in the log, small numbers of clips first."""
    started = time.monotonic()
    for shots in arguments.shots:
        for name in arguments.only_sets:
            config = set_config(
                name,
                sets=arguments.sets,
                weights=arguments.weights,
                image_size=arguments.image_size,
                model_args=arguments.model_args,
            )
            if shots > _smallest_class(config):
                continue
            config = with_run(config, epochs=arguments.epochs, cache=arguments.work / "tokens", shots=shots)
            for seed in range(arguments.seeds):
                key = {"set": name, "method": OURS, "seed": seed, "shots": shots}
                if log.find(**key):
                    continue
                if time.monotonic() - started > 60 * arguments.minutes:
                    return
                out = arguments.work / f"{name}-{shots}-{seed}"
                if arguments.probes_alone:
                    found, _ = choose_probe_alone(config, out, seed=seed)
                else:
                    found = run_ours(config, out, seed=seed, flags=[*arguments.ours_flags])
                log.add(**key, **found)


def _smallest_class(config: Any) -> int:
    """Training clips of the class that has fewest."""
    videos = read_data(config.data.model_copy(update={"arrow_of_time": False})).train.videos
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
