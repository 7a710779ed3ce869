"""Draws evidence for a class as heatmaps over a clip's frames, as PNG in `data:` URLs.

Frames are grey. Colours are cividis (Nuñez et al. 2018, PLOS ONE 13(7)), which has uniform brightness steps and looks
the same with red-green colour blindness.
"""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from side4video.inference.explanation import ClassEvidence, Explanation
from side4video.reports.report_pictures import png_url

SHOWN_FRAMES = 8
"""Maximum number of frames shown per clip."""

SIDE = 112
"""Height and width of a shown frame in pixels."""

_COLOURS = colormaps["cividis"]
_GAP, _BAR, _LABEL = 3, 24, 14  # pixels: gap between frames, maximum bar height, height of the time line
_GREY = (122, 122, 122, 255)  # as in the other pictures: readable on light and dark pages


def draw_evidence(explanation: Explanation, evidence: ClassEvidence) -> str:
    """Draw the evidence for one class: first from appearance, then from the change in each frame.

    The first picture is the middle frame with `appearance_places`. The others are frames with `change_places`; a bar
    below each shows `change_frames`. If a clip has more than eight frames, it is divided into eighths, and the frame
    with the most evidence of each is shown. All pictures share one colour scale, from no evidence to the largest
    evidence of a place; bars have their own scale. Evidence against the class is not shown.

    Args:
        explanation: explanation of the clip.
        evidence: evidence for one of its classes.

    Returns:
        PNG as a `data:` URL.
    """
    places, seen = evidence.change_places, evidence.appearance_places
    largest = max(float(places.max()), float(seen.max()), 1e-9)
    first = _heat(explanation.pictures[len(places) // 2], seen / largest)
    return _strip(explanation, places / largest, evidence.change_frames, first)


def draw_attention(explanation: Explanation) -> str:
    """Draw the attention of an attentive probe: frames with heat, and a bar for the sum below each.

    Returns:
        PNG as a `data:` URL.

    Raises:
        ValueError: the model has no attentive probe.
    """
    places = explanation.attention
    if places is None:
        raise ValueError(f"The model that explained {explanation.path} has no attentive probe. Use draw_evidence.")
    return _strip(explanation, places / places.max(), places.sum(axis=(1, 2)), None)


def _strip(
    explanation: Explanation, share: Float[ndarray, "T R C"], sums: Float[ndarray, " T"], first: Image.Image | None
) -> str:
    """Draw frames with bars and times, to the right of an optional picture of appearance."""
    shown = _strongest_frames(sums)
    offset = 0 if first is None else SIDE + 4 * _GAP
    strip = Image.new("RGBA", (offset + len(shown) * (SIDE + _GAP), SIDE + _BAR + _LABEL))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size=11)

    def place(picture: Image.Image, left: int, label: str) -> None:
        strip.paste(picture, (left, 0))
        draw.text((left + SIDE / 2, SIDE + _BAR + 1), label, fill=_GREY, font=font, anchor="ma")

    if first is not None:
        place(first, 0, "appearance")
    for number, frame in enumerate(shown):
        left, bottom = offset + number * (SIDE + _GAP), SIDE + _BAR - 1
        place(_heat(explanation.pictures[frame], share[frame]), left, _time(explanation, frame))
        height = max(0.0, float(sums[frame]) / max(float(sums.max()), 1e-9))
        box = (left + SIDE // 4, bottom - round(height * (_BAR - 4)), left + 3 * SIDE // 4, bottom)
        draw.rectangle(box, fill=_colour(height))
    return png_url(strip)


def draw_colour_scale() -> str:
    """Draw the colours from no evidence, left, to the largest, right: PNG as a `data:` URL, 160 pixels wide."""
    ramp = np.tile(np.linspace(0, 1, 160), (12, 1))
    return png_url(_blend(np.full((12, 160), 128.0), ramp))


def _strongest_frames(evidence: Float[ndarray, " T"]) -> list[int]:
    parts = np.array_split(np.arange(len(evidence)), min(SHOWN_FRAMES, len(evidence)))
    return [int(part[evidence[part].argmax()]) for part in parts]


def _heat(picture: UInt8[ndarray, "S S 3"], share: Float[ndarray, "R C"]) -> Image.Image:
    """Draw evidence from 0 to 1 over a grey frame."""
    grey = Image.fromarray(picture).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    smooth = Image.fromarray(share.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return _blend(np.asarray(grey, dtype=np.float32), np.asarray(smooth))


def _blend(grey: Float[ndarray, "H W"], share: Float[ndarray, "H W"]) -> Image.Image:
    """Blend colours over grey by evidence; grey values are darkened, so that yellow stands out on white."""
    share = share.clip(0, 1)
    opacity = 0.9 * share[..., None] ** 0.7
    colours = 255 * _COLOURS(share)[..., :3]
    return Image.fromarray(((1 - opacity) * (0.8 * grey[..., None]) + opacity * colours).astype(np.uint8))


def _colour(share: float) -> tuple[int, ...]:
    return tuple(round(255 * value) for value in _COLOURS(share))


def _time(explanation: Explanation, frame: int) -> str:
    seconds = explanation.frame_seconds
    return f"frame {frame + 1}" if seconds is None else f"{seconds[frame]:.2f} s"
