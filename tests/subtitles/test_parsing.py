"""SubRip and WebVTT texts, as programs and people write them; FFmpeg's reader is the yardstick for plain ones."""

import io

import av
import pytest

from side4video.subtitles.cues import Cue
from side4video.subtitles.parsing import parse_subtitles


def read(text):
    return [(round(cue.start_seconds, 3), round(cue.end_seconds, 3), cue.text) for cue in parse_subtitles(text)]


PLAIN = {
    "srt": "1\n00:00:01,000 --> 00:00:02,500\nOne\n\n2\n01:02:03,004 --> 01:02:04,000\nTwo\nlines\n",
    "webvtt": "WEBVTT - a title\n\nNOTE not shown\n\nfirst\n00:01.000 --> 00:02.500 align:start\nOne\n\n"
    "01:02:03.004 --> 01:02:04.000\nTwo\nlines\n",
}


@pytest.mark.parametrize("form", PLAIN)
def test_plain_texts_equal_ffmpeg(form):
    with av.open(io.BytesIO(PLAIN[form].encode()), format=form) as container:
        packets = [packet for packet in container.demux() if packet.size]
        expected = [
            (
                float(packet.pts * packet.time_base),
                float((packet.pts + packet.duration) * packet.time_base),
                " ".join(bytes(packet).decode().split()),
            )
            for packet in packets
        ]
    assert read(PLAIN[form]) == expected
    assert len(expected) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\n0:01,5 --> 0:02\nno hours, few digits\n", [(1.5, 2, "no hours, few digits")]),
        ("00:00:01.000 --> 00:00:02.000\npoint, no number\n", [(1, 2, "point, no number")]),
        ("1\r\n00:00:01,000 --> 00:00:02,000\r\nreturns\r\n\r\n", [(1, 2, "returns")]),
        ("1\r00:00:01,000 --> 00:00:02,000\rold\r", [(1, 2, "old")]),
        ("2\n00:00:05,000 --> 00:00:06,000\nb\n\n1\n00:00:01,000 --> 00:00:02,000\na\n", [(1, 2, "a"), (5, 6, "b")]),
        ("1\n00:00:01,000 --> 00:00:04,000\na\n\n2\n00:00:02,000 --> 00:00:03,000\nb\n", [(1, 4, "a"), (2, 3, "b")]),
        ("1\n00:00:01,000 --> 00:00:02,000\na\n2\n00:00:03,000 --> 00:00:04,000\nb", [(1, 2, "a"), (3, 4, "b")]),
        (
            "1\n00:00:01,000 --> 00:00:02,000\na\n\nb\n\n2\n00:00:03,000 --> 00:00:04,000\nc",
            [(1, 2, "a b"), (3, 4, "c")],
        ),
        ("1\n00:00:02,000 --> 00:00:01,000\nreversed\n", [(2, 2, "reversed")]),
        ("1\n00:00:01,000 --> 00:00:02,000\n\n", []),
        ("1\n00:00:01,000 --> 00:00:02,000 X1:40 X2:600\n42\n\n", [(1, 2, "42")]),
        (
            "WEBVTT\n\nSTYLE\n::cue {color: red}\n\n1\n00:01.000 --> 00:02.000\n<v Ann>Hi <00:01.500>you</v>",
            [(1, 2, "Hi you")],
        ),
        (
            "WEBVTT\n\n00:01.000 --> 00:02.000\na\n\nNOTE\nnot this\n\n00:03.000 --> 00:04.000\nb",
            [(1, 2, "a"), (3, 4, "b")],
        ),
        ("1\n00:00:01,000 --> 00:00:02,000\n3 < 4 and <font color=red>red</font> &lt;3", [(1, 2, "3 < 4 and red <3")]),
        ("no subtitles at all -->", []),
        ("", []),
    ],
)
def test_unusual_texts(text, expected):
    assert read(text) == expected
    assert read("\ufeff" + text) == expected


def test_the_language_is_kept():
    assert parse_subtitles("0:01 --> 0:02\na", language="pt-BR") == [Cue(1, 2, "a", "pt-BR")]
