"""The comparison as a Markdown table and as a picture, from the content of a results file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt

from methods import METHODS, SIZES

REFERENCE = "side4video-plain"
"""Step times are given as multiples of this method's."""

_COLUMNS = (
    "method",
    "trained, M",
    "saved per clip, MB",
    "peak, GB",
    "step time",
    "largest batch, 24 GB",
    "paper: memory, GB",
    "paper: top-1",
)
_OURS = "#c0392b"
_OTHERS = "#2c3e50"


def markdown(results: dict[str, Any]) -> str:
    """One table for each image model; rows in the order of `METHODS`."""
    return "\n\n".join(_table(results, size) for size in SIZES if any(row["size"] == size for row in results["rows"]))


def _table(results: dict[str, Any], size: str) -> str:
    rows = [row for row in results["rows"] if row["size"] == size]
    seconds = {row["method"]: row.get("seconds_per_step") for row in rows}
    frames = SIZES[size].num_frames
    title = f"**{SIZES[size].title}**, {frames} frames, batch {SIZES[size].batch} for the peak"
    lines = [title, "", _line(_COLUMNS), _line("---" if number == 0 else "---:" for number in range(len(_COLUMNS)))]
    return "\n".join(lines + [_line(_cells(row, seconds)) for row in rows])


def _cells(row: dict[str, Any], seconds: dict[str, float | None]) -> list[str]:
    method = METHODS[row["method"]]
    published = method.published.get(row["size"])
    reference, own = seconds.get(REFERENCE), seconds[row["method"]]
    title = method.title + (f" (reads {row['input_frames']} frames)" if method.frame_ratio > 1 else "")
    return [
        title,
        f"{row['trained_parameters'] / 1e6:.2f}",
        f"{row['saved_bytes_per_further_clip'] / 1e6:,.1f}",
        f"{row['peak_bytes'] / 1e9:.2f}" if row["peak_bytes"] else "does not fit",
        f"{own / reference:.2f}" if own and reference else "",
        str(row["largest_batch_24gb"]),
        f"{published.memory_gb}" if published else "",
        f"{published.top1}" if published else "",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def draw(results: dict[str, Any], path: Path) -> None:
    """Peak memory of this run against the papers' accuracy, one panel for each image model with both."""
    sizes = [size for size in SIZES if any(_has_both(row) for row in results["rows"] if row["size"] == size)]
    if not sizes:
        return
    with plt.rc_context({"svg.hashsalt": "memory", "svg.fonttype": "none", "font.size": 8}):
        figure, panels = plt.subplots(1, len(sizes), figsize=(4.5 * len(sizes) + 2, 4), squeeze=False)
        for size, panel in zip(sizes, panels[0], strict=True):
            _panel(panel, [row for row in results["rows"] if row["size"] == size and _has_both(row)], size)
        panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _has_both(row: dict[str, Any]) -> bool:
    return bool(row["peak_bytes"]) and row["size"] in METHODS[row["method"]].published


def _panel(panel: Any, rows: list[dict[str, Any]], size: str) -> None:
    for row in rows:
        method = METHODS[row["method"]]
        x, y = row["peak_bytes"] / 1e9, method.published[size].top1
        ours = row["method"].startswith("side4video") and row["method"] != "side4video-modules"
        panel.plot(x, y, "o", color=_OURS if ours else _OTHERS)
        number = list(METHODS).index(row["method"]) + 1  # the same in every panel
        panel.plot(x, y, "o", color=_OURS if ours else _OTHERS, label=f"{number}  {method.title}")
        panel.annotate(str(number), (x, y), xytext=(-3, 6), textcoords="offset points")
    panel.set_xscale("log")
    ticks = [2, 3, 5, 10, 20, 30, 50]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.margins(x=0.1, y=0.15)
    panel.set_title(f"{SIZES[size].title}, batch {SIZES[size].batch}, {SIZES[size].num_frames} frames")
    panel.set_xlabel("peak memory of a training step in this run, GB (log scale)")
    panel.set_ylabel("Something-Something V2 top-1, %, as the papers claim")
