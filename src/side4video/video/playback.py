"""Show videos in a browser: the media type of a file, a part of it as H.264, and a still picture of it.

Seconds count from the first frame, as everywhere in this package.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from PIL import Image

from side4video.atomic_files import replacing
from side4video.video import packets
from side4video.video.audio import AudioTrack, decode_audio
from side4video.video.container import file_address, open_container, raising_video_errors, video_stream
from side4video.video.open_file import OpenFile, first_frame_seconds
from side4video.video.orientation import Orientation, orientation_of
from side4video.video.video_error import VideoError
from side4video.video.video_file import VideoFile

_BROWSER_CODECS = {
    "mp4": ({"h264"}, {"aac", "mp3"}, "video/mp4"),
    "webm": ({"vp8", "vp9"}, {"opus", "vorbis"}, "video/webm"),
}
"""Supported video and audio codecs of each container, and its media type."""
_EIGHT_BIT_FORMATS = ("yuv420p", "yuvj420p")
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,gif,apng,webp,webp_pipe,avif,m4v,h264,"
    "hevc,av1,ivf,mxf,rm,dv,nut,swf,wtv,yuv4mpegpipe"
)
_TIME_BASE = Fraction(1, 90_000)  # seconds: the time base of written clips
_COLOUR_SPACE, _COLOUR_RANGE = Colorspace.ITU709, ColorRange.MPEG  # of written clips, as browsers expect
_SEEKS_BEFORE = (0.0, 2.0, 15.0)  # seconds: some containers seek to a key frame after the requested time
_SEARCHED, _NUM_SAMPLES = ("mpegts", "mpeg"), 32  # containers in which FFmpeg searches for times
_MAX_FPS = 60
_MAX_REORDERED = 16  # frames, in H.264; fewer in MPEG-4
_TOLERANCE = 1e-3  # seconds: times that differ by less are equal


class _TimedFrame(NamedTuple):
    """A frame, the time when it is shown, the aspect ratio (width / height) of its pixels, and its stated duration."""

    seconds: float
    frame: av.VideoFrame
    pixel_aspect: float
    duration_seconds: float = 0.0


def browser_type(path: Path) -> str | None:
    """Return the media type with which every current browser plays this file; None if some browser may not play it.

    Only the header is read. Matroska, AV1, HEVC, MPEG-4 part 2, 10-bit pictures and audio such as AC-3 or PCM only
    play in some browsers or on some machines.

    >>> browser_type(Path("clip.mp4"))
    'video/mp4'
    """
    with raising_video_errors(path), open_container(path) as container:
        stream = video_stream(container)
        if stream is None or not stream.codec_context:
            return None
        family = _container_name(container, path)
        video_codecs, audio_codecs, media_type = _BROWSER_CODECS.get(family, (set(), set(), None))
        decoder = stream.codec_context
        video_plays = decoder.codec.canonical_name in video_codecs and decoder.pix_fmt in _EIGHT_BIT_FORMATS
        audio = container.streams.best("audio")
        audio_plays = audio is None or (
            bool(audio.codec_context) and audio.codec_context.codec.canonical_name in audio_codecs
        )
        return media_type if video_plays and audio_plays else None


def is_video_container(path: Path) -> bool:
    """Whether a file is a video container and not a playlist, which could make FFmpeg open other files or addresses."""
    try:
        with open_container(path, {"format_whitelist": _CONTAINERS}):
            return True
    except (av.FFmpegError, OSError, ValueError):
        return False


def write_clip(path: Path, out: Path, *, start_seconds: float, end_seconds: float, largest_side: int = 854) -> None:
    """Write a part of a video as an H.264 mp4 file that every browser plays, with its audio as AAC.

    If the audio cannot be decoded, the clip has no audio.

    >>> write_clip(Path("clip.mp4"), Path("part.mp4"), start_seconds=0.5, end_seconds=1.5)
    >>> browser_type(Path("part.mp4"))
    'video/mp4'

    Args:
        path: any video file.
        out: the file to write; it appears when it is complete.
        start_seconds, end_seconds: the part, half-open. If no frame begins in it, the clip shows the one on screen.
        largest_side: width and height in pixels are at most this.

    Raises:
        VideoError: the file cannot be read, or ends before the part.
    """
    with (
        replacing(out) as temporary,
        raising_video_errors(path),
        av.open(file_address(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream: VideoStream | None = None
        track: AudioTrack | None = None
        last = until = 0.0
        for shown, shown_until in _frames_of_part(path, start_seconds, end_seconds):
            until = shown_until
            if stream is not None and shown.seconds - last < 1 / _MAX_FPS - _TOLERANCE:
                continue
            picture = _upright_frame(shown, largest_side)
            if stream is None:
                stream = _add_stream(container, picture.width, picture.height)
                zero = float(first_frame_seconds(path))
                audio = decode_audio(
                    path, video_start_seconds=zero, start_seconds=start_seconds, end_seconds=end_seconds
                )
                track = None if audio is None else AudioTrack(container, audio)
            picture.pts, picture.time_base = round((shown.seconds - start_seconds) / _TIME_BASE), _TIME_BASE
            container.mux(stream.encode(picture))
            last = shown.seconds
            if track is not None:
                track.write_until(last - start_seconds)  # interleaved, so that the file plays while it is loaded
        if stream is None:
            raise VideoError(path, f"there is no frame from {start_seconds:g} to {end_seconds:g} seconds.")
        for packet in stream.encode():
            if (
                packet.pts == picture.pts
            ):  # otherwise the last picture is shown for the time of the encoder's frame rate
                packet.duration = round((until - last) / _TIME_BASE)
            container.mux(packet)
        if track is not None:
            track.finish()


def picture_at(path: Path, seconds: float, *, largest_side: int = 480) -> Image.Image:
    """Return the upright RGB picture shown at a time; after the end of the video, its last picture.

    Raises:
        VideoError: the file cannot be read, or no frame can be decoded.
    """
    last = None
    with raising_video_errors(path):
        for shown in _frames_from(path, seconds, before=True):
            if shown.seconds > seconds and last is not None:
                break
            last = shown
        if last is None:
            raise VideoError(path, "no frame can be decoded.", "no-frames")
        return _upright(last, largest_side)


def _container_name(container: InputContainer, path: Path) -> str:
    """Return mp4, webm, or FFmpeg's name of the container."""
    names = container.format.name.split(",")
    if "webm" in names:  # FFmpeg does not distinguish WebM from other Matroska files
        return "webm" if path.suffix.lower() == ".webm" else "matroska"
    return "mp4" if "mp4" in names else names[0]


