"""From a video file to the clips of its windows, in a loader process: opened, hashed, cut, decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from side4video.checking.content import hash_content
from side4video.data.datasets import NO_LABEL, Clip, EvalTransform, Failure, TestClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.search.windows import cut_windows, frames_between
from side4video.video.decoding import VideoError, open_video

WINDOWS_TOGETHER = 8
"""Of a video that are read at once: what lies ready for the model has a bounded size, however long a video is."""
BYTES_TOGETHER = 256 * 2**20
"""Of decoded frames in full size that a loader process holds at a time, if a single window takes no more."""


@dataclass(frozen=True)
class SeenFile:
    """A video file as a loader process saw it.

    Attributes:
        path: of the file.
        content: hash of its bytes.
        size: bytes.
        modified: nanoseconds since 1970.
        duration_seconds: of the whole video.
        windows: start and end in seconds of each.
    """

    path: Path
    content: str
    size: int
    modified: int
    duration_seconds: float
    windows: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class VideoPart:
    """What to read of a file: `WINDOWS_TOGETHER` windows from a number on.

    Attributes:
        path: of the file.
        seen: what is known of it; None: nothing. Then a video of more than `WINDOWS_TOGETHER` is looked at alone.
        first: number of the first window.
    """

    path: Path
    seen: SeenFile | None = None
    first: int = 0


@dataclass(frozen=True)
class SeenPart:
    """What a clip of `WindowClips` holds: of which file, from which window on, and when its frames are shown.

    `frame_seconds` has T numbers for each window, which is a view of the clip.
    """

    file: SeenFile
    first: int
    frame_seconds: tuple[tuple[float, ...], ...]


def file_state(path: Path) -> tuple[int, int]:
    """Bytes of a file and when it was modified, in nanoseconds since 1970."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


class WindowClips(TestClips):
    """A clip for each part of a video, with a view for each window; what it holds is its `about`, a `SeenPart`.

    Args:
        parts: what to read.
        window_seconds, overlap_seconds: of the windows of long videos.
        sampling: which frames of a window to take.
        transform: from uint8 (T, 3, H, W) to float (1, T, 3, S, S).
    """

    def __init__(
        self,
        parts: Sequence[VideoPart],
        *,
        window_seconds: float,
        overlap_seconds: float,
        sampling: FrameSampling,
        transform: EvalTransform,
    ) -> None:
        videos = [LabelledVideo(path=part.path, label=None, name=str(part.path)) for part in parts]
        super().__init__(videos, sampling=sampling, transform=transform)
        self.parts = parts
        self._windows = {"window_seconds": window_seconds, "overlap_seconds": overlap_seconds}

    def __getitem__(self, index: int) -> Clip | Failure:
        """The windows of a part, none of a long video that is not known yet; a `Failure` where it cannot be read."""
        part = self.parts[index]
        try:
            frames, about = self._read(part)
        except (VideoError, OSError) as error:
            reason = error.reason if isinstance(error, VideoError) else f"it cannot be read ({error.strerror})."
            return Failure(index, str(part.path), part.path, reason)
        return Clip(frames, [NO_LABEL] * len(frames), index, str(part.path), about)

    def _read(self, part: VideoPart) -> tuple[torch.Tensor, SeenPart]:
        state = file_state(part.path)
        if part.path.is_dir():
            raise VideoError(
                part.path,
                "a folder of pictures does not say when each is shown, so no moment can be found in it. Make a video "
                "of it first.",
            )
        content = part.seen.content if part.seen else hash_content(part.path)
        with open_video(part.path) as video:
            assert video.frame_seconds is not None
            assert video.duration_seconds is not None
            windows = tuple(cut_windows(video.duration_seconds, **self._windows))
            chosen = windows[part.first : part.first + WINDOWS_TOGETHER]
            if part.seen is None and len(windows) > WINDOWS_TOGETHER:
                chosen = ()
            numbers = [self._frames(video.frame_seconds, *window) for window in chosen]
            together = max(1, BYTES_TOGETHER // (3 * video.height * video.width * self.sampling.num_frames))
            views = []
            for start in range(0, len(numbers), together):
                some = numbers[start : start + together]
                wanted = sorted({number for window in some for number in window})
                place = {number: position for position, number in enumerate(wanted)}
                frames = video.read(wanted)
                views += [self.transform(frames[[place[number] for number in window]]) for window in some]
            seconds = tuple(
                tuple(max(video.frame_seconds[number], window[0]) for number in frames)
                for window, frames in zip(chosen, numbers, strict=True)
            )
        known = (part.seen.size, part.seen.modified) if part.seen else state
        if not known == state == file_state(part.path):
            raise VideoError(part.path, "it changed while it was read. Index it again when it is complete.")
        seen = SeenFile(part.path, content, *state, video.duration_seconds, windows)
        return torch.cat(views) if views else torch.empty(0), SeenPart(seen, part.first, seconds)

    def _frames(self, frame_seconds: Sequence[float], start: float, end: float) -> list[int]:
        there = frames_between(frame_seconds, start, end)
        return [there[number] for number in self.sampling.test(len(there), 1)[0]]
