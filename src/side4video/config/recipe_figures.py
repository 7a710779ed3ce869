"""What a recipe states about itself: the paper's score, trained parameters, memory, views. Read, never computed."""

from typing import Any, Literal

import yaml
from pydantic import Field, NonNegativeInt, PositiveInt
from rich.table import Table

from side4video.config import Settings, recipe_names, recipe_text


class RecipeFigures(Settings):
    """The part `figures` of a recipe of the package; training does not look at it."""

    model: str
    """What the model is called in the paper."""
    metric: str = ""
    """Of the paper's scores."""
    paper: dict[PositiveInt, float] = Field(default_factory=dict)
    """The paper's scores in percent by frames per clip; empty where it gives none."""
    views: str = ""
    """Views per video behind these scores."""
    num_classes: PositiveInt | None = None
    """Classes with which parameters are counted and memory is planned; None: retrieval has none."""
    trained_parameters: NonNegativeInt
    """Numbers that training changes."""
    device: Literal["gpu", "cpu"] = "gpu"
    """What memory is planned for."""
    videos_per_device: PositiveInt
    """Videos in a forward pass on one device, with which memory is planned."""
    memory_gb: dict[PositiveInt, float]
    """Peak of a training step in GB (10^9 bytes) by frames per clip, as `side4video memory` plans it."""


def read_figures(name: str) -> RecipeFigures:
    """The figures of a recipe of the package.

    Raises:
        ConfigError: there is no recipe of that name.
        ValueError: it states no figures, or wrong ones.
    """
    content: dict[str, Any] = yaml.safe_load(recipe_text(name))
    if "figures" not in content:
        raise ValueError(f"The recipe {name} has no part `figures`, which every recipe of the package has.")
    return RecipeFigures.model_validate(content["figures"])


def recipe_table() -> Table:
    """All recipes of the package with their figures, one line for each number of frames."""
    table = Table(box=None, header_style="bold")
    for name in ("recipe", "frames", "paper, %", "views", "trained, M", "GB", "videos"):
        table.add_column(name, justify="left" if name in {"recipe", "views"} else "right", no_wrap=True)
    for name in recipe_names():
        figures = read_figures(name)
        for frames, memory in figures.memory_gb.items():
            first = frames == next(iter(figures.memory_gb))
            table.add_row(
                name if first else "",
                str(frames),
                str(figures.paper.get(frames, "-")),
                figures.views if first else "",
                f"{figures.trained_parameters / 1e6:.1f}" if first else "",
                f"{memory:g}",
                f"{figures.videos_per_device}{' CPU' if figures.device == 'cpu' else ''}" if first else "",
            )
    return table


TABLE_NOTES = (
    "paper: its top-1, or R@1 from text to video (msrvtt, msvd, vatex), with these views; -: it gives none.",
    "trained: parameters, those of the text tower included. GB: planned peak of a training step with that many "
    "videos in a forward pass on one GPU (side4video memory).",
    "Other numbers of frames: --data.num-frames. One recipe to copy: side4video recipes show NAME.",
)
"""What the table's columns mean."""
