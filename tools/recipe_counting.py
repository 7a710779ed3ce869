"""Counts what the recipes state: trained parameters on the meta device, memory by the planner."""

import re
from pathlib import Path

from side4video.config import RunConfig, load_config
from side4video.config.recipe_figures import RecipeFigures, read_figures
from side4video.memory.planning import StepPlanner


def planned_config(config: RunConfig, figures: RecipeFigures, *, frames: int) -> RunConfig:
    """The recipe on one device, with as many videos per forward pass as its figures say."""
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"num_frames": frames}),
            "train": config.train.model_copy(
                update={
                    "batch": figures.videos_per_device,
                    "micro_batch": None,
                    "device": "cpu" if figures.device == "cpu" else "auto",
                }
            ),
        }
    )


def count_figures(name: str) -> RecipeFigures:
    """The figures of a recipe with parameters counted and memory planned anew."""
    figures, config = read_figures(name), load_config(name)
    memory = {}
    for frames in figures.memory_gb:
        planner = StepPlanner(planned_config(config, figures, frames=frames), num_classes=figures.num_classes or 1)
        memory[frames] = round_gb(planner.estimate().total)
    return figures.model_copy(
        update={"trained_parameters": planner.num_trained_parameters, "memory_gb": memory},
    )


def round_gb(size: int) -> float:
    """Bytes as GB with two significant digits, which is what a plan is worth.

    >>> round_gb(12_345_000_000), round_gb(1_234_000_000), round_gb(123_400_000)
    (12.0, 1.2, 0.12)
    """
    return float(f"{size / 10**9:.2g}")


def replace_figures(path: Path, figures: RecipeFigures) -> None:
    """Write counted figures into a recipe, whoever wrote the rest of it."""
    memory = ", ".join(f"{frames}: {size:g}" for frames, size in figures.memory_gb.items())
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  trained_parameters: .*$", f"  trained_parameters: {figures.trained_parameters}", text)
    text = re.sub(r"(?m)^  memory_gb: .*$", f"  memory_gb: {{{memory}}}", text)
    path.write_text(text, encoding="utf-8")
