"""Measures the memory of real training steps in a separate process, to compare with the estimate.

On a GPU, PyTorch's allocator reports the memory. On a CPU there are two independent numbers: the bytes of all tensors,
and the growth of the process as the operating system measures it.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

import torch

from side4video.config import RunConfig, parse_config
from side4video.memory.planning import resolve_types
from side4video.memory.training_step import TrainingStep, step_size
from side4video.models.build import build_model
from side4video.models.video_model import choose_device
from side4video.system.devices import is_gpu, peak_device_bytes, reset_peak_memory
from side4video.system.memory import resident_bytes

STEPS = 3
# With these, glibc returns freed memory at once, so that the size of the process is the memory in use.
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True)
class Measurement:
    """Memory of three real steps.

    Attributes:
        device: "cpu", "cuda", ...
        measured: bytes. On a GPU the peak of PyTorch's allocator; on a CPU the largest growth of the process since
            before the model was built.
        counted: bytes of all tensors at the peak of one more step, counted one by one.

    >>> Measurement("cuda", measured=2_100_000_000, counted=2_000_000_000).counted / 10**9
    2.0
    """

    device: str
    measured: int
    counted: int


def measure_step(config: RunConfig, *, num_classes: int) -> Measurement:
    """Build the model with random weights and run three real steps on random clips, in a new process.

    Raises:
        RuntimeError: the process failed, for example out of memory; the message contains the last line of its errors.
    """
    task = json.dumps({"config": config.model_dump(mode="json"), "num_classes": num_classes})
    done = subprocess.run(
        [sys.executable, "-m", "side4video.memory.measuring"],
        input=task,
        text=True,
        capture_output=True,
        env=os.environ | _ENVIRONMENT,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RuntimeError(f"The steps could not be measured: {reason[0]}. Try a smaller --train.batch.")
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def _measure(config: RunConfig, num_classes: int) -> Measurement:
    device = choose_device(config.train.device)
    config = resolve_types(config, "gpu" if is_gpu(device) else "cpu")
    _load_libraries(config, device)
    before = resident_bytes()
    reset_peak_memory(device)
    model = build_model(config, num_classes=num_classes, device=device)
    step = TrainingStep(config, model, num_classes=num_classes, device=device)
    size = step_size(config)
    for _ in range(STEPS):
        step.run(size)
    measured = peak_device_bytes(device) - (0 if is_gpu(device) else before)
    return Measurement(device.type, measured, step.count(size).peak_bytes)


def _load_libraries(config: RunConfig, device: torch.device) -> None:
    """Run a step of a tiny model, so that the code of the libraries is in memory before the measurement starts."""
    tiny = {"patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2}
    backbone = config.backbone.model_copy(update={"name": "vit_tiny_patch16_224", "image_size": 32, "model_args": tiny})
    side = config.side.model_copy(update={"width": 32, "taps": "all", "num_heads": 1})
    train = config.train.model_copy(update={"batch": 2, "micro_batch": None})
    text = config.text.model_copy(update={"model_args": {"width": 32, "heads": 1, "layers": 1}})
    small = config.model_copy(update={"backbone": backbone, "side": side, "train": train, "text": text})
    model = build_model(small, num_classes=2, device=device)
    TrainingStep(small, model, num_classes=2, device=device).run(step_size(small))


if __name__ == "__main__":
    task = json.loads(sys.stdin.read())
    settings = parse_config(task["config"], source="the settings to measure")
    print(json.dumps(asdict(_measure(settings, task["num_classes"]))))
