"""What the compressed packets of a video stream tell: which frames there are, and where decoding can start.

Times here are display times in the stream's time base.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

_STORE_DISPLAY_TIMES = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_SEEK_KEY_FRAMES = (*_STORE_DISPLAY_TIMES, "avi")
_SKIPPING_DECODERS = ("h264",)  # in HEVC such pictures may still be referred to from a higher temporal layer
_NO_PICTURE_BYTES = 20  # an MPEG-4 packet below this repeats a picture; the decoder may give no frame for it


@dataclass(frozen=True)
class Packet:
    """What a compressed packet says before it is decoded.

    Attributes:
        time: When its frame is displayed; None: not said.
        is_key: Decoding can start here.
        is_shown: It gives a frame; not so before the start mark of an edited file, and for VP8's hidden pictures.
        num_bytes: Its size.
    """

    time: int | None
    is_key: bool
    is_shown: bool
    num_bytes: int


@dataclass(frozen=True)
class ContainerFacts:
    """What a file holds, and what its header says of that; where the two differ it was cut off.

    Attributes:
        names: FFmpeg's names of the container, such as ("matroska", "webm").
        num_packets: Compressed pictures that came out of it.
        num_listed: Those that the header speaks of; 0: it does not.
        seconds: The last of their display times, counted from the first or from 0, whichever is earlier; None: not
            known. Lengths in headers are of both kinds where a file is a piece of another and starts late.
        listed_seconds: The length in the header; None: not said, or perhaps that of the sound.
    """

    names: tuple[str, ...]
    num_packets: int
    num_listed: int
    seconds: float | None
    listed_seconds: float | None


def demux(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[av.Packet]:
    """The stream's packets in file order; a file that breaks off ends there."""
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            if packet.size:  # the decoder would take an empty packet for the end
                yield packet


def decode(packets: Iterable[av.Packet], stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The frames of `packets` in display order; a packet that cannot be decoded gives none."""
    for packet in packets:
        frames: list[av.VideoFrame] = []
        with suppress(av.FFmpegError):
            frames = stream.codec_context.decode(packet)
        yield from frames
    with suppress(av.FFmpegError):
        yield from stream.codec_context.decode(None)  # what the decoder still holds back


def scan(container: InputContainer, stream: VideoStream) -> tuple[av.VideoFrame | None, list[Packet]]:
    """The first frame that can be decoded, and a description of every packet; only few are decoded for it."""
    described: list[Packet] = []

    def describe_each() -> Iterator[av.Packet]:
        for packet in demux(container, stream):
            described.append(_describe(packet, stream.codec_context.name))
            yield packet

    packets = describe_each()
    frame = next(decode(packets, stream), None)
    for _ in packets:
        pass
    return frame, described


def container_facts(container: InputContainer, stream: VideoStream, packets: Sequence[Packet]) -> ContainerFacts:
    """What `scan` found of a file beside what its header says."""
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
    """The time of each frame in display order; None where packets do not stand for frames.

    They do not where times are missing or repeated; where the file starts inside a group of pictures; where MPEG-4
    packets hold no picture; and where frames are reordered in a container without display times (as in UCF101's AVIs).
    """
    known = [packet.time for packet in packets if packet.time is not None]
    if len(set(known)) < len(packets) or not packets[0].is_key or packets[0].time != min(known):
        return None
    if "mpeg4" in stream.codec_context.name and min(packet.num_bytes for packet in packets) < _NO_PICTURE_BYTES:
        return None
    if stream.codec_context.has_b_frames and container.format.name not in _STORE_DISPLAY_TIMES:
        return None
    return sorted(packet.time for packet in packets if packet.is_shown and packet.time is not None)


def key_times(packets: Sequence[Packet], container: InputContainer) -> list[int]:
    """Sorted times of the key frames; none where the container does not find them again."""
    if container.format.name not in _SEEK_KEY_FRAMES:
        return []
    return sorted(packet.time for packet in packets if packet.is_key and packet.time is not None)


def group_runs(times: Sequence[int], keys: Sequence[int]) -> list[tuple[int | None, set[int]]]:
    """Sorted display times in runs that are decoded in one go, each with the key frame to start at.

    A new run starts with each group of pictures that holds wanted frames: the rest of the group before it is left out.
    Example: times 0, 3, 12, 35 and key frames at 0, 10, 20, 30 give [(0, {0, 3}), (10, {12}), (30, {35})]. None stands
    for the beginning of the file where there is no key frame before a time.
    """
    runs: list[tuple[int | None, set[int]]] = []
    for time in times:
        group = bisect_right(keys, time) - 1
        key = keys[group] if group >= 0 else None
        if not runs or key != runs[-1][0]:
            runs.append((key, set()))
        runs[-1][1].add(time)
    return runs


def skipping_unwanted(packets: Iterable[av.Packet], stream: VideoStream, wanted: set[int]) -> Iterator[av.Packet]:
    """`packets`, with the decoder told to leave out pictures that are not wanted and that no other picture refers to.

    That is about half of an H.264 file as encoders make them by default. The other pictures are the same to the bit.
    """
    decoder = stream.codec_context
    for packet in packets:
        if decoder.name in _SKIPPING_DECODERS:
            decoder.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield packet


def starting_at_key(packets: Iterator[av.Packet], key: int) -> Iterator[av.Packet]:
    """`packets`, or none of them if they start behind the time `key` or not with a key frame."""
    first = next(packets, None)
    if first is not None and first.is_keyframe and first.pts is not None and first.pts <= key:
        yield first
        yield from packets


def _describe(packet: av.Packet, codec: str) -> Packet:
    # A VP8 packet may hold a picture that is only referred to: bit 4 of its first byte tells (RFC 6386, section 9.1).
    is_hidden = packet.is_discard or (codec == "vp8" and not memoryview(packet)[0] & 0x10)
    return Packet(packet.pts, packet.is_keyframe, not is_hidden, packet.size)
