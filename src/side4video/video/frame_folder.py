"""A folder with one image per frame, read like a video file."""

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

    Args:
        path: The folder.
        template: File name of frame n; frames are numbered without gaps, from 0 or from 1, whichever is there.
        fps: Frames per second, needed for times only; None: unknown.
        start_seconds: Only frames at or after this time; needs `fps`.
        end_seconds: Only frames before this time; needs `fps`.

    Attributes:
        num_frames: Image files that are there and chosen, at least 1; no list's word is taken for it.
        height: Of the first frame, in pixels; all others must have the same.
        width: The same.
        average_fps: `fps` as given.
        duration_seconds: `num_frames / fps`; None where `fps` is.
        frame_seconds: When each frame is shown, in seconds since the folder's first; None where `fps` is.

    Raises:
        VideoError: No such folder, no file of this template, a gap in the numbers, or no frame between the two times.
        ValueError: The template has no place for the number.
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
        self.frame_seconds = None if fps is None else [index / fps for index in chosen]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing: no file stays open. Here because a `VideoFile` has it."""

    def read(self, indices: Sequence[int]) -> Tensor:
        """The frames with these numbers, in this order.

        Args:
            indices: Numbers from 0 to `num_frames - 1`, in any order; repeated ones are decoded once.

        Returns:
            uint8 RGB, shape (len(indices), 3, height, width), 0 to 255, in channels-last memory format.

        Raises:
            VideoError: A number is out of range, or a file is broken or of another size than the first.
        """
        check_indices(self.path, indices, num_frames=self.num_frames)
        pictures = {index: self._read_image(index) for index in sorted(set(indices))}
        for index, picture in pictures.items():
            if picture.shape[:2] != (self.height, self.width):
                size = f"{picture.shape[1]} x {picture.shape[0]} pixels, not {self.width} x {self.height} as the first"
                raise VideoError(self.path, f"{self._files[index].name} has {size}.")
        return torch.from_numpy(np.stack([pictures[index] for index in indices])).permute(0, 3, 1, 2)

    def _read_image(self, index: int) -> np.ndarray:
        try:
            with Image.open(self._files[index]) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise VideoError(self.path, f"{self._files[index].name} is no image that can be read ({error}).") from error


def _list_frames(folder: Path, template: str) -> list[Path]:
    """The folder's frame files in order of their numbers."""
    parts = re.fullmatch(r"([^{}]*)\{[^{}]*\}([^{}]*)", template)
    if parts is None:
        raise ValueError(f"{template = } has no single place for the frame's number. Use one like 'img_{{:05d}}.jpg'.")
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise VideoError(folder, f"it cannot be listed as a folder of frames ({error}).", "missing") from error
    pattern = re.compile(re.escape(parts[1]) + r"(\d+)" + re.escape(parts[2]))
    numbers = {int(match[1]) for match in map(pattern.fullmatch, names) if match}
    numbers = {number for number in numbers if template.format(number) in names}
    if not numbers:
        example = min(names, default="nothing")
        reason = f"no file is named like {template.format(1)}; it holds {example}. Set the template."
        raise VideoError(folder, reason, "no-frames")
    start = 0 if 0 in numbers else 1
    for number in range(start, max(numbers)):
        if number not in numbers:
            raise VideoError(
                folder, f"{template.format(number)} is missing, but {template.format(max(numbers))} is there."
            )
    return [folder / template.format(number) for number in sorted(numbers)]


def _choose_range(path: Path, num_frames: int, fps: float | None, start: float | None, end: float | None) -> range:
    """Numbers of the frames with start <= time < end, in seconds."""
    if start is None and end is None:
        return range(num_frames)
    if fps is None:
        raise VideoError(path, "a folder of frames has no times. Give fps along with start_seconds and end_seconds.")
    first = 0 if start is None else max(math.ceil(start * fps), 0)
    stop = num_frames if end is None else min(math.ceil(end * fps), num_frames)
    if stop <= first:
        length = f"it is {num_frames / fps:.3f} seconds long"
        raise VideoError(path, f"there is no frame from start_seconds={start} to end_seconds={end}; {length}.")
    return range(first, stop)
