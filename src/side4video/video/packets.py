"""Frame times and key frames of a video stream, read from its compressed packets.

Times here are display times in the stream's time base.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from side4video.video.file_access import state_of
from side4video.video.mp4_samples import read_sample_table

_STORE_DISPLAY_TIMES = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_SEEK_KEY_FRAMES = (*_STORE_DISPLAY_TIMES, "avi")
_SKIPPING_DECODERS = ("h264",)  # in HEVC a higher temporal layer may still refer to such pictures
_NO_PICTURE_BYTES = 20  # a smaller MPEG-4 packet repeats a picture; the decoder may output no frame for it


class Packet(NamedTuple):
    """Properties of a compressed packet that are known before decoding.

    Attributes:
        time: When its frame is displayed; None: not stated.
        is_key: Decoding can start here.
        is_shown: It yields a frame. False before the start mark of an edited file, and for VP8's hidden pictures.
        num_bytes: Its size.

    >>> Packet(time=512, is_key=True, is_shown=True, num_bytes=1840).is_key
    True
    """

    time: int | None
    is_key: bool
    is_shown: bool
    num_bytes: int


@dataclass(frozen=True)
class ContainerFacts:
    """What a file contains and what its header states; if the two differ, the file is truncated.

    Attributes:
        names: FFmpeg's names of the container, such as ("matroska", "webm").
        num_packets: Compressed pictures read from the file.
        num_listed: Compressed pictures stated in the header; 0: not stated.
        seconds: The last display time, counted from the first one or from 0, whichever is earlier; None: unknown.
            In a file that was cut from another one and starts late, headers count the length in either way.
        listed_seconds: The length stated in the header; None: not stated, or possibly the length of the audio.

    >>> from side4video.video.video_file import VideoFile
    >>> with VideoFile("clip.mp4") as video:
    ...     video.container.num_packets, video.container.num_listed, video.container.listed_seconds
    (24, 24, 2.0)
    """

    names: tuple[str, ...]
    num_packets: int
    num_listed: int
    seconds: float | None
    listed_seconds: float | None


def demux(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[av.Packet]:
    """Yield the stream's packets in file order; a truncated file ends at its last packet."""
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            if packet.size:  # an empty packet would signal the end of the stream to the decoder
                yield packet


