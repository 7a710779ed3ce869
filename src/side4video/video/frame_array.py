"""Frames in memory, as arrays, tensors or pictures: checked, and brought into the form of decoded frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor


def as_frames(frames: Any) -> UInt8[Tensor, "T 3 H W"]:
    """Check frames in memory, and return them as decoded files have them, in channels-last memory format.

    >>> as_frames(np.zeros((6, 32, 48, 3), np.uint8)).shape
    torch.Size([6, 3, 32, 48])

    Args:
        frames: RGB, 0 to 255, in one of these forms:

            * numpy array, uint8, (T, H, W, 3),
            * tensor, uint8, (T, 3, H, W), on any device,
            * list of T PIL images, or of T numpy arrays, uint8, (H, W, 3); all of one size.

    Raises:
        TypeError: The frames have another type.
        ValueError: They have another shape, order of dimensions, number type or size, or there are none.
    """
    if isinstance(frames, Tensor):
        return _from_tensor(frames).cpu().contiguous(memory_format=torch.channels_last)
    if isinstance(frames, np.ndarray):
        return _from_array(frames)
    if isinstance(frames, (list, tuple)):
        return _from_array(_stack(frames))
    raise TypeError(
        f"frames are {_type(frames)}. Give a numpy array (T, H, W, 3), a tensor (T, 3, H, W), or a list of PIL images "
        "or arrays (H, W, 3); all uint8 RGB. Use predict or embed_videos for a file."
    )


def _from_tensor(frames: Tensor) -> Tensor:
    shape = tuple(frames.shape)
    if frames.ndim != 4 or shape[1] != 3 or 0 in shape:
        raise ValueError(f"The tensor has shape {shape}, not (T, 3, H, W) with T, H and W above 0. {_remedy(shape)}")
    if frames.dtype != torch.uint8:
        remedy = "Frames from 0 to 1: (frames * 255).round().to(torch.uint8)."
        raise ValueError(f"The tensor {shape} is {frames.dtype}, not torch.uint8 with values from 0 to 255. {remedy}")
    return frames.detach()


def _from_array(frames: np.ndarray) -> Tensor:
    shape = frames.shape
    if frames.ndim != 4 or shape[-1] != 3 or 0 in shape:
        raise ValueError(f"The array has shape {shape}, not (T, H, W, 3) with T, H and W above 0. {_remedy(shape)}")
    if frames.dtype != np.uint8:
        remedy = "Frames from 0 to 1: (frames * 255).round().astype(numpy.uint8)."
        raise ValueError(f"The array {shape} is {frames.dtype}, not uint8 with values from 0 to 255. {remedy}")
    return torch.from_numpy(np.array(frames, order="C")).permute(0, 3, 1, 2)  # a copy: views may be read-only


def _remedy(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and 3 in (shape[0], shape[-1]):
        return "This is one frame: give several, or frames[None] for a still clip."
    if len(shape) == 5:
        return "These are several clips: give one at a time, such as frames[0]."
    if len(shape) == 4 and shape[1] == 3:
        return "Its second dimension is the channel: give torch.from_numpy(frames), or frames.transpose(0, 2, 3, 1)."
    if len(shape) == 4 and shape[-1] == 3:
        return "Its last dimension is the channel: give frames.permute(0, 3, 1, 2)."
    if len(shape) == 4 and shape[0] == 3:
        return "Its first dimension is the channel: swap the first two dimensions."
    if len(shape) == 4 and shape[-1] in (1, 4):
        return "Frames need three channels: repeat grey ones three times, and drop the transparency of RGBA ones."
    return "Give RGB frames of one video."


def _stack(frames: Sequence[Any]) -> np.ndarray:
    if not frames:
        raise ValueError("The list of frames is empty. Give at least one frame.")
    pictures = [_picture(frame, number) for number, frame in enumerate(frames)]
    shapes = [picture.shape for picture in pictures]
    if odd := next((number for number, shape in enumerate(shapes) if shape != shapes[0]), None):
        raise ValueError(
            f"Frame {odd} has shape {shapes[odd]}, frame 0 {shapes[0]}. All frames must have one size: resize them."
        )
    return np.stack(pictures)


def _picture(frame: Any, number: int) -> np.ndarray:
    if isinstance(frame, Image.Image):
        return np.asarray(frame.convert("RGB"))
    if not isinstance(frame, np.ndarray):
        remedy = "Stack tensors with torch.stack." if isinstance(frame, Tensor) else "Open image files with PIL."
        raise TypeError(f"Frame {number} is {_type(frame)}, not a PIL image or a numpy array (H, W, 3). {remedy}")
    if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
        remedy = _frame_remedy(frame)
        raise ValueError(f"Frame {number} is {frame.dtype} with shape {frame.shape}, not uint8 (H, W, 3). {remedy}")
    return frame


def _frame_remedy(frame: np.ndarray) -> str:
    if frame.dtype != np.uint8:
        return "Frames from 0 to 1: (frame * 255).round().astype(numpy.uint8)."
    if frame.ndim == 3 and frame.shape[0] == 3:
        return "Its first dimension is the channel: give frame.transpose(1, 2, 0)."
    return "Give RGB frames."


def _type(value: Any) -> str:
    return f"of type {type(value).__module__}.{type(value).__qualname__}"
