"""Frames of a video file, read by number through PyAV."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from side4video.video import packets
from side4video.video.container import raising_video_errors
from side4video.video.file_access import is_on_disk
from side4video.video.frame_table import FrameTable
from side4video.video.listing import list_frames
from side4video.video.open_file import OpenFile
from side4video.video.orientation import Orientation
from side4video.video.remote import video_path
from side4video.video.video_cache import VideoCache
from side4video.video.video_error import VideoError, check_indices

if TYPE_CHECKING:
    from torch import Tensor


class VideoFile:
    """A video file whose frames can be read by number, counted from 0 in display order.

    >>> with VideoFile("clip.mp4", start_seconds=1.0) as video:
    ...     video.num_frames, video.read([0, 11]).shape
    (12, torch.Size([2, 3, 32, 32]))

    Args:
        path: Any file that FFmpeg reads, or an address such as s3://bucket/clip.mp4; its best video stream is used.
        start_seconds: Only frames at or after this time, counted from the first frame, in seconds.
        end_seconds: Only frames before this time.
        cache: Remembers the file's table and keeps the file open after `close`. Default: the file is listed anew.

    Attributes:
        num_frames: Frames that can be requested, at least 1.
        num_listed: Frames stated in the file's header, 0 if not stated; more than `num_frames` if the file is
            truncated, edited, or restricted to a time range.
        height: Of a frame as shown, in pixels: rotation and mirroring are applied, the pixel aspect ratio is not.
        width: Of a frame as shown, in pixels.
        average_fps: Frames per second over the whole file.
        duration_seconds: From the first selected frame to the end of the last.
        file_seconds: From the first frame of the whole file to the end of its last.
        frame_seconds: When each frame is shown, in seconds since the file's first frame: float64, (num_frames,).
        container: What the whole file contains and what its header states.

    Raises:
        VideoError: The file is missing, is not a video, has no frame, or has no frame between the two times.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        cache: VideoCache | None = None,
    ) -> None:
        self.path = video_path(path)
        self._file = OpenFile(self.path, cache)
        self._converter = VideoReformatter()
        is_local = is_on_disk(self.path)
        if is_local and self.path.exists() and not self.path.is_file():  # opening a pipe would wait for its writer
            raise VideoError(self.path, "it is a pipe, a socket or a device. Give a regular file.")
        if is_local and not self.path.is_file():
            raise VideoError(self.path, "there is no such file.", "missing")
        try:
            with raising_video_errors(self.path):
                self._table = self._file.find_table(lambda: list_frames(self._file))
            self._chosen = _choose_range(self._table, self.path, start_seconds, end_seconds)
        except VideoError:
            self._file.close()
            raise
        table = self._table
        self.num_frames = len(self._chosen)
        self.num_listed = table.num_listed
        self.container = table.container
        self.height, self.width = (
            (table.width, table.height) if table.quarter_turns % 2 else (table.height, table.width)
        )
        self.file_seconds = table.end_seconds
        self.average_fps = len(table.seconds) / table.end_seconds
        self.frame_seconds = table.seconds[self._chosen.start : self._chosen.stop]
        last = self._chosen.stop == len(table.seconds)
        end = table.end_seconds if last else float(table.seconds[self._chosen.stop])
        self.duration_seconds = end - float(self.frame_seconds[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.keep() if error is None else self._file.close()

    def close(self) -> None:
        """Close the file, or leave it open in the cache; a later `read` opens it again."""
        self._file.keep()

    def read(self, indices: Sequence[int]) -> "Tensor":
        """The frames with these numbers, in this order.

        Args:
            indices: Numbers from 0 to `num_frames - 1`, in any order; repeated ones are decoded once.

        Returns:
            uint8 RGB, shape (len(indices), 3, height, width), 0 to 255, in channels-last memory format.

        Raises:
            VideoError: A number is out of range, the decoder did not output a frame, or all frames are corrupt.
        """
        import torch  # takes seconds and 400 MB, which processes that only probe a file do not need

        return torch.from_numpy(self.read_pictures(indices)).permute(0, 3, 1, 2)

    def read_pictures(self, indices: Sequence[int]) -> np.ndarray:
        """The same as `read`, without torch: uint8 RGB, shape (len(indices), height, width, 3)."""
        check_indices(self.path, indices, num_frames=self.num_frames, num_listed=self.num_listed)
        wanted = {self._chosen[index] for index in indices}
        with raising_video_errors(self.path):
            frames = self._decode_frames(wanted)
            pictures = {index: self._picture(frame) for index, frame in frames.items()}
        missing, all_corrupt = sorted(wanted - pictures.keys()), all(frame.is_corrupt for frame in frames.values())
        self._check_decoded(len(wanted), missing, all_corrupt=all_corrupt)
        return np.stack([pictures[self._chosen[index]] for index in indices])

    def read_in_order(self, indices: Sequence[int]) -> "Iterator[Tensor]":
        """Yield the frames with these numbers, which must ascend, one after the other in one pass over the file.

        Each frame equals that of `read`. No frame is decoded twice and one is held at a time, so that memory does not
        grow with the number of frames. Do not call `read` before the last one.

        >>> with VideoFile("clip.mp4") as video:
        ...     [frame.shape for frame in video.read_in_order([0, 11])]
        [torch.Size([3, 32, 32]), torch.Size([3, 32, 32])]

        Raises:
            VideoError: As `read`; for a frame that the decoder did not output, after the frames before it.
            ValueError: The numbers do not ascend.
        """
        import torch

        check_indices(self.path, indices, num_frames=self.num_frames, num_listed=self.num_listed)
        if any(first >= second for first, second in pairwise(indices)):
            raise ValueError("The frame numbers do not ascend. Sort them, and use read for repeated ones.")
        num_frames = num_corrupt = 0
        with raising_video_errors(self.path):
            for frame in self._frames_in_order([self._chosen[index] for index in indices]):
                num_frames, num_corrupt = num_frames + 1, num_corrupt + frame.is_corrupt
                yield torch.from_numpy(np.ascontiguousarray(self._picture(frame))).permute(2, 0, 1)
        self._check_decoded(len(indices), indices[num_frames:], all_corrupt=num_corrupt == num_frames)

    def _check_decoded(self, num_wanted: int, missing: Sequence[int], *, all_corrupt: bool) -> None:
        if missing:
            decoded = f"only {num_wanted - len(missing)} of {num_wanted} requested frames can be decoded"
            listed = f"its packets list {len(self._table.seconds)} frames"
            shown = f"{list(missing[:10])}{' and more' if len(missing) > 10 else ''}"
            raise VideoError(self.path, f"{decoded}, not {shown}; {listed}. The file is corrupt.", "damaged")
        if all_corrupt:
            reason = f"all {num_wanted} requested frames are corrupt. The file may be encrypted."
            raise VideoError(self.path, reason, "damaged")

    def _decode_frames(self, wanted: set[int]) -> dict[int, av.VideoFrame]:
        """Return frames by their number in the whole file; frames that cannot be decoded are missing."""
        times = self._table.times
        if times is None:
            in_order = enumerate(islice(self._file.decode_all(), max(wanted) + 1))
            return {index: frame for index, frame in in_order if index in wanted}
        number = {int(times[index]): index for index in wanted}
        frames = self._decode_times(packets.group_runs(sorted(number), self._table.keys))
        if len(frames) < len(number):  # a wrong key-frame flag, or a seek to the wrong place
            frames = self._decode_times([(None, set(number))], every_picture=True)
        return {number[time]: frame for time, frame in frames.items()}

    def _decode_times(
        self, runs: Sequence[tuple[int | None, set[int]]], *, every_picture: bool = False
    ) -> dict[int, av.VideoFrame]:
        """Return frames by display time, for `runs` from `packets.group_runs`."""
        frames = self._file.decode_runs(runs, every_picture=every_picture)
        return {frame.pts: frame for frame in frames if frame.pts is not None}

    def _frames_in_order(self, wanted: Sequence[int]) -> Iterator[av.VideoFrame]:
        """Yield frames by their ascending numbers in the whole file; stops before one that cannot be decoded."""
        times = self._table.times
        if times is None:
            in_order, chosen = enumerate(islice(self._file.decode_all(), wanted[-1] + 1)), set(wanted)
            yield from (frame for index, frame in in_order if index in chosen)
            return
        expected = deque(times[index] for index in wanted)
        runs = packets.group_runs(expected, self._table.keys)
        yield from _until_missing(self._file.decode_runs(runs), expected)
        if expected:  # a wrong key-frame flag, or a seek to the wrong place
            yield from _until_missing(self._file.decode_runs([(None, set(expected))], every_picture=True), expected)

    def _picture(self, frame: av.VideoFrame) -> np.ndarray:
        # A stream may change its frame size: every frame is scaled to the size of the first.
        # The converter is reused: a new one for each frame took longer than decoding small frames.
        size = {"width": self._table.width, "height": self._table.height}
        picture = self._converter.reformat(frame, format="rgb24", threads=1, **size).to_ndarray()
        return Orientation(self._table.quarter_turns, self._table.is_mirrored).apply(picture)


def _until_missing(frames: Iterable[av.VideoFrame], expected: deque[int]) -> Iterator[av.VideoFrame]:
    """Yield frames while their times are the `expected` ones, which are removed; repeated frames are skipped."""
    last = None
    for frame in frames:
        if frame.pts == last:
            continue
        if not expected or frame.pts != expected[0]:
            return
        last = expected.popleft()
        yield frame


def _choose_range(table: FrameTable, path: Path, start: float | None, end: float | None) -> range:
    """Numbers of the frames with start <= time < end, in seconds."""
    first = 0 if start is None else bisect_left(table.seconds, start)
    stop = len(table.seconds) if end is None else bisect_left(table.seconds, end)
    if stop <= first:
        length = f"the video is {table.end_seconds:.3f} seconds long"
        raise VideoError(
            path, f"there is no frame from start_seconds={start} to end_seconds={end}; {length}.", "beyond-end"
        )
    return range(first, stop)
