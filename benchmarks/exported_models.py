"""Size of exported models, their difference from PyTorch's outputs, and seconds per clip.

python benchmarks/exported_models.py --model b16 --json docs/figures/exported-models.json

All weights are random, so nothing is downloaded. The trained tensors are moved away from their initial values and the
BatchNorm statistics come from a random batch, so every part of the side network has an effect and nothing overflows.
Bytes and differences do not depend on what else the machine does; seconds do.
"""

import datetime
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
import tyro
from torch import Tensor

from side4video.adapters.adapter import Adapter, load_adapter, save_adapter
from side4video.atomic_files import write_json
from side4video.config import MODEL_PRESETS, RunConfig, parse_config
from side4video.models.build import build_model
from side4video.sharing.export import export_adapter

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Arguments:
    """Export a model of the paper with random weights and compare it with PyTorch."""

    model: str = "b16"
    """b32, b16, b16-light, l14, l14-light or e14."""
    depth: int | None = None
    """Blocks of the backbone; by default all."""
    image_size: int | None = None
    """Pixels; by default the model's own."""
    classes: int = 174
    frames: int = 8
    runs: int = 5
    """How often each is timed, in turn; the median is reported."""
    threads: int = 1
    json: Path | None = None
    """Where the figures go."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, compare, time, print."""
    given = tyro.cli(Arguments, args=arguments)
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(given, Path(folder))
    for name, value in result.items():
        print(f"{name:30} {value}")
    if given.json is not None:
        write_json(given.json, result)


def measure(given: Arguments, folder: Path) -> dict[str, Any]:
    """All figures, by name."""
    adapter = make_adapter(given, folder / "adapter")
    model, _ = load_adapter(adapter, device=CPU)
    started = time.perf_counter()
    onnx = export_adapter(adapter, folder / "model.onnx")
    onnx_seconds = time.perf_counter() - started
    program = export_adapter(adapter, folder / "model.pt2")
    session = open_session(folder / "model.onnx", given.threads)
    size = model.backbone.image_size
    clip = torch.randn(1, given.frames, 3, size, size, generator=torch.Generator().manual_seed(1))
    runs: dict[str, Callable[[], Tensor]] = {
        "pytorch": lambda: model(clip),
        "onnxruntime": lambda: torch.from_numpy(np.asarray(session.run(None, {"clips": clip.numpy()})[0])),
    }
    with torch.no_grad():
        outputs = {name: run() for name, run in runs.items()}
        seconds = time_in_turn(runs, given.runs)
    return {
        "model": given.model,
        "clip": list(clip.shape),
        "adapter_bytes": (adapter / "model.safetensors").stat().st_size,
        "onnx_bytes": onnx.num_bytes,
        "onnx_files": len(onnx.files),
        "pt2_bytes": program.num_bytes,
        "onnx_largest_difference": float((outputs["onnxruntime"] - outputs["pytorch"]).abs().max()),
        "largest_logit": float(outputs["pytorch"].abs().max()),
        "pt2_largest_relative_difference": program.largest_difference,
        "onnx_export_seconds": onnx_seconds,
        "seconds_per_clip": seconds,
        "threads": given.threads,
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("torch", "onnx", "onnxruntime", "onnxscript")},
        "date": datetime.date.today().isoformat(),
    }


def make_adapter(given: Arguments, folder: Path) -> Path:
    """An adapter of the model on random weights; see above."""
    config = model_config(given)
    names = tuple(f"class {number}" for number in range(given.classes))
    model = build_model(config, num_classes=given.classes, device=CPU)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.momentum = 1.0  # the running statistics become those of the next batch
        size = model.backbone.image_size
        model.train()(torch.randn(2, given.frames, 3, size, size, generator=generator))
    save_adapter(folder, model, Adapter(config=config, class_names=names, fingerprint=model.backbone.fingerprint))
    return folder


def model_config(given: Arguments) -> RunConfig:
    """Settings of the model."""
    backbone, side = (part.model_dump(exclude_defaults=True) for part in MODEL_PRESETS[given.model])
    backbone |= {"weights": "random", "image_size": given.image_size}
    if given.depth is not None:
        backbone["model_args"] = {"depth": given.depth}
    content = {"backbone": backbone, "side": side, "data": {"num_frames": given.frames}}
    return parse_config(content, source=given.model)


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The model in onnxruntime on that many threads of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def time_in_turn(runs: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Median seconds of each; they take turns, so that what else the machine does falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    return {name: median(seconds) for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
