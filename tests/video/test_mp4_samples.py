"""Packets described by an MP4 file's own table: the same as reading all of them, or nothing."""

from pathlib import Path

import av
import numpy as np
import pytest

from side4video.video import listing
from side4video.video.container import open_container
from side4video.video.decoding import VideoFile
from side4video.video.packets import _describe, demux, indexed_packets
from video.test_video_file import DATA, ODD, decode_plainly, needs_data, rewrite, write_video

KINDS = [
    ("groups.mp4", "libx264", {"g": "10", "bf": "3"}),
    ("open-groups.mp4", "libx264", {"g": "10", "bf": "3", "flags": "-cgop", "x264-params": "open-gop=1"}),
    ("one-group.mp4", "libx264", {"g": "1000", "bf": "2"}),
    ("key-frames.mp4", "libx264", {"g": "1"}),
    ("open-groups-h265.mp4", "libx265", {"x265-params": "keyint=10:min-keyint=10:open-gop=1:log-level=none"}),
    ("av1.mp4", "libsvtav1", {"g": "10", "svtav1-params": "lp=1"}),
    ("groups.mov", "mpeg4", {"g": "10", "bf": "2"}),
]


def index_of(path):
    with open_container(path) as container:
        return indexed_packets(path, container, container.streams.best("video"))


def packets_of(path):
    with open_container(path) as container:
        stream = container.streams.best("video")
        return [_describe(packet, stream.codec_context.name) for packet in demux(container, stream)]


def bytes_read(work):
    def count():
        return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])

    before = count()
    work()
    return count() - before


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_the_index_describes_every_packet_as_reading_does(tmp_path, name, codec, options):
    path = write_video(tmp_path / name, codec=codec, **options)
    found = index_of(path)
    assert found is not None
    assert found == packets_of(path)


def test_irregular_times_are_those_of_the_packets(tmp_path):
    source = write_video(tmp_path / "regular.mp4", g="10", bf="2")

    def later(number, packet):
        packet.pts += number // 7 * 300
        packet.dts += number // 7 * 300
        return bytes(packet)

    path = rewrite(source, tmp_path / "irregular.mp4", later)
    found = index_of(path)
    assert found == packets_of(path)
    assert len(set(np.diff(sorted(packet.time for packet in found)))) > 1


@needs_data
@pytest.mark.parametrize("name", [entry["name"] for entry in ODD])
def test_odd_files_have_the_same_packets_or_no_index(name):
    path = DATA / "odd" / name
    try:
        found = index_of(path)
    except (av.FFmpegError, AttributeError):  # no video that FFmpeg reads
        return
    if found is not None:
        assert found == packets_of(path)


@needs_data
def test_most_odd_mp4_files_have_an_index():
    names = ("mmaction2__part_0.mp4", "media__h265_with_metadata_track.mp4", "media__sample_sef_slow_motion.mp4")
    assert all(index_of(DATA / "odd" / name) for name in names)
    assert index_of(DATA / "odd/media__fragmented_captions.mp4") is None


@pytest.mark.parametrize(("name", "codec"), [("groups.mkv", "libx264"), ("plain.avi", "mpeg4"), ("a.ts", "libx264")])
def test_other_containers_have_none(tmp_path, name, codec):
    assert index_of(write_video(tmp_path / name, codec=codec)) is None


def test_a_fragmented_file_has_none(tmp_path):
    path = tmp_path / "fragments.mp4"
    with (
        av.open(str(write_video(tmp_path / "whole.mp4", g="10"))) as reading,
        av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as writing,
    ):
        stream = writing.add_stream_from_template(reading.streams.video[0])
        for packet in reading.demux(video=0):
            if packet.size:
                packet.stream = stream
                writing.mux(packet)
    assert len(packets_of(path)) == 60
    assert index_of(path) is None


def test_a_truncated_file_is_read_through(tmp_path):
    path = write_video(tmp_path / "clip.mp4", g="10")  # its table is at the front
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    assert index_of(path) is None
    assert 0 < len(packets_of(path)) < 60


def test_a_table_that_does_not_fit_the_packets_is_not_used(tmp_path):
    path = write_video(tmp_path / "clip.mp4", g="10", bf="2")
    content = bytearray(path.read_bytes())
    place = content.index(b"ctts") + 12  # the first run: number of packets, offset
    for shift in range(0, 400, 8):  # every offset one tick later, except the first
        if shift and content[place + shift - 4 : place + shift] == b"\0\0\0\x01":
            content[place + shift + 3] ^= 1
    path.write_bytes(content)
    found = index_of(path)
    assert found is None or found == packets_of(path)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 64, b"\0\0\0\x08moov" * 2, b"\0\0\0\x01moov" + b"\xff" * 8])
def test_files_that_are_no_mp4_have_no_table(tmp_path, garbage):
    from side4video.video.mp4_samples import read_sample_table

    (tmp_path / "a.mp4").write_bytes(garbage)
    assert read_sample_table(tmp_path / "a.mp4", 1) is None


def test_opening_a_long_film_does_not_read_its_pictures(tmp_path, monkeypatch):
    path = write_video(tmp_path / "film.mp4", num_frames=3000, g="50", preset="ultrafast", crf="1")
    size = path.stat().st_size
    by_index = bytes_read(lambda: VideoFile(path).close())
    monkeypatch.setattr(listing, "INDEXED_FROM_FRAMES", 10**9)
    by_reading = bytes_read(lambda: VideoFile(path).close())
    assert by_reading > size > 3 * by_index


def test_frames_of_a_film_that_was_not_read_through(tmp_path):
    path = write_video(tmp_path / "film.mp4", num_frames=1200, g="50", bf="3", preset="ultrafast")
    wanted = [0, 1, 599, 600, 1199]
    expected = decode_plainly(path, set(wanted))
    read = VideoFile(path).read(wanted)
    for place, number in enumerate(wanted):
        assert np.array_equal(read[place].permute(1, 2, 0).numpy(), expected[number])
