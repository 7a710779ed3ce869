"""The sound of a part of a video as AAC, in step with its pictures: decoded, put where it belongs, and encoded."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from side4video.video import packets
from side4video.video.opening import open_container

RATE = 48_000
"""Samples per second of all sound that is made for the browser."""
_SEEKS_BEFORE = (1.0, 15.0)  # seconds: decoders need a few packets to come in, and some containers seek too far
_GAP_SECONDS = 0.03  # times in files are rounded: only what is further away than this is moved
_AAC_SAMPLES = 1024
_BITS_PER_SECOND = 64_000  # of each channel


@dataclass(frozen=True)
class _Piece:
    """Samples without a gap, (channels, n), and the place of the first, counted from the part's start."""

    place: int
    samples: np.ndarray


def decode_sound(path: Path, *, zero_seconds: float, start_seconds: float, end_seconds: float) -> np.ndarray | None:
    """The sound of a part of a video, silent where there is none.

    Args:
        path: any video file; its best sound track is taken.
        zero_seconds: when the first picture is shown on the file's own clock; the other seconds count from there.
        start_seconds, end_seconds: the part, half-open.

    Returns:
        float32, (1 or 2 channels, samples), at `RATE`; the first sample is heard at `start_seconds`, and it may end
        before `end_seconds`. None where the file has no sound in this part, or none that can be decoded: pictures
        without sound are better than neither.
    """
    try:
        pieces = list(_pieces(path, zero_seconds + start_seconds, zero_seconds + end_seconds))
    except (av.FFmpegError, OSError, ValueError, MemoryError):
        return None
    most = round((end_seconds - start_seconds) * RATE)
    pieces = [piece for piece in pieces if piece.place < most and piece.place + piece.samples.shape[1] > 0]
    if not pieces:
        return None
    length = min(most, max(piece.place + piece.samples.shape[1] for piece in pieces))
    sound = np.zeros((len(pieces[0].samples), length), np.float32)
    for piece in pieces:
        begin, end = max(piece.place, 0), min(piece.place + piece.samples.shape[1], length)
        sound[:, begin:end] = piece.samples[:, begin - piece.place : end - piece.place]
    np.nan_to_num(sound, copy=False, posinf=0.0, neginf=0.0)  # of a damaged track; the encoder would refuse them
    return sound / max(1.0, np.abs(sound).max())  # several channels put into two may be louder than the loudest


class SoundTrack:
    """A track of AAC in a file that is being written, which gets its sound as far as the pictures have come.

    Args:
        container: open for writing, before anything was written to it.
        sound: from `decode_sound`.
    """

    def __init__(self, container: OutputContainer, sound: np.ndarray) -> None:
        self._container, self._sound, self._num_written = container, sound, 0
        self._layout = "mono" if len(sound) == 1 else "stereo"
        options: dict[str, Any] = {"layout": self._layout, "bit_rate": _BITS_PER_SECOND * len(sound)}
        self._stream = cast(AudioStream, container.add_stream("aac", rate=RATE, **options))

    def write_until(self, seconds: float) -> None:
        """Write the sound up to a time of the clip, in whole frames of AAC."""
        while self._num_written < min(seconds * RATE, self._sound.shape[1]):
            begin = self._num_written
            samples = np.ascontiguousarray(self._sound[:, begin : begin + _AAC_SAMPLES])
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
            self._container.mux(self._stream.encode(frame))
            self._num_written += samples.shape[1]

    def finish(self) -> None:
        """Write what is left."""
        self.write_until(float("inf"))
        self._container.mux(self._stream.encode(None))


def _pieces(path: Path, start: float, end: float) -> Iterator[_Piece]:
    """Sound from about `start` to `end`, in seconds of the file's own clock; places count from `start`."""
    for earlier in (*_SEEKS_BEFORE, None):
        if earlier is not None and start <= earlier:
            continue  # the file's beginning is as near
        with open_container(path) as container:
            stream = container.streams.best("audio")
            if not isinstance(stream, AudioStream) or not stream.codec_context:
                return
            frames = _timed_frames(container, stream, seek=None if earlier is None else start - earlier)
            first = None
            with suppress(av.FFmpegError):  # not every container can seek
                first = next(frames, None)
            if first is None or (first[0] > start and earlier == _SEEKS_BEFORE[0]):
                continue  # the seek went too far; or the sound begins later, which a look further back shows
            runs = _Runs(start, channels=min(2, max(1, stream.codec_context.channels)))
            yield from runs.take(*first)
            for seconds, frame in frames:
                if seconds >= end:
                    break
                yield from runs.take(seconds, frame)
            yield from runs.flush()
            return


def _timed_frames(
    container: InputContainer, stream: AudioStream, *, seek: float | None
) -> Iterator[tuple[float, av.AudioFrame]]:
    """Decoded sound with the time of its first sample; packets that cannot be decoded are left out."""
    time_base = stream.time_base or Fraction(1, RATE)
    if seek is not None:
        container.seek(int(seek * av.time_base))  # as its pictures are found: many index no sound
    following = 0.0 if seek is None else None  # when a frame is heard that does not say it
    for packet in packets.demux(container, stream):
        frames: list[av.AudioFrame] = []
        with suppress(av.FFmpegError):
            frames = stream.codec_context.decode(packet)
        for frame in frames:
            seconds = following if frame.pts is None else float(frame.pts * (frame.time_base or time_base))
            if seconds is not None and frame.samples and frame.sample_rate:
                yield seconds, frame
                following = seconds + frame.samples / frame.sample_rate


class _Runs:
    """Resamples frames, each run of those that follow each other in one go: so nothing is heard where they meet."""

    def __init__(self, start: float, *, channels: int) -> None:
        self._start, self._layout = start, "mono" if channels == 1 else "stereo"
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._following = 0.0  # when the frame after the last one is heard, if it belongs to the same run
        self._place = 0

    def take(self, seconds: float, frame: av.AudioFrame) -> Iterator[_Piece]:
        """What comes out when a frame goes in."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind or abs(seconds - self._following) > _GAP_SECONDS:
            yield from self.flush()
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=RATE)
            self._kind, self._place, self._following = kind, round((seconds - self._start) * RATE), seconds
        self._following += frame.samples / frame.sample_rate
        yield from self._resample(frame)

    def flush(self) -> Iterator[_Piece]:
        """What is still held back of the run that ends."""
        if self._resampler is not None:
            yield from self._resample(None)
            self._resampler = None

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[_Piece]:
        assert self._resampler is not None
        if frame is not None:
            frame.pts = None  # times are counted here
        for resampled in self._resampler.resample(frame):
            samples = resampled.to_ndarray()
            yield _Piece(self._place, samples)
            self._place += samples.shape[1]
