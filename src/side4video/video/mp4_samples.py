"""The sample tables of MP4 and QuickTime files, which describe every packet without the packets being read.

Layout of the boxes: ISO/IEC 14496-12, sections 8.6.1 and 8.7.3. FFmpeg keeps most of it in its index, but not the
offsets from decoding to display times.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from side4video.video.file_access import open_bytes

_LARGEST_HEADER = 2**28  # bytes; a film of a day has 30 MB


class SampleTable(NamedTuple):
    """The packets of one track, in decoding order; all arrays have the same length.

    Attributes:
        sizes: in bytes.
        durations: differences of decoding times, in units of the track.
        offsets: display time minus decoding time, in units of the track.

    >>> read_sample_table(Path("clip.mp4"), track=1).sizes.shape
    (24,)
    """

    sizes: NDArray[np.int64]
    durations: NDArray[np.int64]
    offsets: NDArray[np.int64]


def read_sample_table(path: Path, track: int) -> SampleTable | None:
    """The sample table of the track with this number; None if the file has none that is complete (as when fragmented).

    Raises:
        OSError: the file cannot be read.
    """
    with open_bytes(path) as file:
        header = _only_header(file)
    try:
        return None if header is None else _find_table(header, track)
    except (struct.error, ValueError, IndexError):  # corrupt
        return None


def _only_header(file: BinaryIO) -> bytes | None:
    """The content of the only `moov` box; None if there are several, or fragments."""
    header, position, end = None, 0, file.seek(0, 2)
    while position + 16 <= end:
        file.seek(position)
        size, kind, large = struct.unpack(">I4sQ", file.read(16))
        start = position + (16 if size == 1 else 8)
        size = {0: end - position, 1: large}.get(size, size)
        if kind == b"moof" or position + size < start:
            return None
        if kind == b"moov":
            if header is not None or size > _LARGEST_HEADER:
                return None
            file.seek(start)
            header = file.read(position + size - start)
        position += size
    return header


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        if size < 8 or position + size > len(content):
            return
        yield kind, content[position + 8 : position + size]
        position += size


def _find_table(header: bytes, track: int) -> SampleTable | None:
    for kind, content in _boxes(header):
        if kind == b"mvex":
            return None
        boxes = dict(_boxes(content)) if kind == b"trak" else {}
        if b"tkhd" in boxes and _track_number(boxes[b"tkhd"]) == track:
            for name in (b"mdia", b"minf", b"stbl"):
                boxes = dict(_boxes(boxes.get(name, b"")))
            return _read_table(boxes)
    return None


def _track_number(content: bytes) -> int:
    return int(struct.unpack_from(">I", content, 20 if content[0] == 1 else 12)[0])


def _read_table(boxes: dict[bytes, bytes]) -> SampleTable | None:
    if not {b"stsz", b"stts"} <= boxes.keys():
        return None
    size, number = struct.unpack_from(">II", boxes[b"stsz"], 4)
    if size:  # no frames of a film have one size
        return None
    sizes = np.frombuffer(boxes[b"stsz"], ">u4", number, 12)
    durations = _expand(boxes[b"stts"])
    offsets = _expand(boxes[b"ctts"]) if b"ctts" in boxes else np.zeros(number, np.int64)
    if not len(sizes) == len(durations) == len(offsets):
        return None
    return SampleTable(sizes.astype(np.int64), durations, offsets)


def _expand(content: bytes) -> NDArray[np.int64]:
    """The values of a table of runs: pairs of a number of samples, and their signed value."""
    (entries,) = struct.unpack_from(">I", content, 4)
    runs = np.frombuffer(content, ">i4", 2 * entries, 8).reshape(-1, 2).astype(np.int64)
    if (runs[:, 0] < 0).any() or runs[:, 0].sum() > _LARGEST_HEADER:
        raise ValueError("a run of samples is too long")
    return np.repeat(runs[:, 1], runs[:, 0])
