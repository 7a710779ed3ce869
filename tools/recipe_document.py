"""Writes the tables of docs/recipes.md from the recipes; the sentences around them are written by hand."""

import re
from pathlib import Path

from side4video.config import load_config, recipe_names
from side4video.config.recipe_figures import HEADLINE_ROWS, format_numbers, read_figures

DOCUMENT = Path(__file__).parents[1] / "docs/reference/recipes.md"
COLUMNS = ("`side4video train`", "model", "paper, %", "views", "trained, M", "memory, GB", "one GPU, GB", "videos")
HEADLINE_COLUMNS = ("`side4video train`", "frames", "views", "published", "unknown")


def header(columns: tuple[str, ...]) -> str:
    """The first two lines of a table in Markdown."""
    return f"| {' | '.join(columns)} |\n" + "| --- " * len(columns) + "|\n"


def with_tables(text: str) -> str:
    """The document with each table between `<!-- recipes: SET -->` and `<!-- end -->` written again."""
    return re.sub(
        r"(?s)(<!-- recipes: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: found[1] + "\n" + table(found[2]) + "\n" + found[3],
        text,
    )


def table(key: str) -> str:
    """The recipes of a set as a table in Markdown; `own`: for own data, `headline`: the paper's best rows."""
    if key == "headline":
        return header(HEADLINE_COLUMNS) + "".join(headline_row(name, frames) for name, frames in HEADLINE_ROWS.items())
    return header(COLUMNS) + "".join(row(name) for name in recipe_names() if name.startswith(f"{key}-"))


def headline_row(name: str, frames: int) -> str:
    """One of the paper's best rows with all its published numbers."""
    figures = read_figures(name)
    numbers = format_numbers(figures.paper[frames])
    if figures.video_to_text:
        numbers += f"; video to text: {format_numbers(figures.video_to_text)}"
    command = f"`{name}-f{frames}`" if len(figures.memory_gb) > 1 else f"`{name}`"
    return f"| {command} | {frames} | {figures.views} | {numbers} | {figures.unknown} |\n"


def row(name: str) -> str:
    """One recipe; numbers that depend on the frames are given for each."""
    figures, config = read_figures(name), load_config(name)
    scores = " / ".join(f"{next(iter(numbers.values()))} ({frames})" for frames, numbers in figures.paper.items())
    frames = "" if len(figures.memory_gb) > 1 else f", {config.data.num_frames} frames"
    cells = (
        f"`{name}`",
        figures.model + frames,
        scores or "-",
        figures.views,
        f"{figures.trained_parameters / 1e6:.1f}",
        sizes(figures.memory_gb),
        sizes(figures.one_gpu_gb) or "-",
        f"{figures.videos_per_device}{' (CPU)' if figures.device == 'cpu' else ''}",
    )
    return f"| {' | '.join(cells)} |\n"


def sizes(memory_gb: dict[int, float]) -> str:
    """GB by frames: "17 (8) / 23 (16)"."""
    return " / ".join(f"{size:g} ({frames})" for frames, size in memory_gb.items())


def write_document() -> None:
    """Write the tables of docs/recipes.md again."""
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
