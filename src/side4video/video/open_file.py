"""A video file that is open for decoding: from its beginning, or in runs that start at key frames."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from side4video.video import packets
from side4video.video.container import open_container, video_stream
from side4video.video.frame_table import FrameTable
from side4video.video.video_cache import FileKey, VideoCache, file_key
from side4video.video.video_error import VideoError


class OpenFile:
    """Opens a file when it is first needed, and again after it was closed.

    >>> file = OpenFile(Path("clip.mp4"))
    >>> sum(1 for _ in file.decode_all())
    24
    >>> file.close()

    Args:
        path: Any file that FFmpeg reads; its best video stream is used.
        cache: Remembers the file's table and keeps the file open after `keep`.
    """

    def __init__(self, path: Path, cache: VideoCache | None = None) -> None:
        self.path = path
        self._cache = cache
        self._key: FileKey | None = None
        self._container: InputContainer | None = None

    def find_table(self, list_file: Callable[[], FrameTable]) -> FrameTable:
        """The frame table from the cache, or from `list_file`."""
        if self._cache is None:
            return list_file()
        self._key = file_key(self.path)
        return self._cache.table(self._key, list_file)

    def keep(self) -> None:
        """Leave the file open in the cache, or close it without one."""
        if self._container is not None and self._cache is not None and self._key is not None:
            self._cache.give_open(self._key, self._container)
            self._container = None
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def rewind(self) -> tuple[InputContainer, VideoStream]:
        """Open the file again, since seeking to its beginning is not exact in every container.

        Raises:
            VideoError: The file has no video stream, or its codec is not supported.
        """
        self.close()
        self._container = open_container(self.path)
        stream = video_stream(self._container)
        if stream is None:
            has_audio, has_cover = len(self._container.streams.audio) > 0, len(self._container.streams.video) > 0
            only = f", only audio{' and a cover picture' * has_cover}" if has_audio else ""
            raise VideoError(
                self.path, f"the file has no video stream{only}.", "audio-only" if has_audio else "no-frames"
            )
        if not stream.codec_context:
            raise VideoError(self.path, "the installed PyAV does not support its video codec.")
        stream.codec_context.thread_type = "SLICE"  # frame threads can hang when decoding stops early
        stream.codec_context.thread_count = 1  # loader processes already share the cores
        return self._container, stream

    def opened(self) -> tuple[InputContainer, VideoStream]:
        """Return the file at its current position, before a seek: opening takes as long as decoding several frames."""
        if self._container is None and self._cache is not None and self._key is not None:
            self._container = self._cache.take_open(self._key)
        if self._container is None:
            return self.rewind()
        stream = video_stream(self._container)
        assert stream is not None
        return self._container, stream

    def decode_all(self) -> Iterator[av.VideoFrame]:
        """Decode all frames from the beginning, in display order."""
        container, stream = self.rewind()
        return packets.decode(packets.demux(container, stream), stream)

    def decode_runs(
        self, runs: Iterable[tuple[int | None, set[int]]], *, every_picture: bool = False
    ) -> Iterator[av.VideoFrame]:
        """Yield the wanted frames of each run of `packets.group_runs` in display order; `every_picture`: skip none."""
        for key, wanted in runs:
            found: set[int] = set()
            container, stream = self.rewind() if key is None else self.opened()
            compressed = packets.demux(container, stream)
            if key is not None:
                container.seek(key, stream=stream)
                compressed = packets.start_at_key(compressed, key)
            if not every_picture:
                compressed = packets.skip_unwanted(compressed, stream, wanted)
            for frame in packets.decode(compressed, stream):
                if frame.pts in wanted:
                    found.add(frame.pts)
                    yield frame
                if wanted <= found:
                    break


def first_frame_seconds(path: Path) -> Fraction:
    """When the first frame is shown on the file's own clock; all other times in this package count from it.

    The start that a header states may be that of a packet without a frame, or of decoding.

    >>> first_frame_seconds(Path("clip.mp4"))
    Fraction(0, 1)

    Raises:
        VideoError: The file has no video stream, or its codec is not supported.
        av.FFmpegError, OSError, ValueError: FFmpeg cannot read the file.
    """
    file = OpenFile(path)
    try:
        container, stream = file.rewind()
        frame = next(packets.decode(packets.demux(container, stream), stream), None)
        time = stream.start_time if frame is None or frame.pts is None else frame.pts
        return (time or 0) * Fraction(stream.time_base or 0)
    finally:
        file.close()
