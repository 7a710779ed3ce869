"""Memory of a training step of the whole ViT-E/14 (64 blocks, 4.35 billion frozen numbers).

    python benchmarks/giant_step.py                    # bfloat16 weights
    python benchmarks/giant_step.py --quantise int8    # with an 8-bit optimizer

Random weights, 2 frames, one clip, on the CPU unless `--device cuda` is given. It takes some minutes on two cores and
about 13 GB; the peak is the growth of the process that the operating system reports.
"""

import datetime
import os
import platform
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from side4video.atomic_files import write_json
from side4video.config import MODEL_PRESETS, RunConfig, TrainConfig
from side4video.memory.planning import StepPlanner
from side4video.memory.training_step import StepSize
from side4video.models.backbones.loading import load_backbone, restore_buffers
from side4video.models.backbones.quantisation import quantise_linear_layers
from side4video.models.heads import ClassificationHead
from side4video.models.video_model import VideoModel, build_side_network
from side4video.system.memory import resident_bytes
from side4video.training.optimizer import build_optimizer
from side4video.training.run_log import peak_memory_mb


@dataclass(frozen=True)
class Arguments:
    """What to step."""

    batch: int = 1
    frames: int = 2
    quantise: Literal["none", "int8"] = "none"
    device: str = "cpu"
    blocks: int = 64
    """Fewer than 64: to try the script."""
    out: Path = Path("docs/figures/giant-step.json")


def main() -> None:
    """Build, step, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__)
    device = torch.device(arguments.device)
    preset, side = MODEL_PRESETS["e14"]
    args = {} if arguments.blocks == 64 else {"depth": arguments.blocks}
    backbone_config = preset.model_copy(
        update={"weights": "random", "dtype": "bfloat16", "quantise": arguments.quantise, "model_args": args}
    )
    eight_bit = arguments.quantise == "int8"
    train = TrainConfig(
        batch=arguments.batch,
        device=arguments.device,
        optimizer="adamw-8bit" if eight_bit else "adamw",
        precision="bf16",
    )
    config = RunConfig(backbone=backbone_config, side=side, train=train)
    before, started = resident_bytes(), time.monotonic()
    with torch.device("meta"):
        backbone = load_backbone(preset.name, weights="random", dtype=torch.bfloat16, model_args=args)
    fill(backbone.model, device, quantise=arguments.quantise)
    network = build_side_network(config, backbone)
    head = ClassificationHead(width=side.width, num_classes=174, variant=side.variant)
    model = VideoModel(backbone=backbone, side=network.to(device), head=head.to(device)).train()
    optimizer = build_optimizer(model, train)
    built = time.monotonic() - started
    clips = torch.randn(arguments.batch, arguments.frames, 3, backbone.image_size, backbone.image_size, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        loss = model(clips).float().square().mean()
    loss.backward()
    optimizer.step()
    seconds = time.monotonic() - started - built
    estimate = StepPlanner(
        config.model_copy(update={"data": config.data.model_copy(update={"num_frames": arguments.frames})}),
        num_classes=174,
    ).estimate(StepSize(arguments.batch))
    frozen = sum(tensor.nbytes for tensor in (*backbone.parameters(), *backbone.buffers()))
    result = {
        "date": str(datetime.date.today()),
        "command": shlex.join(["python", "benchmarks/giant_step.py", *sys.argv[1:]]),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "blocks": arguments.blocks,
        "batch": arguments.batch,
        "frames": arguments.frames,
        "quantise": arguments.quantise,
        "frozen_bytes": frozen,
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "loss": loss.item(),
        "peak_bytes": round(peak_memory_mb(device) * 2**20) - (0 if device.type == "cuda" else before),
        "estimated_bytes": estimate.total,
        "build_seconds": built,
        "step_seconds": seconds,
    }
    print(result)
    write_json(arguments.out.with_stem(f"{arguments.out.stem}-{arguments.quantise}"), result)


def fill(model: torch.nn.Module, device: torch.device, *, quantise: str) -> None:
    """Random values, block by block, so that no more than one block is there before it is quantised.

    The same million numbers again and again: what they are does not matter, and drawing billions takes minutes.
    """
    drawn = torch.empty(2**20, device=device).normal_(0, 0.02, generator=torch.Generator(device).manual_seed(0))
    for part in (*model.blocks, model):
        for name, parameter in part.named_parameters():
            if not parameter.is_meta:
                continue
            values = torch.empty(parameter.numel(), dtype=parameter.dtype, device=device)
            for piece in values.split(len(drawn)):
                piece.copy_(drawn[: len(piece)])
            if "norm" in name and name.endswith("weight"):
                values.fill_(1.0)
            owner, _, own = name.rpartition(".")
            filled = torch.nn.Parameter(values.view(parameter.shape), requires_grad=False)
            setattr(part.get_submodule(owner), own, filled)
        if quantise != "none" and part is not model:
            quantise_linear_layers(part, quantise)
    restore_buffers(model, device)


if __name__ == "__main__":
    main()
