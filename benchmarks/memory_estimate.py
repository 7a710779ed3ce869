"""The planner's estimate and the memory of real training steps, as rows of the table in docs/background/memory.md.

    python benchmarks/memory_estimate.py [ROW ...]      # a row is model:batch:mode, such as b16:8:exact

On the CPU unless `--device cuda` is given. All rows take about 15 minutes on one free core.
"""

import argparse
import datetime
from pathlib import Path

import torch

from side4video.atomic_files import write_json
from side4video.config import MODEL_PRESETS, RunConfig, TrainConfig
from side4video.memory.measuring import measure_step
from side4video.memory.planning import StepPlanner

MODES = ("plain", "exact", "tight")
ROWS = [f"b16:{batch}:{mode}" for batch in (4, 8) for mode in MODES] + [f"l14:2:{mode}" for mode in MODES]
ROWS += ["b32:12:exact"]  # frames in two chunks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=ROWS, metavar="model:batch:mode")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/estimated-memory.json"))
    given = parser.parse_args()
    print("| model | batch | mode | estimate | tensors | measured | estimate / measured |\n" + "| --- " * 7 + "|")
    found = []
    for row in given.rows:
        name, batch, mode = row.split(":")
        backbone, side = MODEL_PRESETS[name]
        train = TrainConfig(batch=int(batch), memory=mode, device=given.device)
        config = RunConfig(backbone=backbone, side=side, train=train)
        estimate = StepPlanner(config, num_classes=174).estimate().total
        real = measure_step(config, num_classes=174)
        cells = (f"{size / 10**6:,.0f}" for size in (estimate, real.counted, real.measured))
        print(f"| {name} | {batch} | {mode} | {' | '.join(cells)} | {estimate / real.measured:.3f} |", flush=True)
        sizes = {"estimate_bytes": estimate, "tensor_bytes": real.counted, "process_bytes": real.measured}
        found.append({"model": name, "batch": int(batch), "mode": mode, **sizes})
    about = {"date": datetime.date.today().isoformat(), "torch": torch.__version__, "device": given.device}
    write_json(given.out, {**about, "rows": found})


if __name__ == "__main__":
    main()
