"""Seconds per epoch with and without cached tokens, on a small real data set.

python benchmarks/token_cache.py --data ucf3 --weights vit_tiny_patch16_224.safetensors

`--data` holds train.txt (`path label` lines) and videos/. Two models: the recipe own-clips, and the paper's side
network on every block. Run it alone on the machine: it takes about ten minutes on two cores.
"""

import datetime
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

from side4video.atomic_files import write_json
from side4video.config import RunConfig, load_config
from side4video.training.loop import train
from side4video.training.run_log import read_log


@dataclass(frozen=True)
class Arguments:
    """What to measure on."""

    data: Path
    weights: Path
    out: Path = Path("docs/figures/token-cache.json")
    epochs: int = 4
    """The first one is left out: loader processes start in it."""
    copies: int = 2


def config(arguments: Arguments, *, every_block: bool, cache: Path | None) -> RunConfig:
    """The recipe own-clips, or with it the paper's side network 64 wide on every block."""
    recipe = load_config("own-clips").model_dump() | {"search": "off"}
    recipe["backbone"]["weights"] = str(arguments.weights)
    recipe["data"] |= {
        "train": arguments.data / "train.txt",
        "root": arguments.data / "videos",
        "cache": cache,
        "cache_copies": arguments.copies,
    }
    recipe["train"] |= {"epochs": arguments.epochs, "log_every": 1}
    recipe["eval"]["probe"] = False
    if every_block:
        recipe["side"] = {"width": 64}
        recipe["head"] = {}
    return RunConfig.model_validate(recipe)


def seconds_per_epoch(settings: RunConfig, folder: Path) -> float:
    """Median over all epochs but the first, from the clips per second that the run logged."""
    train(settings, out=folder)
    steps = [entry for entry in read_log(folder) if entry["kind"] == "train"]
    per_epoch = len(steps) // settings.train.epochs
    clips = settings.train.batch
    epochs = [steps[start : start + per_epoch] for start in range(per_epoch, len(steps), per_epoch)]
    return median(sum(clips / step["clips_per_second"] for step in epoch) for epoch in epochs)


def main() -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, every_block in (("own-clips", False), ("every block, 64 wide", True)):
            seconds = [
                seconds_per_epoch(
                    config(arguments, every_block=every_block, cache=Path(folder) / "cache" if cached else None),
                    Path(folder) / f"{name}-{cached}",
                )
                for cached in (False, True)
            ]
            row = {"model": name, "seconds": seconds[0], "seconds_cached": seconds[1], "ratio": seconds[0] / seconds[1]}
            rows.append(row)
            print(f"{name}: {seconds[0]:.1f} s per epoch, {seconds[1]:.1f} s from the cache, ratio {row['ratio']:.1f}")
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    write_json(arguments.out, {"date": str(datetime.date.today()), "machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
