"""Draws pictures for the HTML report as `data:` URLs: curves and confusion matrices as SVG, film strips as PNG.

Backgrounds are transparent and lines are mid-grey, so that pictures are readable on light and dark pages.
"""

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Name of each line -> its x and y values."""

STRIP_FRAMES = 8
"""Maximum number of frames shown per clip."""

STRIP_HEIGHT = 112
"""Maximum height of a film strip's frames in pixels."""

_GREY = "#7a7a7a"
_LINES = ("#2f7ed8", "#e0752d", "#3a9d5d", "#b25bd0")
_BLUES = LinearSegmentedColormap.from_list("blues", [(0.18, 0.49, 0.85, 0.0), (0.18, 0.49, 0.85, 1.0)])
_MAX_NAME_LENGTH = 28  # maximum characters of a class name next to the confusion matrix
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # the browser renders the text with its own fonts: small files
    "svg.hashsalt": "side4video",  # the same picture gives the same bytes
    "text.parse_math": False,  # shows dollar signs in class names
    "text.color": _GREY,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "legend.frameon": False,
    "font.size": 9,
}


def draw_curves(lines: Lines, *, x_label: str, y_label: str, log_scale: bool = False) -> str:
    """Draw lines over one x axis.

    Args:
        lines: name of each line -> its x and y values, of equal length.
        x_label: label of the x axis, for instance "step".
        y_label: label of the y axis.
        log_scale: use a logarithmic y axis.

    Returns:
        SVG as a `data:` URL.

    Raises:
        ValueError: the x and y values of a line differ in length.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 2.9), layout="constrained")
        _plot(figure.add_subplot(), lines, x_label=x_label, y_label=y_label, log_scale=log_scale)
        return _svg(figure)


def draw_panels(panels: Mapping[str, tuple[Lines, str, str]]) -> bytes:
    """Draw curves side by side.

    Args:
        panels: title of each -> its lines as in `draw_curves`, labels of its x and y axes; at least one.

    Returns:
        The bytes of a PNG file; the same curves give the same bytes.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(4.0 * len(panels), 2.9), layout="constrained")
        for place, (title, (lines, x_label, y_label)) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(1, len(panels), place)
            _plot(axes, lines, x_label=x_label, y_label=y_label)
            axes.set_title(title, color=_GREY, fontsize=10)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", transparent=True, dpi=110, metadata={"Software": None})
        return buffer.getvalue()


def draw_confusion(
    confusion: NDArray[np.integer], class_names: Sequence[str], num_clips: Sequence[int] | None = None
) -> str:
    """Draw a confusion matrix, coloured by the share of each true class.

    Args:
        confusion: (C, C) counts; row: true class, column: predicted class.
        class_names: C names.
        num_clips: clips of each true class. Default: the sums of the rows, which are right if clips have one label.

    Returns:
        SVG as a `data:` URL. With at most 20 classes, cells show their counts.
    """
    num_classes = len(class_names)
    totals = confusion.sum(axis=1) if num_clips is None else np.asarray(num_clips)
    shares = confusion / np.maximum(totals[:, None], 1)
    names = [name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 1] + "…" for name in class_names]
    side = 2.0 + max(0.42 if num_classes <= 20 else 0.17, 1.2 / num_classes) * num_classes
    font_size = 9 if num_classes <= 20 else 7
    with rc_context(_STYLE):
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1)
        axes.set_xticks(range(num_classes), names, rotation=90, fontsize=font_size)
        axes.set_yticks(range(num_classes), names, fontsize=font_size)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if num_classes <= 20:
            for row, column in np.argwhere(confusion > 0):
                color = "white" if shares[row, column] > 0.5 else _GREY
                axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=color)
        return _svg(figure)


def draw_film_strip(frames: NDArray[np.uint8]) -> str:
    """Draw a clip's frames next to each other.

    Args:
        frames: uint8 (T, H, W, 3), RGB; with more than eight frames, eight evenly spaced ones are shown.

    Returns:
        PNG as a `data:` URL, with frames at most 112 pixels high.

    Raises:
        ValueError: frames have another type or shape.

    >>> draw_film_strip(np.zeros((8, 16, 16, 3), dtype=np.uint8)).split(",")[0]
    'data:image/png;base64'
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}. Give uint8 (T, H, W, 3).")
    num_frames, height, width = frames.shape[:3]
    shown = frames
    if num_frames > STRIP_FRAMES:  # the middle frame of each of eight segments: of 16 frames 1, 3, ..., 15
        shown = frames[[(2 * i + 1) * num_frames // (2 * STRIP_FRAMES) for i in range(STRIP_FRAMES)]]
    scale = min(1.0, STRIP_HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    gap = 2
    strip = Image.new("RGBA", (len(shown) * (size[0] + gap) - gap, size[1]))
    for index, frame in enumerate(shown):
        strip.paste(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS), (index * (size[0] + gap), 0))
    return png_url(strip)


def png_url(picture: Image.Image) -> str:
    """A picture as PNG in a `data:` URL."""
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return _data_url(buffer.getvalue(), "image/png")


def _plot(axes: Any, lines: Lines, *, x_label: str, y_label: str, log_scale: bool = False) -> None:
    for index, (name, (x, y)) in enumerate(lines.items()):
        if len(x) != len(y):
            raise ValueError(f"Line {name!r} has {len(x)} x and {len(y)} y values. Give as many of both.")
        marker = "o" if len(x) <= 40 else ""  # a line of a single point would be invisible
        axes.plot(x, y, label=name, color=_LINES[index % len(_LINES)], linewidth=1.5, marker=marker, markersize=3)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_yscale("log" if log_scale else "linear")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend()


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has other fonts
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _data_url(buffer.getvalue(), "image/svg+xml")


def _data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
