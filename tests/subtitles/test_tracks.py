"""Text tracks of real files, written by FFmpeg."""

import av
import pytest

from side4video.subtitles.tracks import read_tracks
from side4video.video.video_file import VideoFile
from subtitle_videos import SRT, write_matroska, write_mp4


def read(path):
    return [
        (round(cue.start_seconds, 3), round(cue.end_seconds, 3), cue.text, cue.language) for cue in read_tracks(path)
    ]


def test_tracks_of_matroska(tmp_path):
    german = SRT.replace("the dog", "der Hund")
    assert read(write_matroska(tmp_path / "film.mkv", (SRT, "eng"), (german, "und"))) == [
        (0.5, 1.2, "Hello & welcome, said der Hund", ""),
        (0.5, 1.2, "Hello & welcome, said the dog", "eng"),
        (1.4, 1.9, "A cat sleeps.", ""),
        (1.4, 1.9, "A cat sleeps.", "eng"),
    ]


def test_times_count_from_the_first_frame(tmp_path):
    assert read(write_matroska(tmp_path / "film.mkv", (SRT, "eng"), starts_at=5.0))[0][:2] == (0.5, 1.2)


def test_times_count_from_the_first_frame_that_can_be_decoded(tmp_path):
    """A recording that starts within a group of pictures."""
    film = write_matroska(tmp_path / "film.mkv", (SRT, "eng"), starts_at=5.0, codec="libx264")
    cut = tmp_path / "cut.mkv"
    with av.open(str(film)) as source, av.open(str(cut), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        packets = [packet for packet in source.demux() if packet.size]
        video = [packet for packet in packets if packet.stream.type == "video"]
        for packet in packets[packets.index(video[5]) :]:
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    with VideoFile(cut) as shown, av.open(str(cut)) as container:
        first = next(frame.time for frame in container.decode(video=0))
        assert shown.num_frames < len(video[5:]), "the first packets cannot be decoded"
    assert read(cut)[-1][0] == pytest.approx(5 + 1.4 - first, abs=1e-3)


def test_track_of_mp4(tmp_path):
    cues = (
        (500, 1200, b"0,0,Default,,0,0,0,,{\\i1}Hello{\\i0}, the dog\\Nbarks"),
        (1400, 1900, b"1,0,Default,,0,0,0,,A cat"),
    )
    assert read(write_mp4(tmp_path / "film.mp4", *cues)) == [
        (0.5, 1.2, "Hello, the dog barks", "eng"),
        (1.4, 1.9, "A cat", "eng"),
    ]


def test_files_without_tracks_and_files_that_are_no_videos(tmp_path, make_video):
    assert read_tracks(make_video(tmp_path / "plain.mp4", range(0, 200, 20))) == []
    (tmp_path / "film.mp4").write_bytes(b"no video")
    with pytest.raises((OSError, ValueError)):
        read_tracks(tmp_path / "film.mp4")
