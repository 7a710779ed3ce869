"""Memory and open files of every process of a training run over many steps: flat, or growing.

python benchmarks/soak.py --steps 2000

A small model learns from short synthetic videos, with loader processes, checkpoints and evaluations. The script looks
for leaks that do not depend on the model: batches, pipes, videos or logs that are never freed or closed. Linux; about
5 minutes for 2,000 steps on two cores.
"""

import datetime
import itertools
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import tyro

from side4video.atomic_files import write_json
from side4video.config import dump_config, parse_config
from side4video.demo.videos import MotionVideos, make_motion_videos
from side4video.training.run_log import read_log

BATCH, CLIPS_PER_CLASS, CLASSES = 8, 8, 8
STEPS_PER_EPOCH = CLASSES * CLIPS_PER_CLASS // BATCH
EVALUATE_EVERY = 10  # epochs
WARM_UP = 1 / 3  # of the run: allocators and caches fill


@dataclass(frozen=True)
class Arguments:
    """How long."""

    steps: int = 300
    workers: int = 2
    seconds_between_samples: float = 1.0
    out: Path = Path("docs/figures/soak.json")


@dataclass(frozen=True)
class Sample:
    """A process at one moment."""

    moment: int
    step: int
    process: int
    role: str
    resident_mb: float
    open_files: int


def total_steps(arguments: Arguments) -> int:
    """Whole epochs."""
    return math.ceil(arguments.steps / STEPS_PER_EPOCH) * STEPS_PER_EPOCH


def settings(arguments: Arguments, videos: Path) -> str:
    run = {
        "backbone": {
            "name": "vit_tiny_patch16_224",
            "weights": "random",
            "image_size": 32,
            "model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
        },
        "side": {"width": 16},
        "data": {"train": videos / "train", "test": videos / "test", "num_frames": 4, "workers": arguments.workers},
        "augment": {"resize": 32, "flip": 0.0, "erasing": 0.5},
        "train": {
            "epochs": total_steps(arguments) // STEPS_PER_EPOCH,
            "batch": BATCH,
            "log_every": 1,
            "device": "cpu",
            "checkpoint_minutes": 0.1,
        },
        "eval": {"resize": 32, "every": EVALUATE_EVERY},
    }
    return dump_config(parse_config(run, source="the soak run"))


def field(process: int, name: str) -> str:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith(f"{name}:"))


def role(process: int, main: int) -> str:
    if process == main:
        return "main"
    if b"resource_tracker" in Path(f"/proc/{process}/cmdline").read_bytes():
        return "resource tracker"
    return "fork server" if int(field(process, "PPid")) == main else "loader"


def samples(main: int, moment: int, step: int) -> list[Sample]:
    """All processes of the run's session; one that ends meanwhile is left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        process = int(folder.name)
        try:
            if os.getsid(process) != main:
                continue
            resident = int(field(process, "VmRSS").split()[0]) / 1024
            found.append(
                Sample(moment, step, process, role(process, main), resident, len(list((folder / "fd").iterdir())))
            )
        except (OSError, StopIteration):
            continue
    return found


def watch(arguments: Arguments, folder: Path) -> list[Sample]:
    make_motion_videos(folder, MotionVideos(train_clips_per_class=CLIPS_PER_CLASS, test_clips_per_class=1, size=32))
    (folder / "run.yaml").write_text(settings(arguments, folder), encoding="utf-8")
    out = folder / "run"
    command = [sys.executable, "-m", "side4video", "train", str(folder / "run.yaml"), "--out", str(out)]
    found: list[Sample] = []
    with (folder / "output.txt").open("w") as output:
        run = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        for moment in itertools.count():
            if run.poll() is not None:
                break
            time.sleep(arguments.seconds_between_samples)
            steps = [entry["step"] for entry in read_log(out) if entry["kind"] == "train"]
            if steps and steps[-1] < total_steps(arguments):  # after the last one the report is written
                found += samples(run.pid, moment, steps[-1])
    if run.returncode:
        raise RuntimeError((folder / "output.txt").read_text()[-3000:])
    return found


def growth(found: list[Sample]) -> list[dict[str, Any]]:
    """Of each process that was there from the warm-up to the end: medians of the second and of the last third."""
    last = max(sample.step for sample in found)
    rows = []
    for process in dict.fromkeys(sample.process for sample in found):
        own = [sample for sample in found if sample.process == process]
        early = [sample for sample in own if WARM_UP * last <= sample.step < (1 + WARM_UP) / 2 * last]
        late = [sample for sample in own if sample.step >= (1 + WARM_UP) / 2 * last]
        if not early or not late:
            continue
        rows.append(
            {
                "role": own[0].role,
                "samples": len(own),
                "resident_mb_early": round(median(sample.resident_mb for sample in early), 1),
                "resident_mb_late": round(median(sample.resident_mb for sample in late), 1),
                "resident_mb_most": round(max(sample.resident_mb for sample in own), 1),
                "open_files_early": median(sample.open_files for sample in early),
                "open_files_late": median(sample.open_files for sample in late),
            }
        )
    return rows


def over_time(found: list[Sample]) -> list[dict[str, Any]]:
    """What a curve needs: at each of at most 100 moments, resident memory in MB and open files by role, summed."""
    moments = sorted({sample.moment for sample in found})
    points = []
    for moment in moments[:: max(1, math.ceil(len(moments) / 100))]:
        own = [sample for sample in found if sample.moment == moment]
        roles: dict[str, list[float]] = {}
        for sample in own:
            megabytes, files = roles.get(sample.role, [0.0, 0])
            roles[sample.role] = [round(megabytes + sample.resident_mb, 1), files + sample.open_files]
        points.append({"step": own[0].step, "resident_mb_and_open_files": roles})
    return points


def main(arguments: Arguments) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = watch(arguments, Path(folder))
    rows = growth(found)
    content = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "steps": total_steps(arguments),
        "workers": arguments.workers,
        "seconds": round(time.monotonic() - started),
        "warm_up_steps": round(WARM_UP * max(sample.step for sample in found)),
        "processes": rows,
        "most_processes_at_once": max(
            sum(other.moment == sample.moment for other in found) for sample in found if sample.role == "main"
        ),
        "over_time": over_time(found),
    }
    write_json(arguments.out, content)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
