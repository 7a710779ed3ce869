"""Cut a part of a video file without encoding it again."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from side4video.atomic_files import replacing
from side4video.video.container import file_address, frame_rate, open_container, video_stream
from side4video.video.file_access import is_on_disk
from side4video.video.open_file import OpenFile, first_frame_seconds
from side4video.video.video_error import VideoError

_SEEKS_BEFORE = (0, 2, 15)  # seconds: some containers seek to a key frame after the requested time

_ROUNDING = Fraction(1, 10**6)  # seconds: the float of a frame's time may be less than that time


def copy_clip(path: Path, out: Path, *, start_seconds: float, end_seconds: float) -> float:
    """Copy the compressed pictures and audio of a part of a video to a new file of the same container.

    Decoding can only start at a key frame: the copy starts with the last one at or before the start.

    >>> copy_clip(Path("clip.mp4"), Path("copy.mp4"), start_seconds=0.5, end_seconds=1.5)
    0.5

    Args:
        path: any video file.
        out: the file to write; it appears when it is complete. Its suffix names the container.
        start_seconds, end_seconds: the part, half-open, counted from the first frame.

    Returns:
        The time of the first picture of the copy, in seconds since the first frame.

    Raises:
        VideoError: the file cannot be read, has no picture there, or its container cannot be written.
    """
    if is_on_disk(path) and not path.is_file():
        raise VideoError(path, "there is no such file.", "missing")
    try:
        with replacing(out) as temporary, open_container(path) as source:
            return _copy(path, source, temporary, out.suffix, start_seconds, end_seconds)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = f"it cannot be copied ({type(error).__name__}: {error}). Encode it again: exact cutting."
        raise VideoError(path, reason) from error


def _copy(
    path: Path, source: InputContainer, temporary: Path, suffix: str, start_seconds: float, end_seconds: float
) -> float:
    zero, video = first_frame_seconds(path), video_stream(source)
    assert video is not None
    streams = [stream for stream in (video, source.streams.best("audio")) if stream is not None]
    begin, end = zero + Fraction(start_seconds) + _ROUNDING, zero + Fraction(end_seconds)
    packets = _from_key_frame(path, source, video, streams, begin)
    first = next(packets, None)
    if first is None:
        raise VideoError(path, f"there is no picture from {start_seconds:g} to {end_seconds:g} seconds.")
    origin = _time(first)
    with av.open(file_address(temporary), "w", format=_container(suffix, source)) as target:
        copies = {stream.index: _add_copy(target, stream, source) for stream in streams}
        for packet in chain([first], packets):
            if _time(packet) >= end:
                if packet.stream.index != video.index:
                    continue
                if packet.dts is not None and packet.dts * packet.time_base >= end:
                    break  # a later picture may have to be decoded first, before dts reaches the end
            shift = int(origin / packet.time_base)
            packet.pts -= shift
            if packet.dts is not None:  # Matroska stores none; FFmpeg finds them, but not those of the first packets
                packet.dts -= shift
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    _check_copy(path, temporary)
    return float(origin - zero)


def _add_copy(target: OutputContainer, stream: Stream, source: InputContainer) -> Stream:
    copy = target.add_stream_from_template(stream, opaque=True)  # also of a codec that the installed PyAV cannot encode
    if target.format.name in source.format.name.split(","):  # other containers have other tags
        copy.codec_context.codec_tag = stream.codec_context.codec_tag  # the layout of pixels, for example
    return copy


def _check_copy(path: Path, copy: Path) -> None:
    """Refuse a copy that cannot be decoded: not every container stores what the decoder needs."""
    file = OpenFile(copy)
    try:
        frame = next(file.decode_all(), None)
    finally:
        file.close()
    if frame is None:
        raise VideoError(
            path, "it cannot be copied: no frame of the copy can be decoded. Encode it again: exact cutting."
        )


def _from_key_frame(
    path: Path, source: InputContainer, video: VideoStream, streams: list[Stream], begin: Fraction
) -> Iterator[Any]:
    """Yield packets from the last key frame at or before `begin` on; nothing if the video ends before."""
    for earlier in (seconds for seconds in _SEEKS_BEFORE if seconds <= begin):
        source.seek(int((begin - earlier) / (video.time_base or 1)), stream=video)
        packets = _packets(source, video, streams)
        key = next(packets, None)
        if key is not None and _time(key) <= begin:
            yield from _last_group(chain([key], packets), video, begin)
            return
    with open_container(path) as again:  # seeking to the beginning is not exact in every container
        streams = [again.streams[stream.index] for stream in streams]
        yield from _last_group(_packets(again, video, streams), video, begin)


def _last_group(packets: Iterator[Any], video: VideoStream, begin: Fraction) -> Iterator[Any]:
    """Drop the groups of pictures that end before `begin`; nothing is left if the video does."""
    group: list[av.Packet] = []
    usual = 1 / Fraction(frame_rate(video)) / (video.time_base or 1)  # if a packet does not state its duration
    for packet in packets:
        is_video = packet.stream.index == video.index
        if is_video and packet.is_keyframe and _time(packet) <= begin:
            group = []
        group.append(packet)
        if is_video and _time(packet) + (packet.duration or usual) * packet.time_base > begin:
            yield from group
            yield from packets
            return


def _packets(source: InputContainer, video: Stream, streams: list[Stream]) -> Iterator[Any]:
    """Yield packets with times, from the first key frame on."""
    timed = (packet for packet in source.demux(streams) if packet.size and packet.pts is not None)
    return dropwhile(lambda packet: packet.stream.index != video.index or not packet.is_keyframe, timed)


def _time(packet: Any) -> Fraction:
    return packet.pts * packet.time_base


def _container(suffix: str, source: InputContainer) -> str:
    """FFmpeg's name of the container to write."""
    names = {".mkv": "matroska", ".ts": "mpegts", ".mts": "mpegts", ".m2ts": "mpegts", ".mpg": "mpeg", ".mpeg": "mpeg"}
    name = suffix.lower().removeprefix(".")
    return names.get(suffix.lower(), name if name in av.formats_available else source.format.name.split(",")[0])
