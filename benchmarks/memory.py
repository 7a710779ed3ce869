"""Memory and speed of training: ours, ST-Adapter, AIM, EVL, DiST, fine-tuning, a linear probe and CLIP4Clip.

python benchmarks/memory.py                  # everything; on a CPU only steps of the first size are timed
python benchmarks/memory.py --counted-only   # memory only

All run on the same frozen image model (random weights), clips, loss and AdamW, with bfloat16 autocast. With a GPU
memory is what PyTorch's allocator reports. Without one it is counted on tensors without storage, and steps
are timed in float32, one at a time, in turn with the other methods: keep the machine free for that. Writes
docs/figures/memory-DEVICE.json and .svg, and prints the table.
"""

import datetime
import gc
import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import tyro

from measuring.counting import count
from measuring.gpu import build_step, measure
from measuring.table import draw, markdown
from measuring.timing import time_steps
from methods import METHODS, SIZES
from side4video.atomic_files import write_json
from side4video.models.backbones.loading import load_backbone


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    sizes: tuple[str, ...] = tuple(SIZES)
    """Image models: b16, l14; b32 for retrieval."""
    methods: tuple[str, ...] = tuple(METHODS)
    """Names of methods, as in benchmarks/methods/__init__.py."""
    counted_only: bool = False
    """Count memory without a GPU even where there is one, and do not time."""
    timed_sizes: tuple[str, ...] | None = None
    """Image models whose steps are timed; default: all on a GPU, b16 on a CPU, where l14 takes half an hour."""
    rounds: int = 3
    """Turns of each method when steps are timed."""
    cpu_batch: int = 1
    """Clips in a timed step on a CPU."""
    out: Path = Path("docs/figures")
    """Folder of the results."""

    def __post_init__(self) -> None:
        for name, given, known in (("sizes", self.sizes, SIZES), ("methods", self.methods, METHODS)):
            if unknown := set(given) - known.keys():
                raise ValueError(f"{name}: {', '.join(sorted(unknown))} not known. Use some of {', '.join(known)}.")


def chosen(arguments: Arguments) -> list[tuple[str, str]]:
    """(size, method) of each row."""
    return [(size, name) for size in SIZES for name in METHODS if size in arguments.sizes and name in arguments.methods
            and size in METHODS[name].options]  # fmt: skip


def count_row(row: tuple[str, str]) -> dict[str, Any]:
    """Count one row; runs in a process of its own, with one thread."""
    gc.freeze()  # what the libraries keep for ever need not be looked through again and again
    size, name = row
    return count(METHODS[name], size, SIZES[size])


def count_rows(rows: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Count all rows on all cores."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(count_row, rows)


def measure_rows(rows: list[tuple[str, str]], device: torch.device) -> Iterator[dict[str, Any]]:
    """Measure all rows on a GPU, one after the other."""
    for size in dict.fromkeys(size for size, _ in rows):
        backbone = load_backbone(SIZES[size].backbone, weights="random", dtype=torch.bfloat16)
        for name in (name for own, name in rows if own == size):
            yield measure(METHODS[name], size, SIZES[size], backbone, device)


def time_rows(rows: list[tuple[str, str]], device: torch.device, arguments: Arguments) -> dict[tuple[str, str], Any]:
    """Median seconds per step of each row."""
    on_gpu = device.type == "cuda"
    found = {}
    for size in dict.fromkeys(size for size, _ in rows):
        dtype = torch.bfloat16 if on_gpu else torch.float32
        backbone = load_backbone(SIZES[size].backbone, weights="random", dtype=dtype)
        names = [name for own, name in rows if own == size]
        steps = {name: build_step(METHODS[name], size, SIZES[size], backbone, device) for name in names}
        batch = SIZES[size].batch if on_gpu else arguments.cpu_batch
        for name, seconds in time_steps(steps, batch=batch, rounds=arguments.rounds).items():
            found[size, name] = {"seconds_per_step": seconds, "timed_batch": batch}
    return found


def main() -> None:
    """Measure, write, print."""
    arguments = tyro.cli(Arguments, description=__doc__)
    on_gpu = torch.cuda.is_available() and not arguments.counted_only
    device = torch.device("cuda" if on_gpu else "cpu")
    rows = chosen(arguments)
    measured = []
    for (size, name), values in zip(rows, measure_rows(rows, device) if on_gpu else count_rows(rows), strict=True):
        measured.append({"size": size, "method": name, **values})
        peak = f"{values['peak_bytes'] / 1e9:.2f} GB" if values["peak_bytes"] else "does not fit"
        print(f"{SIZES[size].title} {METHODS[name].title}: {peak}", file=sys.stderr)
    if not arguments.counted_only:
        timed_sizes = arguments.timed_sizes or (tuple(SIZES) if on_gpu else ("b16",))
        times = time_rows([row for row in rows if row[0] in timed_sizes], device, arguments)
        measured = [row | times.get((row["size"], row["method"]), {}) for row in measured]
    name = torch.cuda.get_device_name(device).lower().replace(" ", "-") if on_gpu else "cpu"
    results = {
        "date": str(datetime.date.today()),
        "command": " ".join(["python benchmarks/memory.py", *sys.argv[1:]]),
        "device": name if on_gpu else "counted (no GPU)",
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "torch": torch.__version__,
        "rows": measured,
    }
    write_json(arguments.out / f"memory-{name}.json", results)
    draw(results, arguments.out / f"memory-{name}.svg")
    print(f"{results['device']}, {results['date']}, PyTorch {results['torch']}: {results['command']}\n")
    print(markdown(results))


if __name__ == "__main__":
    main()
