"""Checks clips before a frozen image model computes anything."""

from typing import Any

import torch
from torch import Tensor


def check_frames(frames: Any, *, name: str, side: int, device: torch.device, mean: Any, std: Any) -> None:
    """Check type, shape, number type and device of clips (B, T, 3, H, W).

    Args:
        frames: what was given.
        name: of the model, for errors.
        side: H = W that the model reads, pixels.
        device: where its weights are.
        mean, std: of its preprocessing, for errors.

    Raises:
        TypeError: they are not a tensor.
        ValueError: they have another shape, are not floating point, or are on another device than the weights.
    """
    if not isinstance(frames, Tensor):
        kind = f"{type(frames).__module__}.{type(frames).__qualname__}"
        raise TypeError(f"Frames are a {kind}; {name} reads a tensor (B, T, 3, {side}, {side}).")
    if frames.ndim == 5 and frames.shape[2] != 3 and frames.shape[1] == 3:
        raise ValueError(
            f"Frames have shape {tuple(frames.shape)}, which looks like (B, C, T, H, W); {name} reads "
            f"(B, T, 3, {side}, {side}). Swap the two dimensions: clips.transpose(1, 2)."
        )
    if frames.ndim != 5 or frames.shape[2:] != (3, side, side):
        raise ValueError(
            f"Frames have shape {tuple(frames.shape)}; {name} reads (B, T, 3, {side}, {side}). Resize or crop "
            f"them to {side} pixels, or load the backbone with another image_size."
        )
    if not frames.is_floating_point():
        raise ValueError(
            f"Frames are {frames.dtype} but must be floating point. Divide them by 255 and normalise with mean "
            f"{mean} and std {std}."
        )
    if frames.device != device:
        raise ValueError(f"Frames are on {frames.device}, {name} on {device}. Move them: clips.to({str(device)!r}).")
