"""Writes the tables of docs/reference/recipes.md from the recipes; the sentences around them are written by hand."""

import re
from pathlib import Path

from side4video.config import load_config, recipe_names
from side4video.config.recipe_figures import read_figures

DOCUMENT = Path(__file__).parents[1] / "docs/reference/recipes.md"
HEADER = "| `side4video train` | model | paper, % | views | trained, M | memory, GB | videos |\n" + "| --- " * 7 + "|\n"


def with_tables(text: str) -> str:
    """The document with the table of each set between `<!-- recipes: SET -->` and `<!-- end -->` written anew."""
    return re.sub(
        r"(?s)(<!-- recipes: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: found[1] + "\n" + table(found[2]) + "\n" + found[3],
        text,
    )


def table(key: str) -> str:
    """The recipes of a set as a table in Markdown; `own` are those for own data."""
    return HEADER + "".join(row(name) for name in recipe_names() if name.startswith(f"{key}-"))


def row(name: str) -> str:
    """One recipe; what depends on the number of frames is given for each."""
    figures, config = read_figures(name), load_config(name)
    scores = " / ".join(f"{figures.paper[frames]} ({frames})" for frames in figures.paper) or "-"
    memory = " / ".join(f"{size:g} ({frames})" for frames, size in figures.memory_gb.items())
    frames = "" if len(figures.memory_gb) > 1 else f", {config.data.num_frames} frames"
    cells = (
        f"`{name}`",
        figures.model + frames,
        scores,
        figures.views,
        f"{figures.trained_parameters / 1e6:.1f}",
        memory,
        f"{figures.videos_per_device}{' (CPU)' if figures.device == 'cpu' else ''}",
    )
    return f"| {' | '.join(cells)} |\n"


def write_document() -> None:
    """Write the tables of docs/reference/recipes.md anew."""
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
