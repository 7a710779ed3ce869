"""The command `memory`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from side4video.commands.positional import take_model
from side4video.config import MODEL_PRESETS, RunConfig


@dataclass(frozen=True)
class MemoryArguments:
    """Plan the memory of a training step, without loading weights or using a GPU.

    The plan is for a GPU unless --train.device is cpu.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    card: str | None = None
    """Memory of the card: 24GB, 80GiB, 8000MB. By default the memory of this machine's GPU, else 24GB; for a CPU this
    machine's RAM."""
    classes: int | None = None
    """Classes of the classifier; by default the number of the recipe's data set, else 174."""
    processes: int = 1
    """Processes with one GPU each, as torchrun starts them. The plan is for one of them and its share of the batch."""
    measure: bool = False
    """Also take three real steps, with random weights on random clips, on the GPU or else on the CPU."""
    json: Path | None = None
    """Also write everything to this file, in bytes."""


def memory(arguments: list[str]) -> int:
    """Plan whether a run fits a card, in seconds and without a GPU: memory RECIPE [--card 24GB] [--measure]."""
    recipe, config, rest = take_model(arguments, "memory")
    default = MemoryArguments(config=config)
    given = tyro.cli(MemoryArguments, prog=f"side4video memory {recipe}", args=rest, default=default)

    from side4video.config.recipe_figures import stated_classes
    from side4video.memory.command import DEFAULT_CLASSES, plan_memory

    stated = None if recipe in MODEL_PRESETS else stated_classes(recipe)
    return plan_memory(
        given.config,
        card=given.card,
        num_classes=(stated or DEFAULT_CLASSES) if given.classes is None else given.classes,
        processes=given.processes,
        measure=given.measure,
        json_path=given.json,
    )
