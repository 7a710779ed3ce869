"""Videos with text tracks, written by FFmpeg through PyAV."""

import io
from fractions import Fraction

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

SRT = """1
00:00:00,500 --> 00:00:01,200
<i>Hello</i> &amp; {\\an8}welcome,
said <b>the dog

2
00:00:01,400 --> 00:00:01,900
A cat sleeps.
"""
ASS_HEADER = b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
MILLISECONDS = Fraction(1, 1000)


def add_pictures(out, *, starts_at=0.0, codec="mpeg4"):
    """Two seconds of grey, with a key frame each second."""
    video = out.add_stream(codec, rate=10, options={"g": "10"})
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"

    def write():
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24")
            frame.pts = number + round(10 * starts_at)
            out.mux(video.encode(frame))
        out.mux(video.encode())

    return write


def write_matroska(path, *tracks, starts_at=0.0, codec="mpeg4"):
    """A video with text tracks that are copied from SubRip; `tracks` are pairs of a text and a language."""
    with av.open(str(path), "w") as out:
        write_pictures = add_pictures(out, starts_at=starts_at, codec=codec)
        sources = [av.open(io.BytesIO(text.encode()), format="srt") for text, _ in tracks]
        copies = [out.add_stream_from_template(source.streams.subtitles[0]) for source in sources]
        for copy, (_, language) in zip(copies, tracks, strict=True):
            copy.metadata["language"] = language
        write_pictures()
        for source, copy in zip(sources, copies, strict=True):
            for packet in source.demux():
                if packet.size:
                    packet.pts += round(starts_at / packet.time_base)
                    packet.dts, packet.stream = packet.pts, copy
                    out.mux(packet)
            source.close()
    return path


def write_mp4(path, *cues):
    """A video with an English track of mov_text; `cues` are start and end in milliseconds, and a line of ASS."""
    with av.open(str(path), "w") as out:
        write_pictures, track = add_pictures(out), out.add_stream("mov_text")
        track.codec_context.subtitle_header = ASS_HEADER
        track.time_base = track.codec_context.time_base = MILLISECONDS
        track.metadata["language"] = "eng"
        write_pictures()
        for start, end, text in cues:
            packet = track.codec_context.encode_subtitle(SubtitleSet.create(text, 0, end - start, 1000 * start))
            packet.stream, packet.time_base, packet.duration = track, MILLISECONDS, end - start
            packet.pts = packet.dts = start
            out.mux(packet)
    return path
