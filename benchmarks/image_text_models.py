"""Speed on a CPU and planned training memory of image-text models, next to CLIP B/16.

    python benchmarks/image_text_models.py --json docs/figures/image-text-models.json

Each model embeds one clip, in turn with clip-b16, with random weights; the ratio of the two times is the median of all
turns, so that it changes little if other programs use the machine. Memory is planned for the recipe own-clips-8gb
(16 frames, batches of 32) with the model as its frozen part.
"""

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

from side4video.atomic_files import write_json
from side4video.config import load_config
from side4video.memory.planning import StepPlanner
from side4video.models.backbones.loading import FrozenBackbone, load_backbone

BASE = "clip-b16"
SPEED = ("pe-t16", "pe-s16", "pe-b16", "siglip2-b32", "siglip2-b16", "metaclip-b32", "mobileclip2-b")
MEMORY = (BASE, "pe-t16", "pe-b16", "pe-l14", "siglip2-b16", "siglip2-l16", "metaclip2-h14")


def seconds(backbone: FrozenBackbone, clip: torch.Tensor) -> float:
    """Time of one clip through all blocks and the pooling."""
    start = time.perf_counter()
    with torch.inference_mode():
        (tokens,) = backbone.iterate(clip, [backbone.num_blocks - 1])
        backbone.pool(tokens)
    return time.perf_counter() - start


def speed_ratio(name: str, *, frames: int, turns: int) -> float:
    """Clips per second of a model, as a multiple of those of CLIP B/16."""
    backbones = [load_backbone(one, weights="random") for one in (BASE, name)]
    clips = [torch.zeros(1, frames, 3, one.image_size, one.image_size) for one in backbones]
    ratios = []
    for _ in range(turns + 1):
        base, other = (seconds(*pair) for pair in zip(backbones, clips, strict=True))
        ratios.append(base / other)
    return statistics.median(ratios[1:])


def planned_bytes(name: str) -> int:
    """Planned peak of a training step on a GPU."""
    recipe = load_config("own-clips-8gb")
    config = recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update={"name": name})})
    return StepPlanner(config, num_classes=10).estimate().total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    content: dict[str, dict[str, float]] = {"speed_to_clip_b16": {}, "planned_bytes": {}}
    for name in SPEED:
        content["speed_to_clip_b16"][name] = speed_ratio(name, frames=given.frames, turns=given.turns)
        print(f"{name}: {content['speed_to_clip_b16'][name]:.2f} times the clips per second of {BASE}", flush=True)
    for name in MEMORY:
        content["planned_bytes"][name] = planned_bytes(name)
        print(f"{name}: {content['planned_bytes'][name] / 1e9:.1f} GB", flush=True)
    if given.json:
        about = {
            "date": str(datetime.date.today()),
            "command": " ".join(["python", *sys.argv]),
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        }
        write_json(given.json, about | content | {"frames": given.frames, "turns": given.turns})


if __name__ == "__main__":
    main()