def _add_stream(container: Any, width: int, height: int) -> VideoStream:
    stream = cast(VideoStream, container.add_stream("libx264", options={"preset": "veryfast", "crf": "23"}))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = _TIME_BASE
    stream.codec_context.colorspace, stream.codec_context.color_range = _COLOUR_SPACE, _COLOUR_RANGE
    stream.codec_context.gop_size = 24  # makes seeking within a clip fast
    return stream


def _frames_of_part(path: Path, start: float, end: float) -> Iterator[tuple[_TimedFrame, float]]:
    """Yield the frames that begin in a part and until when each is shown; if none does, the frame that is on screen."""
    last: _TimedFrame | None = None
    for shown in chain(_frames_from(path, start, before=True), [None]):
        if last is not None:
            until = min(end, last.seconds + last.duration_seconds if shown is None else shown.seconds)
            if last.seconds >= start - _TOLERANCE:
                yield last, until
            elif until > start and (shown is None or shown.seconds >= end):
                yield last._replace(seconds=start), until
        if shown is None or shown.seconds >= end:
            return
        last = shown


class _NoTimesError(Exception):
    """Frames have no times of their own, or times that do not ascend."""


def _frames_from(path: Path, start: float, *, before: bool = False) -> Iterator[_TimedFrame]:
    """Yield frames at or after a time; with `before` also the frames that had to be decoded for the first one.

    The whole file is only listed if frames have no times of their own: that takes long for a film.
    """
    begin, last = -math.inf if before else start - _TOLERANCE, -math.inf
    try:
        for shown in _by_own_times(path, start):
            last = shown.seconds
            if last >= begin:
                yield shown
    except _NoTimesError:
        yield from (shown for shown in _by_table(path) if shown.seconds > last and shown.seconds >= begin)


def _by_own_times(path: Path, start: float) -> Iterator[_TimedFrame]:
    """Yield frames from a key frame at or before `start` on, or from the beginning.

    Raises:
        _NoTimesError: At the first frame that is not later than the one before.
    """
    file = OpenFile(path)
    try:
        first = next(file.decode_all(), None)
        if first is None or first.pts is None:
            raise _NoTimesError
        if start > 0 and _is_joined(*file.opened()):
            raise _NoTimesError
        for earlier in (seconds for seconds in _SEEKS_BEFORE if seconds < start):
            container, stream = file.opened()
            time = first.pts + int((start - earlier) / Fraction(stream.time_base or 1))
            found = _timed(_after_seek(container, stream, time), first.pts, container, stream)
            key = next(found, None)
            if key is not None and key.frame.key_frame and key.seconds <= start:
                yield from chain([key], found)
                return
        yield from _timed(file.decode_all(), first.pts, *file.opened())
    finally:
        file.close()


