"""The comparison as rows, as a Markdown table, and as a plot of accuracy against saved bytes and seconds."""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt

from rivals import OURS, RIVALS
from rivals.data_sets import DATA_SETS

Row = dict[str, Any]
_OURS, _PROBES = "#d55e00", "#7f8c8d"
_COLOURS = (_OURS, "#000000", "#0072b2", "#009e73", "#cc79a7", "#e69f00")  # told apart by colour-blind people, too
_MARKERS = "osD^vP"
_X = (
    ("saved_bytes", 1e6, "kept for the backward pass, MB per clip"),
    ("all_seconds", 1, "seconds to choose settings and train"),
)


def summarise(parts: list[Row]) -> list[Row]:
    """One row for each set and method, over the finished seeds.

    "accuracy" and "deviation" (standard deviation over the seeds; None for one seed) are 0 to 1. "seconds" measure the
    training of a rival, and the whole command with its search for ours; "all_seconds" include the choice of a rival's
    learning rate. Probes have neither bytes nor seconds.
    """
    rows = []
    for name in DATA_SETS:
        for method in (OURS, *RIVALS):
            seeds = [row for row in parts if row["set"] == name and row["method"] == method and "seed" in row]
            if not seeds:
                continue
            tried = [
                row["seconds"] for row in parts if row["set"] == name and row["method"] == method and "fold" in row
            ]
            scores = [row["accuracy"] for row in seeds]
            seconds = mean(row["seconds"] for row in seeds)
            costs = {"saved_bytes": seeds[0]["saved_bytes"], "seconds": seconds, "all_seconds": seconds + sum(tried)}
            rows.append(_row(name, method, scores) | costs)
            for probe in seeds[0].get("probes", {}):
                rows.append(_row(name, f"{probe} probe", [row["probes"][probe] for row in seeds]))
    return rows


def _row(name: str, method: str, scores: list[float]) -> Row:
    deviation = stdev(scores) if len(scores) > 1 else None
    return {"set": name, "method": method, "seeds": len(scores), "accuracy": mean(scores), "deviation": deviation}


def _title(method: str) -> str:
    return RIVALS[method].title if method in RIVALS else method


def markdown(rows: list[Row]) -> str:
    """A table with a line for each method and a column for each set."""
    sets = [name for name in DATA_SETS if any(row["set"] == name for row in rows)]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [["method", *(DATA_SETS[name].title for name in sets)], ["---", *("---:" for _ in sets)]]
    for method in methods:
        found = {row["set"]: row for row in rows if row["method"] == method}
        lines.append([_title(method), *(_cell(found.get(name)) for name in sets)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    deviation = "" if row["deviation"] is None else f" ± {100 * row['deviation']:.1f}"
    return f"{100 * row['accuracy']:.1f}{deviation}"


def draw(rows: list[Row], path: Path) -> None:
    """Accuracy against saved bytes (above) and seconds (below), a column for each set; the best probe is a line."""
    sets = [name for name in DATA_SETS if any(row["set"] == name for row in rows)]
    if not sets:
        return
    with plt.rc_context({"svg.hashsalt": "accuracy", "svg.fonttype": "none", "font.size": 8}):
        figure, panels = plt.subplots(2, len(sets), figsize=(2.6 * len(sets) + 2, 5.2), squeeze=False, sharey="col")
        for column, name in enumerate(sets):
            own = [row for row in rows if row["set"] == name]
            for panel, (key, unit, label) in zip(panels[:, column], _X, strict=True):
                _panel(panel, own, key, unit)
                panel.set_xlabel(label)
            panels[0, column].set_title(DATA_SETS[name].title)
        panels[0, 0].set_ylabel("test accuracy, %")
        panels[1, 0].set_ylabel("test accuracy, %")
        found = [panel.get_legend_handles_labels() for panel in panels.flat]
        handles = {label: handle for one in found for handle, label in zip(*one, strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="center right", frameon=False)
        figure.tight_layout(rect=(0, 0, 1 - 1.4 / figure.get_figwidth(), 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(panel: Any, rows: list[Row], key: str, unit: float) -> None:
    probes = [row["accuracy"] for row in rows if key not in row]
    if probes:
        panel.axhline(100 * max(probes), color=_PROBES, linestyle=":", linewidth=1, label="best probe")
    for method, color, marker in zip((OURS, *RIVALS), _COLOURS, _MARKERS, strict=True):
        for row in (row for row in rows if row["method"] == method):
            height, error = 100 * row["accuracy"], 100 * (row["deviation"] or 0)
            style = {"fmt": marker, "color": color, "capsize": 2, "markersize": 5, "label": _title(method)}
            panel.errorbar(row[key] / unit, height, yerr=error, **style)
    if key == "saved_bytes":
        panel.set_xscale("symlog", linthresh=1)
    panel.margins(x=0.08)
    panel.set_ylim(0, 100)
    panel.spines[["top", "right"]].set_visible(False)


def draw_curves(rows: list[Row], path: Path) -> None:
    """Accuracy over the number of clips per class, a panel for each set: ours, and the best probe of the test."""
    sets = [name for name in DATA_SETS if any(row["set"] == name for row in rows)]
    if not sets:
        return
    with plt.rc_context({"svg.hashsalt": "curve", "svg.fonttype": "none", "font.size": 8}):
        figure, panels = plt.subplots(1, len(sets), figsize=(2 * len(sets) + 1, 2.6), squeeze=False, sharey=True)
        for panel, name in zip(panels[0], sets, strict=True):
            ours = [row for row in rows if row["set"] == name and row["method"] == OURS]
            shots, errors = [row["shots"] for row in ours], [100 * (row["deviation"] or 0) for row in ours]
            heights = [100 * row["accuracy"] for row in ours]
            panel.errorbar(shots, heights, yerr=errors, color=_OURS, marker="o", markersize=4, capsize=2, label=OURS)
            singles = [row for row in rows if row["set"] == name and row["method"] != OURS]
            singles = [row for row in singles if not row["method"].startswith("combined")]
            if singles:
                best = [max(100 * row["accuracy"] for row in singles if row["shots"] == shot) for shot in shots]
                panel.plot(
                    shots, best, color=_PROBES, linestyle=":", marker="s", markersize=3, label="best single probe"
                )
            panel.set_title(DATA_SETS[name].title)
            panel.set_xlabel("training clips per class")
            panel.set_ylim(0, 100)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0, 0].set_ylabel("test accuracy, %")
        panels[0, 0].legend(frameon=False, fontsize=7, loc="lower right")
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
