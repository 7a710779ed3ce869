"""Frame sampling: integer formulas that choose the frames of a clip, equal to the paper's code for every frame.

n is the number of frames of the video, T the number of frames of a clip; frames are counted from 0. A *flavour* is the
rounding that the paper's code uses for a family of data sets. All randomness comes from a `torch.Generator` argument.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

Flavour = Literal["something_something", "kinetics", "msrvtt", "vatex"]
WINDOW = 128
"""Number of frames that a dense clip spans in the paper's code. Its frames are `WINDOW // T` apart."""


def uniform_clips_something_something(num_video_frames: int, num_frames: int, num_clips: int) -> list[list[int]]:
    """Clips of one frame per segment; segment i starts at round(i s), with s = (n - 1) / T and halves to even.

    Clip c of k, counted from 0, takes the frame int(s (c + 1) / (k + 1)) after each start. A single clip takes the
    middle of each segment.

    Example: n = 60, T = 8, s = 7.375. Starts are 0, 7, 15, 22, 30, 37, 44, 52. One clip adds int(3.6875) = 3 to
    each: 3, 10, 18, 25, 33, 40, 47, 55. Two clips add int(2.46) = 2 and int(4.92) = 4.
    """
    segment = (num_video_frames - 1) / num_frames
    starts = np.round(segment * np.arange(num_frames)).astype(int)
    shifts = [int(segment / (num_clips + 1) * (clip + 1)) for clip in range(num_clips)]
    return [(starts + shift).tolist() for shift in shifts]


def uniform_clips_kinetics(num_video_frames: int, num_frames: int, num_clips: int) -> list[list[int]]:
    """Clips of one frame per segment; segment i starts at i s, with s = n / T.

    Clip c of k, counted from 0, takes the frames int(a + i s) modulo n with the shift a = floor(c (s - 1) / (k - 1)).
    A single clip therefore takes the starts. If s < 1, the shift is -1 (int rounds towards zero).

    Example: n = 60, T = 8, s = 7.5. One clip: 0, 7, 15, 22, 30, 37, 45, 52. Four clips are shifted by
    floor(0, 2.17, 4.33, 6.5) = 0, 2, 4, 6.
    """
    segment = num_video_frames / num_frames
    shifts = np.linspace(0, segment - 1, num_clips, dtype=int)  # the conversion to int rounds down
    starts = segment * np.arange(num_frames)
    return [(np.trunc(shift + starts).astype(int) % num_video_frames).tolist() for shift in shifts]


