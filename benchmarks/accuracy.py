"""Accuracy on few real clips: ours next to full fine-tuning, ST-Adapter, AIM, EVL and DiST, on the same clips.

python benchmarks/accuracy.py --sets SETS --weights vit_tiny_patch16_224.safetensors --estimate
python benchmarks/accuracy.py --sets SETS --weights vit_tiny_patch16_224.safetensors --minutes 30

SETS is made by few_clips_sets.py. All methods start from the same ViT-Tiny. Rivals see the frames, crops and flips of
the eight augmented copies of each clip that our side network is trained on, for the same number of epochs. A rival's
learning rate is the best of three in grouped cross-validation inside the training clips; the test clips are scored
once, at the end, for each seed. Ours is the command `train own-clips`, whose search chooses in the same way; its probes
have their own rows and are trained on views without random crops.

Every finished part is a line of the log, so an interrupted run continues with the same command. At the end, or after
--minutes, the script writes the JSON file and the picture from the finished parts.
"""

import datetime
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from rivals import OURS, RIVALS
from rivals.arguments import FewClipsArguments, check_known
from rivals.data_sets import BACKBONE, PixelSets, load_sets
from rivals.log import Log
from rivals.picture import draw, markdown, summarise
from rivals.training import Schedule, build, loss, run_rival, saved_bytes_per_clip
from side4video.atomic_files import write_json
from side4video.models.backbones.loading import load_backbone
from side4video.tasks.recognition.folds import make_folds

RATES = (1 / 3, 1.0, 3.0)
"""Learning rates to try, as multiples of the rival's `lr`."""


