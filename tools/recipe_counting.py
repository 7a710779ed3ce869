"""Counts what the recipes state: trained parameters on the meta device, memory by the planner."""

import re
from pathlib import Path

from side4video.config import RunConfig, load_config
from side4video.config.recipe_figures import RecipeFigures, read_figures
from side4video.memory.planning import StepPlanner, config_of_process
from side4video.memory.training_step import step_size

PAPER_GPUS = 8


def planned_config(config: RunConfig, figures: RecipeFigures, *, frames: int) -> RunConfig:
    """The settings whose memory a recipe states: one of 8 processes, or for own data the recipe itself."""
    config = with_frames(config, frames)
    if not figures.one_gpu_gb:
        device = "cpu" if figures.device == "cpu" else "auto"
        return config.model_copy(update={"train": config.train.model_copy(update={"device": device})})
    return config_of_process(config, PAPER_GPUS)


def one_gpu_config(config: RunConfig, figures: RecipeFigures, *, frames: int) -> RunConfig:
    """The settings of a recipe's command for one GPU."""
    train = config.train.model_copy(update={"micro_batch": figures.videos_per_device})
    return with_frames(config, frames).model_copy(update={"train": train})


def with_frames(config: RunConfig, frames: int) -> RunConfig:
    """The settings with another number of frames per clip."""
    return config.model_copy(update={"data": config.data.model_copy(update={"num_frames": frames})})


def count_figures(name: str) -> RecipeFigures:
    """The figures of a recipe with parameters counted and memory planned again."""
    figures, config = read_figures(name), load_config(name)
    memory, one_gpu = {}, {}
    for frames in figures.memory_gb:
        planner = StepPlanner(planned_config(config, figures, frames=frames), num_classes=figures.num_classes or 1)
        memory[frames] = round_gb(planner.estimate().total)
        if figures.one_gpu_gb:
            size = step_size(one_gpu_config(config, figures, frames=frames))
            one_gpu[frames] = round_gb(planner.estimate(size).total)
    counted = {"trained_parameters": planner.num_trained_parameters, "memory_gb": memory, "one_gpu_gb": one_gpu}
    return figures.model_copy(update=counted)


def round_gb(size: int) -> float:
    """Bytes as GB with two significant digits, the precision of a plan.

    >>> round_gb(12_345_000_000), round_gb(1_234_000_000), round_gb(123_400_000)
    (12.0, 1.2, 0.12)
    """
    return float(f"{size / 10**9:.2g}")


def replace_figures(path: Path, figures: RecipeFigures) -> None:
    """Write counted figures into a recipe, generated or written by hand."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  trained_parameters: .*$", f"  trained_parameters: {figures.trained_parameters}", text)
    for name in ("memory_gb", "one_gpu_gb"):
        sizes = ", ".join(f"{frames}: {size:g}" for frames, size in getattr(figures, name).items())
        text = re.sub(rf"(?m)^  {name}: .*$", f"  {name}: {{{sizes}}}", text)
    path.write_text(text, encoding="utf-8")