def uniform_clip_msrvtt(num_video_frames: int, num_frames: int, num_clips: int) -> list[list[int]]:
    """One clip: every d-th frame from 0, with d = n // T. If these are more than T, T of them, spread evenly.

    Of the m = ceil(n / d) frames, frame i of the clip is number int(i (m - 1) / (T - 1)). A video shorter than T gives
    all its frames and repeats the last one.

    Example: n = 25, T = 12, d = 2: the 13 frames are 0, 2, ..., 24. The clip takes numbers 0, 1, ..., 10, 12 of them:
    0, 2, ..., 20, 24.
    """
    _check_one_clip("msrvtt", num_clips)
    spaced = list(range(0, num_video_frames, max(num_video_frames // num_frames, 1)))
    places = np.linspace(0, len(spaced) - 1, num_frames, dtype=int) if len(spaced) > num_frames else range(num_frames)
    return [[spaced[min(place, len(spaced) - 1)] for place in places]]


def uniform_clip_vatex(num_video_frames: int, num_frames: int, num_clips: int) -> list[list[int]]:
    """One clip: the middle of each of T segments, int((i + 1/2) n / T).

    A video of at most T frames gives its first frame T times.

    Example: n = 13, T = 8: 0, 2, 4, 5, 7, 8, 10, 12.
    """
    _check_one_clip("vatex", num_clips)
    segment = num_video_frames / num_frames if num_video_frames > num_frames else 0.0
    return [[int(segment / 2 + segment * i) for i in range(num_frames)]]


def dense_clips(num_video_frames: int, num_frames: int, num_clips: int) -> list[list[int]]:
    """Clips that span `WINDOW` frames: frames a, a + d, a + 2 d, ... modulo n, with d = WINDOW // T.

    Clip c of k starts at a = c floor((n - WINDOW) / (k - 1)). A single clip starts at half of n - WINDOW. In a video
    shorter than the window, all clips start at 0.

    Example: n = 300, T = 8, d = 16. Four clips start at 0, 57, 114, 171; the second is 57, 73, 89, ..., 169.
    """
    spare = max(num_video_frames - WINDOW, 0)
    starts = [spare // 2] if num_clips == 1 else [clip * (spare // (num_clips - 1)) for clip in range(num_clips)]
    return [_wrap(start, _window_stride(num_frames), num_frames, num_video_frames) for start in starts]


def stride_clips(
    num_video_frames: int, num_frames: int, num_clips: int, *, stride: int, padding: Literal["repeat", "wrap"]
) -> list[list[int]]:
    """Clips of frames `stride` apart: a, a + stride, ..., spanning w = (T - 1) stride + 1 frames.

    Clip c of k starts at a = floor(c (n - w) / (k - 1)): the first clip begins and the last one ends with the video. A
    single clip is in the middle, a = floor((n - w) / 2). In a video shorter than w every clip starts at 0, and numbers
    after the last frame become the last frame ("repeat") or continue from 0 ("wrap").

    Example: n = 20, T = 4, stride = 3, w = 10. Three clips start at 0, 5, 10: the last is 10, 13, 16, 19.
    n = 8: "repeat" gives 0, 3, 6, 7 and "wrap" 0, 3, 6, 1.
    """
    spare = max(num_video_frames - (num_frames - 1) * stride - 1, 0)
    starts = [spare // 2] if num_clips == 1 else [clip * spare // (num_clips - 1) for clip in range(num_clips)]
    return [_pad(start, stride, num_frames, num_video_frames, padding) for start in starts]


def random_segments_something_something(
    num_video_frames: int, num_frames: int, generator: torch.Generator
) -> list[int]:
    """A random frame from each of T segments; segment i is the frames floor(i n / T) to floor((i + 1) n / T) - 1.

    A video of at most T frames gives each frame once, plus T - n frames drawn at random with replacement, in order.

    Example: n = 20, T = 8: segments 0-1, 2-4, 5-6, 7-9, 10-11, 12-14, 15-16, 17-19.
    """
    if num_video_frames <= num_frames:
        again = [_draw(num_video_frames, generator) for _ in range(num_frames - num_video_frames)]
        return sorted([*range(num_video_frames), *again])
    bounds = [i * num_video_frames // num_frames for i in range(num_frames + 1)]
    return [low + _draw(high - low, generator) for low, high in pairwise(bounds)]


def random_segments_retrieval(num_video_frames: int, num_frames: int, generator: torch.Generator) -> list[int]:
    """A random frame from each of T segments of d = n // T frames; segment i is the frames i d to (i + 1) d - 1.

    The n - T d frames at the end are never drawn. A video shorter than T gives its first frame T times.

    Example: n = 20, T = 8, d = 2: segments 0-1, 2-3, ..., 14-15.
    """
    length = num_video_frames // num_frames
    return [i * length + _draw(max(length, 1), generator) for i in range(num_frames)]


def random_segments_kinetics(num_video_frames: int, num_frames: int, generator: torch.Generator) -> list[int]:
    """A random frame from each of T segments; segment i is round(i s) to round((i + 1) s), both included.

    s = (n - 1) / T, halves to even. Neighbouring segments share a frame, so a frame can be drawn twice. The rule is the
    same for videos shorter than T.

    Example: n = 20, T = 8, s = 2.375: segments 0-2, 2-5, 5-7, 7-10, 10-12, 12-14, 14-17, 17-19.
    """
    segment = (num_video_frames - 1) / num_frames
    bounds = np.round(segment * np.arange(num_frames + 1)).astype(int).tolist()
    return [low + _draw(high - low + 1, generator) for low, high in pairwise(bounds)]


def random_dense(num_video_frames: int, num_frames: int, generator: torch.Generator) -> list[int]:
    """A clip as in `dense_clips` with a random start from 0 to max(n - WINDOW, 0), both included."""
    start = _draw(max(num_video_frames - WINDOW, 0) + 1, generator)
    return _wrap(start, _window_stride(num_frames), num_frames, num_video_frames)


def random_stride(
    num_video_frames: int,
    num_frames: int,
    generator: torch.Generator,
    *,
    stride: int,
    padding: Literal["repeat", "wrap"],
) -> list[int]:
    """A clip as in `stride_clips` with a random start at which it fits, or 0 if the video is shorter than the clip."""
    start = _draw(max(num_video_frames - (num_frames - 1) * stride, 1), generator)
    return _pad(start, stride, num_frames, num_video_frames, padding)


def _draw(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def _window_stride(num_frames: int) -> int:
    return max(WINDOW // num_frames, 1)


def _wrap(start: int, stride: int, num_frames: int, num_video_frames: int) -> list[int]:
    return [(start + i * stride) % num_video_frames for i in range(num_frames)]


def _pad(
    start: int, stride: int, num_frames: int, num_video_frames: int, padding: Literal["repeat", "wrap"]
) -> list[int]:
    if padding == "wrap":
        return _wrap(start, stride, num_frames, num_video_frames)
    return [min(start + i * stride, num_video_frames - 1) for i in range(num_frames)]


_UNIFORM = {
    "something_something": uniform_clips_something_something,
    "kinetics": uniform_clips_kinetics,
    "msrvtt": uniform_clip_msrvtt,
    "vatex": uniform_clip_vatex,
}
_RANDOM = {
    "something_something": random_segments_something_something,
    "kinetics": random_segments_kinetics,
    "msrvtt": random_segments_retrieval,
    "vatex": random_segments_retrieval,
}


@dataclass(frozen=True)
class FrameSampling:
    """Chooses the frames of a clip.

    Attributes:
        num_frames: T, frames per clip.
        kind: "segments": one frame from each of T equal parts of the video; "dense": frames at a fixed distance.
        flavour: Rounding of segments for a family of data sets. "msrvtt" (also for MSVD) and "vatex" are the same in
            training; in evaluation they support one clip per video.
        stride: Distance of dense frames. None: `WINDOW // num_frames`, and the window wraps around as in the paper.
        padding: For videos shorter than a clip with `stride`: "repeat" the last frame, or "wrap" around.

    Raises:
        ValueError: A value is out of range, or `stride` is given for segments.

    >>> FrameSampling(num_frames=8).test(60)
    [[3, 10, 18, 25, 33, 40, 47, 55]]
    >>> FrameSampling(num_frames=4, kind="dense", stride=3).train(10, torch.Generator())
    [0, 3, 6, 9]
    """

    num_frames: int = 8
    kind: Literal["segments", "dense"] = "segments"
    flavour: Flavour = "something_something"
    stride: int | None = None
    padding: Literal["repeat", "wrap"] = "repeat"

    def __post_init__(self) -> None:
        _check_one_of("kind", self.kind, ("segments", "dense"))
        _check_one_of("flavour", self.flavour, tuple(_UNIFORM))
        _check_one_of("padding", self.padding, ("repeat", "wrap"))
        _check_positive("num_frames", self.num_frames)
        if self.stride is not None:
            _check_positive("stride", self.stride)
            if self.kind == "segments":
                raise ValueError(f"stride={self.stride} has no meaning for kind='segments'. Use kind='dense'.")

    def train(self, video_length: int, generator: torch.Generator) -> list[int]:
        """A random clip.

        Args:
            video_length: Frames of the video, at least 1.
            generator: The only source of randomness.

        Returns:
            `num_frames` frame numbers from 0 to `video_length - 1`.
        """
        _check_positive("video_length", video_length)
        if self.kind == "segments":
            return _RANDOM[self.flavour](video_length, self.num_frames, generator)
        if self.stride is None:
            return random_dense(video_length, self.num_frames, generator)
        return random_stride(video_length, self.num_frames, generator, stride=self.stride, padding=self.padding)

    def test(self, video_length: int, num_clips: int = 1) -> list[list[int]]:
        """Clips without randomness, spread over the video.

        Args:
            video_length: Frames of the video, at least 1.
            num_clips: Number of clips, at least 1.

        Returns:
            `num_clips` lists of `num_frames` frame numbers from 0 to `video_length - 1`.
        """
        _check_positive("video_length", video_length)
        _check_positive("num_clips", num_clips)
        if self.kind == "segments":
            return _UNIFORM[self.flavour](video_length, self.num_frames, num_clips)
        if self.stride is None:
            return dense_clips(video_length, self.num_frames, num_clips)
        return stride_clips(video_length, self.num_frames, num_clips, stride=self.stride, padding=self.padding)


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}={value} must be 1 or more.")


def _check_one_clip(flavour: str, num_clips: int) -> None:
    if num_clips != 1:
        raise ValueError(
            f"flavour={flavour!r} supports 1 clip per video, not {num_clips}. Use another flavour for several."
        )


def _check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(allowed)}.")
