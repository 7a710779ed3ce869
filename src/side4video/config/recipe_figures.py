"""Figures of recipes, read from their files: the paper's numbers, trained parameters, memory, views."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, NonNegativeInt, PositiveInt
from rich.table import Table

from side4video.config.recipes import recipe_names, recipe_text
from side4video.config.settings import Settings

Numbers = dict[str, float]
"""Published numbers by name: ranks, and percentages such as top-1 and R@5."""

HEADLINE_ROWS = {"k400-e14": 16, "ssv2-e14": 16, "ssv1-e14": 16, "msrvtt-e14": 12, "msvd-e14": 12, "vatex-e14": 12}
"""The paper's best result on each data set: recipe and frames per clip."""


class RecipeFigures(Settings):
    """The part `figures` of a recipe of the package. Training ignores it.

    Examples:
        >>> figures = read_figures("ssv2-b16")
        >>> figures.num_classes, figures.device
        (174, 'gpu')
    """

    model: str
    """The paper's name of the model."""
    paper: dict[PositiveInt, Numbers] = Field(default_factory=dict)
    """The paper's numbers by frames per clip, the main one first (top-1, or R@1 from text to video). Empty if the paper
    has no such row."""
    video_to_text: Numbers = Field(default_factory=dict)
    """Retrieval: the paper's numbers for video to text, if published."""
    views: str = ""
    """Views per video for these numbers."""
    unknown: str = ""
    """Details of these rows that the paper and its released code do not give."""
    num_classes: PositiveInt | None = None
    """Number of classes for the parameter count and the memory plan. None: retrieval."""
    trained_parameters: NonNegativeInt
    """Number of trained parameters, including the text tower of retrieval."""
    device: Literal["gpu", "cpu"] = "gpu"
    """Kind of device in the memory plan."""
    videos_per_device: PositiveInt
    """Videos per forward pass on one device: the share of one of the paper's 8 GPUs, or the batch for your own data."""
    memory_gb: dict[PositiveInt, float]
    """Planned peak memory of a training step in GB (10^9 bytes) by frames per clip: on each of 8 GPUs for the paper's
    recipes, on one device for your own data."""
    one_gpu_gb: dict[PositiveInt, float] = Field(default_factory=dict)
    """The same for the command for one GPU, which accumulates micro-batches of `videos_per_device`."""


def read_figures(name: str) -> RecipeFigures:
    """The figures of a recipe of the package.

    Raises:
        ConfigError: the recipe does not exist.
        ValueError: it has no figures, or invalid ones.

    >>> read_figures("ssv2-b16").device
    'gpu'
    """
    content: dict[str, Any] = yaml.safe_load(recipe_text(name))
    if "figures" not in content:
        raise ValueError(f"The recipe {name} has no part `figures`, which every recipe of the package has.")
    return RecipeFigures.model_validate(content["figures"])


def stated_classes(recipe: str) -> int | None:
    """The number of classes in the figures of a recipe or a YAML file; None if there is none.

    >>> stated_classes("k400-b16"), stated_classes("msvd-b16")
    (400, None)
    """
    is_file = Path(recipe).suffix in {".yaml", ".yml"}
    content = yaml.safe_load(Path(recipe).read_text(encoding="utf-8") if is_file else recipe_text(recipe)) or {}
    return RecipeFigures.model_validate(content["figures"]).num_classes if "figures" in content else None


def format_numbers(numbers: Numbers) -> str:
    """Format published numbers on one line.

    >>> format_numbers({"R@1": 52.3, "R@10": 84.0, "median rank": 1})
    'R@1 52.3, R@10 84.0, median rank 1'
    """
    return ", ".join(
        f"{name} {value:g}" if name.endswith("rank") else f"{name} {value:.1f}" for name, value in numbers.items()
    )


def headline_table() -> Table:
    """Table of the paper's best row for each data set, with all its published numbers."""
    table = Table("side4video train", "frames", "views", "published numbers", box=None, header_style="bold")
    for name, frames in HEADLINE_ROWS.items():
        figures = read_figures(name)
        numbers = format_numbers(figures.paper[frames])
        if figures.video_to_text:
            numbers += f"; video to text {format_numbers(figures.video_to_text)}"
        suffix = f"-f{frames}" if len(figures.memory_gb) > 1 else ""
        table.add_row(name + suffix, str(frames), figures.views, numbers)
        if figures.unknown:
            table.add_row("", "", "", f"Unknown: {figures.unknown}")
    return table


def recipe_table() -> Table:
    """Table of all recipes of the package with their figures, one row per number of frames."""
    table = Table(box=None, header_style="bold")
    for name in ("recipe", "frames", "paper, %", "views", "M", "GB", "videos"):
        table.add_column(name, justify="left" if name in {"recipe", "views"} else "right", no_wrap=True)
    for name in recipe_names():
        figures = read_figures(name)
        for frames, memory in figures.memory_gb.items():
            first = frames == next(iter(figures.memory_gb))
            table.add_row(
                name if first else "",
                str(frames),
                str(next(iter(figures.paper.get(frames, {}).values()), "-")),
                figures.views if first else "",
                f"{figures.trained_parameters / 1e6:.1f}" if first else "",
                f"{memory:g}",
                f"{figures.videos_per_device}{' CPU' if figures.device == 'cpu' else ''}" if first else "",
            )
    return table


TABLE_NOTES = (
    "paper: its top-1, or R@1 from text to video (msrvtt, msvd, vatex), with these views; -: the paper has no such "
    "row. None of these numbers was reproduced by this project.",
    "M: trained parameters in millions, the text tower included. GB: planned peak of a training step on one GPU with "
    "that many videos in a forward pass (side4video memory).",
    "Frames: side4video train ssv2-b16-f16. One recipe with its commands: side4video recipes show ssv2-b16-f16.",
)
"""Meanings of the table's columns."""
