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

    Examples:
        >>> MemoryArguments(config=RunConfig(), card="24GB").processes
        1
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    card: str | None = None
    """Memory or name of the GPU: 24GB, 80GiB, "RTX 4090", A10G, "A100 80GB". Default: the memory of this machine's GPU,
    or 24GB without one; for a CPU, this machine's RAM."""
    classes: int | None = None
    """Number of classes. Default: the number in the recipe's data set, or 174 if it is unknown."""
    processes: int = 1
    """Number of processes with one GPU each (torchrun). The plan is for one process and its share of the batch."""
    measure: bool = False
    """Also run three real steps with random weights and clips, on the GPU if there is one, otherwise on the CPU."""
    json: Path | None = None
    """Also write the plan to this file, in bytes."""


def memory(arguments: list[str]) -> int:
    """Run `side4video memory`; returns the exit code."""
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
