"""The command `memory`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from side4video.commands.positional import take_model
from side4video.config import RunConfig


@dataclass(frozen=True)
class MemoryArguments:
    """Say what memory a training step will need, without loading weights or using a GPU.

    It is planned for a GPU unless --train.device is cpu.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    card: str | None = None
    """Memory of the card: 24GB, 80GiB, 8000MB. By default that of the GPU here, else 24GB; for a CPU this machine's."""
    classes: int = 174
    """Classes of the classifier."""
    measure: bool = False
    """Also take three real steps, with random weights on random clips, on the GPU or else on the CPU."""
    json: Path | None = None
    """Also write everything to this file, in bytes."""


def memory(arguments: list[str]) -> int:
    """Say whether a run will fit a card, in seconds and without one: memory RECIPE [--card 24GB] [--measure]."""
    recipe, config, rest = take_model(arguments, "memory")
    default = MemoryArguments(config=config)
    given = tyro.cli(MemoryArguments, prog=f"side4video memory {recipe}", args=rest, default=default)

    from side4video.memory.command import plan_memory

    return plan_memory(
        given.config, card=given.card, num_classes=given.classes, measure=given.measure, json_path=given.json
    )
