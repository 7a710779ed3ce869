"""Clips of the windows of a video file: a loader process opens, hashes, splits and decodes the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from side4video.data.datasets import NO_LABEL, Clip, EvalTransform, Failure, TestClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.search.file_states import content_of_file, reason_of, state_of_file
from side4video.search.stores.records import IndexedFile
from side4video.search.windows import cut_windows, frames_between
from side4video.video.decoding import VideoCache, VideoError, open_video
from side4video.video.remote import is_address

WINDOWS_PER_READ = 8
"""Maximum number of windows of a video per read: bounds the memory of prepared clips, however long a video is."""
CHANGED_WHILE_READ = (
    "it changed while it was read. Index it again when it is complete; until then, earlier windows stay."
)
BYTES_PER_READ = 256 * 2**20
"""Limit for the full-size decoded frames that a loader process holds; a single window may exceed it."""


@dataclass(frozen=True)
class VideoPart:
    """The part of a file to read: up to `WINDOWS_PER_READ` windows, starting at `first`.

    Attributes:
        path: path of the file.
        snapshot: the state from an earlier read. None: first read; a video with more than `WINDOWS_PER_READ` windows is
            then only inspected, not decoded.
        first: number of the first window.

    >>> VideoPart(Path("clip.mp4")).first
    0
    """

    path: Path
    snapshot: IndexedFile | None = None
    first: int = 0


@dataclass(frozen=True)
class DecodedPart:
    """The content of a clip of `WindowClips`; each window is a view of the clip.

    Attributes:
        file: the file when it was read, without metadata.
        num_windows: number of windows of the whole video.
        first: number of the first window of this part.
        windows: start and end of each window of this part in seconds.
        frame_seconds: T frame times of each of them.

    >>> file = IndexedFile("clip.mp4", "0f3a", 4000, 0, 2.0)
    >>> DecodedPart(file, 1, first=0, windows=((0.0, 2.0),), frame_seconds=((0.0, 0.5, 1.0, 1.5),)).frame_seconds[0][-1]
    1.5
    """

    file: IndexedFile
    num_windows: int
    first: int
    windows: tuple[tuple[float, float], ...]
    frame_seconds: tuple[tuple[float, ...], ...]


class WindowClips(TestClips):
    """A data set with one clip per part of a video and one view per window. A clip's `about` is a `DecodedPart`.

    Args:
        parts: the parts to read.
        window_seconds: length of the windows of long videos.
        overlap_seconds: overlap of neighbouring windows.
        sampling: selects the frames of a window.
        transform: from uint8 (T, 3, H, W) to float (1, T, 3, S, S).
        cache: tables of the video files, so that a file is listed once for all its parts. Default: those of this
            process.

    >>> from side4video.search.index_model import load_index_model
    >>> settings = load_index_model("retrieval", device="cpu").test_clips()
    >>> clips = WindowClips(
    ...     [VideoPart(Path("clip.mp4"))],
    ...     window_seconds=10,
    ...     overlap_seconds=5,
    ...     sampling=settings.sampling,
    ...     transform=settings.transform,
    ... )
    >>> clips[0].about.windows
    ((0.0, 2.0),)
    """

    def __init__(
        self,
        parts: Sequence[VideoPart],
        *,
        window_seconds: float,
        overlap_seconds: float,
        sampling: FrameSampling,
        transform: EvalTransform,
        cache: VideoCache | None = None,
    ) -> None:
        videos = [LabelledVideo(path=part.path, label=None, name=str(part.path)) for part in parts]
        super().__init__(videos, sampling=sampling, transform=transform, cache=cache)
        self.parts = parts
        self._windows = {"window_seconds": window_seconds, "overlap_seconds": overlap_seconds}

    def __getitem__(self, index: int) -> Clip | Failure:
        """The windows of a part, no windows for the first read of a long video, or a `Failure` if reading fails."""
        part = self.parts[index]
        try:
            frames, about = self._read(part)
        except (VideoError, OSError) as error:
            return Failure(index, str(part.path), part.path, reason_of(error))
        return Clip(frames, [NO_LABEL] * len(frames), index, str(part.path), about)

    def part(self, start: int, stop: int) -> Self:
        """The set of the parts from index `start` to before `stop`; there, the first one has the index 0."""
        some = super().part(start, stop)
        some.parts = self.parts[start:stop]
        return some

    def _read(self, part: VideoPart) -> tuple[torch.Tensor, DecodedPart]:
        state = state_of_file(part.path)
        if not is_address(part.path) and part.path.is_dir():
            raise VideoError(
                part.path,
                "a folder of pictures has no frame times, so moments in it have no time. Convert it to a video first.",
            )
        with open_video(part.path, cache=self.cache) as video:  # refuses pipes, on which hashing would wait
            content = part.snapshot.content if part.snapshot else content_of_file(part.path)
            assert video.frame_seconds is not None
            assert video.duration_seconds is not None
            windows = tuple(cut_windows(video.duration_seconds, **self._windows))
            chosen = windows[part.first : part.first + WINDOWS_PER_READ]
            if part.snapshot is None and len(windows) > WINDOWS_PER_READ:
                chosen = ()
            numbers = [self._frames(video.frame_seconds, *window) for window in chosen]
            together = max(1, BYTES_PER_READ // (3 * video.height * video.width * self.sampling.num_frames))
            views = []
            for start in range(0, len(numbers), together):
                some = numbers[start : start + together]
                wanted = sorted({number for window in some for number in window})
                rows = {number: row for row, number in enumerate(wanted)}
                frames = video.read(wanted)
                views += [self.transform(frames[[rows[number] for number in window]]) for window in some]
            seconds = tuple(
                tuple(max(float(video.frame_seconds[number]), window[0]) for number in frames)
                for window, frames in zip(chosen, numbers, strict=True)
            )
        known = (part.snapshot.size, part.snapshot.modified) if part.snapshot else state
        if not known == state == state_of_file(part.path):
            raise VideoError(part.path, CHANGED_WHILE_READ)
        file = part.snapshot or IndexedFile(str(part.path), content, *state, video.duration_seconds)
        return torch.cat(views) if views else torch.empty(0), DecodedPart(
            file, len(windows), part.first, chosen, seconds
        )

    def _frames(self, frame_seconds: NDArray[np.float64], start: float, end: float) -> list[int]:
        inside = frames_between(frame_seconds, start, end)
        return [inside[number] for number in self.sampling.test(len(inside), 1)[0]]
