"""The audio of a part of a video as AAC, in sync with its frames: decoded, aligned in time, and encoded."""

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
from side4video.video.container import open_container

RATE = 48_000
"""Samples per second of all audio written for the browser."""
_SEEKS_BEFORE = (1.0, 15.0)  # seconds: decoders need a few packets to start, and some containers seek too far
_GAP_SECONDS = 0.03  # times in files are rounded: only larger gaps are kept
_AAC_SAMPLES = 1024
_BITS_PER_SECOND = 64_000  # of each channel


@dataclass(frozen=True)
class _Piece:
    """Samples without a gap, (channels, n), and the position of the first one, counted from the part's start."""

    position: int
    samples: np.ndarray


def decode_audio(
    path: Path, *, video_start_seconds: float, start_seconds: float, end_seconds: float
) -> np.ndarray | None:
    """Decode the audio of a part of a video; gaps become silence.

    Args:
        path: any video file; its best audio stream is used.
        video_start_seconds: when the first picture is shown, on the file's own clock; the other times count from it.
        start_seconds, end_seconds: the part, half-open.

    Returns:
        float32, (1 or 2 channels, samples), at `RATE`. The first sample is heard at `start_seconds`; the audio may end
        before `end_seconds`. None if the file has no audio in this part, or none that can be decoded: a clip without
        audio is better than no clip.
    """
    try:
        pieces = list(_pieces(path, video_start_seconds + start_seconds, video_start_seconds + end_seconds))
    except (av.FFmpegError, OSError, ValueError, MemoryError):
        return None
    limit = round((end_seconds - start_seconds) * RATE)
    pieces = [piece for piece in pieces if piece.position < limit and piece.position + piece.samples.shape[1] > 0]
    if not pieces:
        return None
    length = min(limit, max(piece.position + piece.samples.shape[1] for piece in pieces))
    audio = np.zeros((len(pieces[0].samples), length), np.float32)
    for piece in pieces:
        begin, end = max(piece.position, 0), min(piece.position + piece.samples.shape[1], length)
        audio[:, begin:end] = piece.samples[:, begin - piece.position : end - piece.position]
    np.nan_to_num(audio, copy=False, posinf=0.0, neginf=0.0)  # corrupt streams have such samples; encoders refuse them
    return audio / max(1.0, np.abs(audio).max())  # several channels mixed into two may exceed the full scale


class AudioTrack:
    """An AAC track in a file that is being written, interleaved with the frames.

    >>> silence = np.zeros((1, RATE), np.float32)
    >>> with av.open("silence.mp4", "w") as container:
    ...     AudioTrack(container, silence).finish()
    >>> with open_container("silence.mp4") as container:
    ...     container.streams.audio[0].codec_context.name
    'aac'

    Args:
        container: open for writing, before anything is written to it.
        audio: from `decode_audio`.
    """

    def __init__(self, container: OutputContainer, audio: np.ndarray) -> None:
        self._container, self._audio, self._num_written = container, audio, 0
        self._layout = "mono" if len(audio) == 1 else "stereo"
        options: dict[str, Any] = {"layout": self._layout, "bit_rate": _BITS_PER_SECOND * len(audio)}
        self._stream = cast(AudioStream, container.add_stream("aac", rate=RATE, **options))

    def write_until(self, seconds: float) -> None:
        """Write the audio up to a time of the clip, in whole AAC frames."""
        while self._num_written < min(seconds * RATE, self._audio.shape[1]):
            begin = self._num_written
            samples = np.ascontiguousarray(self._audio[:, begin : begin + _AAC_SAMPLES])
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
            self._container.mux(self._stream.encode(frame))
            self._num_written += samples.shape[1]

    def finish(self) -> None:
        """Write the rest of the audio."""
        self.write_until(float("inf"))
        self._container.mux(self._stream.encode(None))


def _pieces(path: Path, start: float, end: float) -> Iterator[_Piece]:
    """Yield audio from about `start` to `end`, in seconds of the file's own clock; positions count from `start`."""
    for earlier in (*_SEEKS_BEFORE, None):
        if earlier is not None and start <= earlier:
            continue  # the beginning of the file is as near
        with open_container(path) as container:
            stream = container.streams.best("audio")
            if not isinstance(stream, AudioStream) or not stream.codec_context:
                return
            frames = _timed_frames(container, stream, seek=None if earlier is None else start - earlier)
            first = None
            with suppress(av.FFmpegError):  # not every container can seek
                first = next(frames, None)
            if first is None or (first[0] > start and earlier == _SEEKS_BEFORE[0]):
                continue  # the seek went too far, or the audio begins later: seeking further back shows which
            resampler = _GapResampler(start, channels=min(2, max(1, stream.codec_context.channels)))
            yield from resampler.push(*first)
            for seconds, frame in frames:
                if seconds >= end:
                    break
                yield from resampler.push(seconds, frame)
            yield from resampler.flush()
            return


def _timed_frames(
    container: InputContainer, stream: AudioStream, *, seek: float | None
) -> Iterator[tuple[float, av.AudioFrame]]:
    """Yield decoded audio with the time of its first sample; packets that cannot be decoded are skipped."""
    time_base = stream.time_base or Fraction(1, RATE)
    if seek is not None:
        container.seek(int(seek * av.time_base))  # through the video stream: many files do not index their audio
    following = 0.0 if seek is None else None  # when a frame without a time is heard
    for packet in packets.demux(container, stream):
        frames: list[av.AudioFrame] = []
        with suppress(av.FFmpegError):
            frames = stream.codec_context.decode(packet)
        for frame in frames:
            seconds = following if frame.pts is None else float(frame.pts * (frame.time_base or time_base))
            if seconds is not None and frame.samples and frame.sample_rate:
                yield seconds, frame
                following = seconds + frame.samples / frame.sample_rate


class _GapResampler:
    """Resamples frames; consecutive frames share one resampler, so that there is no click between them."""

    def __init__(self, start: float, *, channels: int) -> None:
        self._start, self._layout = start, "mono" if channels == 1 else "stereo"
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._following = 0.0  # when the next frame is heard if it belongs to the same run
        self._position = 0

    def push(self, seconds: float, frame: av.AudioFrame) -> Iterator[_Piece]:
        """Yield the samples that are ready after a frame."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind or abs(seconds - self._following) > _GAP_SECONDS:
            yield from self.flush()
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=RATE)
            self._kind, self._position, self._following = kind, round((seconds - self._start) * RATE), seconds
        self._following += frame.samples / frame.sample_rate
        yield from self._resample(frame)

    def flush(self) -> Iterator[_Piece]:
        """Yield the samples that are still buffered, and end the run."""
        if self._resampler is not None:
            yield from self._resample(None)
            self._resampler = None

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[_Piece]:
        assert self._resampler is not None
        if frame is not None:
            frame.pts = None  # this class counts the time
        for resampled in self._resampler.resample(frame):
            samples = resampled.to_ndarray()
            yield _Piece(self._position, samples)
            self._position += samples.shape[1]