@dataclass(frozen=True)
class Arguments(FewClipsArguments):
    """What to run."""

    methods: tuple[str, ...] = (OURS, *RIVALS)
    folds: int = 2
    """Parts of the training clips, to choose learning rates."""
    tried_folds: int = 2
    """Folds on which each learning rate is tried; 1 takes half of the time."""
    estimate: bool = False
    """Time one step of each rival on each set and print what everything takes; train nothing."""
    work: Path = Path("runs/accuracy")
    out: Path = Path("docs/figures/accuracy.json")
    """Result; the picture is next to it, as .svg."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_known("methods", self.methods, (OURS, *RIVALS))

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"folds": self.folds, "tried_folds": self.tried_folds}


class Comparison:
    """Every part of the comparison, in order.

    Args:
        arguments: what to run.
        log: the finished parts.
    """

    def __init__(self, arguments: Arguments, log: Log) -> None:
        self.arguments, self.log = arguments, log
        self.backbone = load_backbone(
            BACKBONE, weights=arguments.weights, image_size=arguments.image_size, model_args=arguments.model_args
        )
        self.schedule = Schedule(arguments.epochs, arguments.batch)

    def parts(self) -> Iterator[Any]:
        """Functions that each run one part that is not finished yet; learning rates come before seeds."""
        for name in self.arguments.only_sets:
            for method in self.arguments.methods:
                if method == OURS:
                    yield from self._our_parts(name)
                    continue
                sets = self._load(name)
                for rate in RATES:
                    for fold in range(self.arguments.tried_folds):
                        key = {"set": name, "method": method, "rate": rate, "fold": fold}
                        if not self.log.find(**key):
                            yield partial(self._try_rate, sets, key)
                for seed in range(self.arguments.seeds):
                    key = {"set": name, "method": method, "seed": seed}
                    if not self.log.find(**key):
                        yield partial(self._score, sets, key)

    def estimate(self) -> None:
        """Print the processor's seconds of a step, and hours of everything, for each set and rival."""
        total, cores = 0.0, torch.get_num_threads()
        for name in self.arguments.only_sets:
            sets = self._load(name)
            for method in (method for method in self.arguments.methods if method != OURS):
                seconds = self._time_step(sets, method)
                steps = self.arguments.epochs * math.ceil(len(sets.train.labels) / self.schedule.batch)
                folds = self.arguments.folds
                rates = len(RATES) * self.arguments.tried_folds * (folds - 1) / folds  # trained on all folds but one
                minutes = seconds * steps * (rates + self.arguments.seeds) / 60 / cores
                total += minutes
                print(f"{name:15} {method:12} {seconds:6.2f} CPU s per step, {steps} steps, {minutes:6.1f} min in all")
        print(f"all rivals: {total / 60:.1f} hours on {cores} otherwise idle cores")

    def _our_parts(self, name: str) -> Iterator[Any]:
        for seed in range(self.arguments.seeds):
            key = {"set": name, "method": OURS, "seed": seed}
            if not self.log.find(**key):
                yield partial(self._run_ours, key)

    def _run_ours(self, key: dict[str, Any]) -> None:
        given = self.arguments
        out = given.work / f"{key['set']}-{key['seed']}-{given.image_size}-{given.epochs}-{given.batch}"
        found, _ = given.run_ours(given.config(key["set"]), out, seed=key["seed"])
        self.log.add(**key, **found)

    def _try_rate(self, sets: PixelSets, key: dict[str, Any]) -> None:
        folds = make_folds(
            sets.train.labels.tolist(), sets.groups, class_names=sets.class_names, num_folds=self.arguments.folds
        )
        rows, held = (part.tolist() for part in folds.parts[key["fold"]])
        rival = RIVALS[key["method"]]
        found = run_rival(
            rival,
            self.backbone,
            sets.train,
            rows,
            sets.train,
            held,
            held_copies=1,
            num_classes=len(sets.class_names),
            lr=rival.lr * key["rate"],
            seed=0,
            schedule=self.schedule,
        )
        self.log.add(**key, **found)

    def _score(self, sets: PixelSets, key: dict[str, Any]) -> None:
        rival, rate = RIVALS[key["method"]], self._best_rate(key)
        found = run_rival(
            rival,
            self.backbone,
            sets.train,
            range(len(sets.train.labels)),
            sets.test,
            range(len(sets.test.labels)),
            held_copies=sets.test.pixels.shape[1],
            num_classes=len(sets.class_names),
            lr=rival.lr * rate,
            seed=key["seed"],
            schedule=self.schedule,
        )
        model = build(rival, self.backbone, num_classes=len(sets.class_names), num_frames=8, seed=0)
        saved = saved_bytes_per_clip(model, rival, sets.train)
        self.log.add(**key, **found, rate=rate, saved_bytes=saved)

    def _best_rate(self, key: dict[str, Any]) -> float:
        """The rate with the highest mean accuracy over the folds; the lowest one on ties."""

        def mean(rate: float) -> float:
            folds = range(self.arguments.tried_folds)
            found = [self.log.find(set=key["set"], method=key["method"], rate=rate, fold=fold) for fold in folds]
            return float(np.mean([row["accuracy"] for row in found if row is not None]))

        return max(RATES, key=mean)

    def _time_step(self, sets: PixelSets, method: str) -> float:
        rival = RIVALS[method]
        model = build(rival, self.backbone, num_classes=len(sets.class_names), num_frames=8, seed=0).train()
        seconds = []
        for _ in range(2):  # the first one is a warm-up
            started = time.process_time()  # other programs on the machine do not count
            clips, labels = sets.train.batch(range(self.schedule.batch), 0)
            loss(model, rival, clips, labels).backward()
            seconds.append(time.process_time() - started)
        return min(seconds)

    def _load(self, name: str) -> PixelSets:
        return load_sets(self.arguments.config(name), self.backbone, self.arguments.work / "pixels")


def main(arguments: Arguments) -> None:
    """Run the missing parts and write the results."""
    log = Log(arguments.work / "log.jsonl", arguments.settings)
    comparison = Comparison(arguments, log)
    if arguments.estimate:
        comparison.estimate()
        return
    started = time.monotonic()
    for part in comparison.parts():
        if time.monotonic() - started > 60 * arguments.minutes:
            break
        part()
    results = {
        "date": str(datetime.date.today()),
        "command": " ".join(["python benchmarks/accuracy.py", *sys.argv[1:]]),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "torch": torch.__version__,
        "settings": log.settings,
        "parts": [{name: value for name, value in row.items() if name != "settings"} for row in log.rows],
        "rows": summarise(log.rows),
    }
    write_json(arguments.out, results)
    draw(results["rows"], arguments.out.with_suffix(".svg"))
    print(markdown(results["rows"]))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