def decode(packets: Iterable[av.Packet], stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield the frames of `packets` in display order; packets that cannot be decoded are skipped."""
    for packet in packets:
        frames: list[av.VideoFrame] = []
        with suppress(av.FFmpegError):
            frames = stream.codec_context.decode(packet)
        yield from frames
    with suppress(av.FFmpegError):
        yield from stream.codec_context.decode(None)  # frames that the decoder has buffered


def indexed_packets(path: Path, container: InputContainer, stream: VideoStream) -> list[Packet] | None:
    """Describe the packets of an MP4 or QuickTime file from its sample table, without reading them.

    FFmpeg's index has everything but display times: decoding times (after the edit list), sizes, key frames, and what
    the edit list hides. A display time is the decoding time, plus the track's offset for that packet, plus one constant
    for the whole track. Sizes and decoding times of both tables are compared packet by packet.

    Returns:
        What `scan` describes; None if the container has no such table, or if the two tables or the first and last
        packets, which are read, do not agree: fragmented or truncated files, and edit lists that drop packets.
    """
    if container.format.name != _STORE_DISPLAY_TIMES[0] or stream.codec_context.name == "vp8":
        return None
    table = read_sample_table(path, stream.id)
    entries = [] if table is None else list(stream.index_entries)
    if table is None or not entries or len(entries) != len(table.sizes):
        return None
    decoding = np.array([entry.timestamp for entry in entries])
    sizes = np.array([entry.size for entry in entries])
    ends = np.array([entry.pos for entry in entries]) + sizes
    same = (sizes == table.sizes).all() and (np.diff(decoding) == table.durations[:-1]).all()
    first = next(demux(container, stream), None)
    if not same or ends.max() > state_of(path)[0] or not sizes.all() or first is None or first.pts is None:
        return None
    times = decoding + table.offsets + (first.pts - int(decoding[0] + table.offsets[0]))
    described = [
        Packet(time, entry.is_keyframe, not entry.is_discard, entry.size)
        for time, entry in zip(times.tolist(), entries, strict=True)
    ]
    return described if _ends_like(described, container, stream) else None


def _ends_like(described: Sequence[Packet], container: InputContainer, stream: VideoStream) -> bool:
    """Whether the packets from the last key frame on are those that were `described`."""
    last = max((place for place, packet in enumerate(described) if packet.is_key), default=0)
    container.seek(described[last].time or 0, stream=stream)
    read = [_describe(packet, stream.codec_context.name) for packet in demux(container, stream)]
    return len(read) >= len(described) - last and read == list(described[-len(read) :])


def scan(
    container: InputContainer, stream: VideoStream, known: list[Packet] | None = None
) -> tuple[av.VideoFrame | None, list[Packet]]:
    """Return the first frame that can be decoded and a description of every packet; few packets are decoded.

    Args:
        container: at its beginning.
        stream: its video stream.
        known: the description, if it is known already: then only the first packets are read.
    """
    described: list[Packet] = []

    def describe_each() -> Iterator[av.Packet]:
        for packet in demux(container, stream):
            described.append(_describe(packet, stream.codec_context.name))
            yield packet

    packets = describe_each()
    frame = next(decode(packets, stream), None)
    if known is not None and described == known[: len(described)]:
        return frame, known
    for _ in packets:
        pass
    return frame, described


def container_facts(container: InputContainer, stream: VideoStream, packets: Sequence[Packet]) -> ContainerFacts:
    """Combine what `scan` found in a file with what its header states."""
    known = [packet.time for packet in packets if packet.time is not None]
    time_base = stream.time_base or 1
    listed = None
    if stream.duration is not None:
        listed = float(stream.duration * time_base)
    elif container.duration is not None and len(container.streams) == 1:
        listed = container.duration / av.time_base
    return ContainerFacts(
        names=tuple(container.format.name.split(",")),
        num_packets=len(packets),
        num_listed=stream.frames,
        seconds=float((max(known) - min(0, *known)) * time_base) if known else None,
        listed_seconds=listed,
    )


def display_times(packets: Sequence[Packet], container: InputContainer, stream: VideoStream) -> list[int] | None:
    """Return the time of each frame in display order, or None if packets do not correspond to frames.

    They do not correspond if times are missing, repeated or jump back (as in joined recordings), if the file starts
    inside a group of pictures, if MPEG-4 packets hold no picture, or if frames are reordered in a container without
    display times (as in UCF101's AVIs).
    """
    known = [packet.time for packet in packets if packet.time is not None]
    if len(set(known)) < len(packets) or not packets[0].is_key or packets[0].time != min(known):
        return None
    if "mpeg4" in stream.codec_context.name and min(packet.num_bytes for packet in packets) < _NO_PICTURE_BYTES:
        return None
    is_reordered = stream.codec_context.has_b_frames and container.format.name not in _STORE_DISPLAY_TIMES
    if is_reordered or jump_back(packets, stream):
        return None
    return sorted(packet.time for packet in packets if packet.is_shown and packet.time is not None)


def jump_back(packets: Sequence[Packet], stream: VideoStream) -> bool:
    """Whether a packet is shown before one that must be shown earlier, as in joined recordings.

    A key frame is shown after every frame that is decoded before it; without reordering, so is each frame.
    """
    latest = None
    for packet in packets:
        if latest is not None and packet.time is not None and packet.time < latest:
            if packet.is_key or not stream.codec_context.has_b_frames:
                return True
        else:
            latest = packet.time
    return False


def key_times(packets: Sequence[Packet], container: InputContainer) -> list[int]:
    """Return the sorted times of the key frames; empty if the container cannot seek to key frames."""
    if container.format.name not in _SEEK_KEY_FRAMES:
        return []
    return sorted(packet.time for packet in packets if packet.is_key and packet.time is not None)


def group_runs(times: Iterable[int], keys: Sequence[int] | NDArray[np.int64]) -> list[tuple[int | None, set[int]]]:
    """Group sorted display times into runs that are decoded in one go, each with the key frame to start at.

    Each group of pictures with wanted frames starts a new run, so that the rest of the previous group is not decoded.
    The key frame is None (the beginning of the file) for times before the first key frame.

    >>> group_runs([0, 3, 12, 35], [0, 10, 20, 30])
    [(0, {0, 3}), (10, {12}), (30, {35})]
    """
    runs: list[tuple[int | None, set[int]]] = []
    for time in times:
        group = bisect_right(keys, time) - 1
        key = int(keys[group]) if group >= 0 else None
        if not runs or key != runs[-1][0]:
            runs.append((key, set()))
        runs[-1][1].add(time)
    return runs


def skip_unwanted(packets: Iterable[av.Packet], stream: VideoStream, wanted: set[int]) -> Iterator[av.Packet]:
    """Yield `packets`; the decoder skips unwanted pictures that no other picture refers to.

    In H.264 files with the default settings of encoders these are about half of the pictures. The other pictures are
    bit-identical.
    """
    decoder = stream.codec_context
    for packet in packets:
        if decoder.name in _SKIPPING_DECODERS:
            decoder.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield packet


def start_at_key(packets: Iterator[av.Packet], key: int) -> Iterator[av.Packet]:
    """Yield `packets`, or nothing if they start after the time `key` or not with a key frame."""
    first = next(packets, None)
    if first is not None and first.is_keyframe and first.pts is not None and first.pts <= key:
        yield first
        yield from packets


def _describe(packet: av.Packet, codec: str) -> Packet:
    # A VP8 packet may hold a picture that is never shown: see bit 4 of its first byte (RFC 6386, section 9.1).
    is_hidden = packet.is_discard or (codec == "vp8" and not memoryview(packet)[0] & 0x10)
    return Packet(packet.pts, packet.is_keyframe, not is_hidden, packet.size)
