"""Frames of a folder with one image per frame, read like a video file."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from side4video.video.video_error import VideoError, check_indices


class FrameFolder:
    """A folder with one image per frame, with the same methods as a `VideoFile`.

    >>> video = FrameFolder("frames", template="{:04d}.png", fps=12)
    >>> video.num_frames, video.read([0, 5]).shape
    (6, torch.Size([2, 3, 32, 32]))

    Args:
        path: The folder.
        template: File name of frame n; frames are numbered without gaps, from 0 or from 1.
        fps: Frames per second, only required for times; None: unknown.
        start_seconds: Only frames at or after this time; needs `fps`.
        end_seconds: Only frames before this time; needs `fps`.

    Attributes:
        num_frames: Image files found in the selected part, at least 1; counts in annotation lists are ignored.
        height: Of the first frame, in pixels; all frames must have the same size.
        width: Of the first frame, in pixels.
        average_fps: The argument `fps`.
        duration_seconds: `num_frames / fps`; None if `fps` is None.
        frame_seconds: When each frame is shown, in seconds since the folder's first frame; None if `fps` is None.

    Raises:
        VideoError: No such folder, no file matches the template, a gap in the numbers, or no frame between the times.
        ValueError: The template has no placeholder for the number.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        template: str = "img_{:05d}.jpg",
        fps: float | None = None,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
    ) -> None:
        self.path = Path(path)
        files = _list_frames(self.path, template)
        chosen = _choose_range(self.path, len(files), fps, start_seconds, end_seconds)
        self._files = files[chosen.start : chosen.stop]
        self.num_frames = len(self._files)
        self.height, self.width, _ = self._read_image(0).shape
        self.average_fps = fps
        self.duration_seconds = None if fps is None else self.num_frames / fps
        self.frame_seconds = None if fps is None else np.arange(chosen.start, chosen.stop) / fps

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no file stays open. The method exists because `VideoFile` has it."""

    def read(self, indices: Sequence[int]) -> Tensor:
        """The frames with these numbers, in this order.

        Args:
            indices: Numbers from 0 to `num_frames - 1`, in any order; repeated ones are decoded once.

        Returns:
            uint8 RGB, shape (len(indices), 3, height, width), 0 to 255, in channels-last memory format.

        Raises:
            VideoError: A number is out of range, or a file is corrupt or differs in size from the first.
        """
        check_indices(self.path, indices, num_frames=self.num_frames)
        pictures = {index: self._read_image(index) for index in sorted(set(indices))}
        for index, picture in pictures.items():
            if picture.shape[:2] != (self.height, self.width):
                size = f"{picture.shape[1]} x {picture.shape[0]} pixels, the first has {self.width} x {self.height}"
                raise VideoError(self.path, f"{self._files[index].name} has {size}. All frames must have one size.")
        return torch.from_numpy(np.stack([pictures[index] for index in indices])).permute(0, 3, 1, 2)

    def _read_image(self, index: int) -> np.ndarray:
        try:
            with Image.open(self._files[index]) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise VideoError(self.path, f"{self._files[index].name} is not a readable image ({error}).") from error


def _list_frames(folder: Path, template: str) -> list[Path]:
    """Return the folder's frame files in order of their numbers."""
    parts = re.fullmatch(r"([^{}]*)\{[^{}]*\}([^{}]*)", template)
    if parts is None:
        raise ValueError(
            f"{template = } must have exactly one placeholder for the frame's number. Use one like 'img_{{:05d}}.jpg'."
        )
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise VideoError(folder, f"the folder of frames cannot be listed ({error}).", "missing") from error
    pattern = re.compile(re.escape(parts[1]) + r"(\d+)" + re.escape(parts[2]))
    numbers = {int(match[1]) for match in map(pattern.fullmatch, names) if match}
    numbers = {number for number in numbers if template.format(number) in names}
    if not numbers:
        example = min(names, default="nothing")
        reason = f"no file is named like {template.format(1)}; the folder contains {example}. Set the template."
        raise VideoError(folder, reason, "no-frames")
    start = 0 if 0 in numbers else 1
    for number in range(start, max(numbers)):
        if number not in numbers:
            raise VideoError(
                folder, f"{template.format(number)} is missing, but {template.format(max(numbers))} exists."
            )
    return [folder / template.format(number) for number in sorted(numbers)]


def _choose_range(path: Path, num_frames: int, fps: float | None, start: float | None, end: float | None) -> range:
    """Numbers of the frames with start <= time < end, in seconds."""
    if start is None and end is None:
        return range(num_frames)
    if fps is None:
        raise VideoError(path, "a folder of frames has no times. Give fps together with start_seconds and end_seconds.")
    first = 0 if start is None else max(math.ceil(start * fps), 0)
    stop = num_frames if end is None else min(math.ceil(end * fps), num_frames)
    if stop <= first:
        length = f"the video is {num_frames / fps:.3f} seconds long"
        raise VideoError(path, f"there is no frame from start_seconds={start} to end_seconds={end}; {length}.")
    return range(first, stop)
