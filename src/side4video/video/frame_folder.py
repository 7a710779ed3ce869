"""Frames of a folder with one image per frame, read like a video file."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from side4video.video.rgb_pictures import to_rgb
from side4video.video.video_error import VideoError, check_indices

DEFAULT_TEMPLATE = "img_{:05d}.jpg"
_NUMBERED_PICTURE = re.compile(
    r"(?P<prefix>.*?)(?P<number>\d+)(?P<suffix>\D{0,3}\.(?:jpe?g|png|webp|bmp|tiff?))", re.IGNORECASE
)


class FrameFolder:
    """A folder with one image per frame, with the same methods as a `VideoFile`.

    >>> video = FrameFolder("frames", template="{:04d}.png", fps=12)
    >>> video.num_frames, video.read([0, 5]).shape
    (6, torch.Size([2, 3, 32, 32]))

    Args:
        path: The folder.
        template: File name of frame n. Default: `img_{:05d}.jpg`, or the one series of numbered pictures in the folder.
            `img_%05d.jpg`, as FFmpeg writes it, is the same as `img_{:05d}.jpg`. Numbers start anywhere and have one
            step: every picture, or every fifth one.
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
        template: str | None = None,
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

    def __exit__(self, *_: object) -> None:
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
                return to_rgb(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise VideoError(self.path, f"{self._files[index].name} is not a readable image ({error}).") from error


def _list_frames(folder: Path, template: str | None) -> list[Path]:
    """Return the folder's frame files in order of their numbers."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise VideoError(folder, f"the folder of frames cannot be listed ({error}).", "missing") from error
    if template is not None:
        template = re.sub(r"%(0\d+)?d", lambda match: f"{{:{match[1] or ''}d}}", template)
    numbers = _match_template(names, template or DEFAULT_TEMPLATE)
    if not numbers and template is None:
        numbers = _detect_series(folder, names)
    if not numbers:
        example = min(names, default="nothing")
        first = (template or DEFAULT_TEMPLATE).format(1)
        reason = f"no file is named like {first}; the folder contains {example}. Set data.frame_template."
        raise VideoError(folder, reason, "no-frames")
    ordered = sorted(numbers)
    step = min((later - earlier for earlier, later in pairwise(ordered)), default=1)
    for earlier, later in pairwise(ordered):
        if later - earlier != step:
            reason = f"frame {earlier + step} is missing between {numbers[earlier]} and {numbers[later]}."
            raise VideoError(folder, reason)
    return [folder / numbers[number] for number in ordered]


def _match_template(names: set[str], template: str) -> dict[int, str]:
    """File names by their numbers."""
    parts = re.fullmatch(r"([^{}]*)\{[^{}]*\}([^{}]*)", template)
    if parts is None:
        raise ValueError(
            f"{template = } must have exactly one placeholder for the frame's number. Use one like 'img_{{:05d}}.jpg'."
        )
    pattern = re.compile(re.escape(parts[1]) + r"(\d+)" + re.escape(parts[2]))
    found = {int(match[1]): match[0] for match in map(pattern.fullmatch, names) if match}
    return {number: name for number in found if (name := template.format(number)) in names}


def _detect_series(folder: Path, names: set[str]) -> dict[int, str]:
    """File names of the only series of numbered pictures, by their numbers; empty if there is none."""
    series: dict[str, dict[int, str]] = defaultdict(dict)
    for match in map(_NUMBERED_PICTURE.fullmatch, sorted(names)):
        if match:
            number, shown = int(match["number"]), f"{match['prefix']}{{}}{match['suffix']}"
            if number in series[shown]:
                raise VideoError(folder, f"{series[shown][number]} and {match[0]} have the same number. Keep one.")
            series[shown][number] = match[0]
    if len(series) > 1:
        counts = ", ".join(f"{shown} ({len(frames)})" for shown, frames in list(series.items())[:10])
        raise VideoError(
            folder, f"it has several series of pictures: {counts}. Set data.frame_template to one of them."
        )
    return next(iter(series.values()), {})


def _choose_range(path: Path, num_frames: int, fps: float | None, start: float | None, end: float | None) -> range:
    """Numbers of the frames with start <= time < end, in seconds."""
    if start is None and end is None:
        return range(num_frames)
    if fps is None:
        raise VideoError(
            path, "a folder of frames has no times. Give its frames per second: data.fps, or fps in Python."
        )
    first = 0 if start is None else max(math.ceil(start * fps), 0)
    stop = num_frames if end is None else min(math.ceil(end * fps), num_frames)
    if stop <= first:
        length = f"the video is {num_frames / fps:.3f} seconds long"
        raise VideoError(path, f"there is no frame from start_seconds={start} to end_seconds={end}; {length}.")
    return range(first, stop)