def _is_joined(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a file is joined from recordings whose times start again: a search for a time may end in any of them.

    Containers without an index are sampled at some places.
    """
    times: list[int] = []
    if container.format.name in _SEARCHED:
        for number in range(_NUM_SAMPLES):
            container.seek(container.size * number // _NUM_SAMPLES, stream=stream, unsupported_byte_offset=True)
            packet = next(packets.demux(container, stream), None)
            times += [] if packet is None or packet.dts is None else [packet.dts]
    return times != sorted(times)


def _after_seek(container: InputContainer, stream: VideoStream, time: int) -> Iterator[av.VideoFrame]:
    """Yield frames from a key frame on that is near a time; nothing if the container cannot seek there."""
    with suppress(av.FFmpegError):
        container.seek(time, stream=stream)
        compressed = packets.demux(container, stream)
        key = next((packet for packet in compressed if packet.is_keyframe), None)
        if key is not None and key.pts is not None:  # earlier frames refer to pictures that were not decoded
            frames = packets.decode(chain([key], compressed), stream)
            yield from (frame for frame in frames if frame.pts is None or frame.pts >= key.pts)


def _timed(
    frames: Iterable[av.VideoFrame], first: int, container: InputContainer, stream: VideoStream
) -> Iterator[_TimedFrame]:
    """Add the times, counted from the time of the first frame."""
    time_base, aspect = Fraction(stream.time_base or 1), float(stream.sample_aspect_ratio or 1)
    is_avi = container.format.name == "avi"
    last = -1
    for frame in _with_sorted_times(frames) if is_avi and stream.codec_context.has_b_frames else frames:
        if frame.pts is None or frame.pts - first <= last:
            raise _NoTimesError
        last = frame.pts - first
        yield _TimedFrame(float(last * time_base), frame, aspect, float(frame.duration * time_base))


def _with_sorted_times(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """AVIs store no display times. FFmpeg assigns the right times, but to the frames in the order of decoding."""
    waiting: deque[av.VideoFrame] = deque()
    times: list[int] = []
    for frame in frames:
        if frame.pts is None:
            raise _NoTimesError
        waiting.append(frame)
        heappush(times, frame.pts)
        if len(waiting) > _MAX_REORDERED:
            waiting[0].pts = heappop(times)
            yield waiting.popleft()
    for frame in waiting:
        frame.pts = heappop(times)
        yield frame


def _by_table(path: Path) -> Iterator[_TimedFrame]:
    """Yield all frames with the times of the frame table."""
    with VideoFile(path) as video:
        times = video.frame_seconds.tolist()
    file = OpenFile(path)
    try:
        frames = file.decode_all()
        aspect = float(file.opened()[1].sample_aspect_ratio or 1)
        yield from (_TimedFrame(seconds, frame, aspect) for seconds, frame in zip(times, frames, strict=False))
    finally:
        file.close()


def _upright(shown: _TimedFrame, largest_side: int) -> Image.Image:
    """Return a frame rotated and mirrored upright, with square pixels and even sides."""
    picture = shown.frame.reformat(format="rgb24", threads=1, **_size(shown, largest_side)).to_ndarray()
    return Image.fromarray(np.ascontiguousarray(orientation_of(shown.frame).apply(picture)))


def _upright_frame(shown: _TimedFrame, largest_side: int) -> av.VideoFrame:
    """Return an upright frame for the encoder; most frames need no rotation and thus no conversion to RGB and back."""
    frame, size = shown.frame, _size(shown, largest_side)
    if orientation_of(frame) != Orientation():
        frame, size = av.VideoFrame.from_image(_upright(shown, largest_side)), {}
    frame = frame.reformat(
        format="yuv420p", dst_colorspace=_COLOUR_SPACE, dst_color_range=_COLOUR_RANGE, threads=1, **size
    )
    frame.pict_type = PictureType.NONE  # otherwise the encoder copies the key frames of the file
    return frame


def _size(shown: _TimedFrame, largest_side: int) -> dict[str, int]:
    width, height = shown.frame.width * shown.pixel_aspect, float(shown.frame.height)
    scale = min(1.0, largest_side / max(width, height))
    return {"width": max(2, round(width * scale / 2) * 2), "height": max(2, round(height * scale / 2) * 2)}
