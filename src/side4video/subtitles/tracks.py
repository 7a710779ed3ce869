"""Text tracks inside a video file."""

from collections.abc import Iterator
from pathlib import Path

from av.container import InputContainer
from av.subtitles.stream import SubtitleStream

from side4video.subtitles.cues import Cue, plain_text
from side4video.video.container import open_container, video_stream
from side4video.video.open_file import first_frame_seconds

_TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
"""FFmpeg's names of the codecs of text tracks. Others, such as those of DVDs, store pictures of text."""
_ASS_FIELDS = 8
"""Fields before the text in FFmpeg's form of a decoded cue."""
_NO_LANGUAGE = {"und", "unk"}


def read_tracks(path: Path) -> list[Cue]:
    """The cues of all text tracks of a video file, in the order of their times; none if it has no such track.

    The file is read to its end if it has one.

    Raises:
        av.FFmpegError, OSError, ValueError: FFmpeg cannot read the file.

    >>> read_tracks(Path("clip.mp4"))
    []
    """
    with open_container(path) as container:
        streams = [
            stream
            for stream in container.streams.subtitles
            if stream.codec_context and stream.codec_context.codec.canonical_name in _TEXT_CODECS
        ]
        if not streams:
            return []
        video = video_stream(container)
        begins = float(first_frame_seconds(path)) if video and video.codec_context else 0.0
        return sorted(set(_read(container, streams, begins)))


def _read(container: InputContainer, streams: list[SubtitleStream], begins: float) -> Iterator[Cue]:
    for packet in container.demux(streams):
        if packet.pts is None or packet.time_base is None or not packet.size:
            continue
        start = float(packet.pts * packet.time_base) - begins
        end = start + float((packet.duration or 0) * packet.time_base)
        language = str(packet.stream.metadata.get("language", ""))
        for decoded in packet.decode():
            text = plain_text(_text(getattr(decoded, "ass", b"")))
            if text and end > 0:
                yield Cue(max(start, 0.0), end, text, "" if language in _NO_LANGUAGE else language)


def _text(ass: bytes) -> str:
    """The text of a decoded cue: its last field, which may contain commas."""
    return ass.decode("utf-8", "replace").split(",", _ASS_FIELDS)[-1]
