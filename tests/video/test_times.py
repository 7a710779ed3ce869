"""Times of frames and the order of frames in files whose packets do not tell them: those of a plain decode.

Served pictures and cut clips show the same frames at the same times.
"""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace

from side4video.video.container import open_container
from side4video.video.cutting import copy_clip
from side4video.video.decoding import VideoFile
from side4video.video.playback import browser_type, picture_at, write_clip
from side4video.video.video_error import VideoError
from video.test_video_file import SIZE, assert_same_frames, decode_plainly, picture, write_video

MILLISECONDS = Fraction(1, 1000)
PAUSES = [40 * number + 3000 * (number // 15) for number in range(60)]  # three seconds after every 15 frames


def write_timed(
    path: Path, times: list[int], *, codec: str = "libx264", first_picture: int = 0, **options: str
) -> Path:
    """Frames at these times, in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = MILLISECONDS
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(first_picture + number), format="rgb24")
            frame.pts, frame.time_base = time, MILLISECONDS
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def times_of_plain_decode(path: Path) -> list[float]:
    with open_container(path) as container:
        times = [frame.time for frame in container.decode(container.streams.best("video"))]
    return [time - times[0] for time in times]


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def assert_frames_of_plain_decode(video: VideoFile, path: Path) -> None:
    expected, everything = decode_plainly(path), list(range(video.num_frames))
    assert video.num_frames == len(expected)
    assert_same_frames(video.read(everything), everything, expected)
    for number, frame in enumerate(video.read_in_order(everything)):
        assert np.array_equal(frame.permute(1, 2, 0).numpy(), expected[number])


def assert_pictures_at_frame_times(video: VideoFile, path: Path) -> None:
    """A picture a moment after the time of a frame is that frame, or one that looks the same."""
    for number in (0, 5, video.num_frames // 2, video.num_frames - 1):
        expected = video.read([number])[0].permute(1, 2, 0).numpy()
        shown = np.asarray(picture_at(path, float(video.frame_seconds[number]) + 1e-4))
        assert abs(shown.astype(int) - expected).max() <= 4, f"frame {number}"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ts", {"g": "10", "bf": "2"}),
        ("a.flv", {"g": "10", "bf": "2"}),
        ("a.nut", {"g": "10", "bf": "2"}),
        ("h265.ts", {"codec": "libx265", "x265-params": "keyint=10:log-level=none"}),
        ("a.asf", {"codec": "msmpeg4", "g": "10"}),
        ("a.mkv", {"g": "10", "bf": "2"}),
        ("a.mp4", {"g": "10", "bf": "2"}),
    ],
)
def test_pauses_between_frames_are_kept(tmp_path, name, options):
    path = write_timed(tmp_path / name, PAUSES, **options)
    with VideoFile(path) as video:
        assert video.frame_seconds == pytest.approx(times_of_plain_decode(path), abs=1e-6)
        assert video.frame_seconds[-1] == pytest.approx(11.36, abs=0.13), "encoders may shift the first frame"
        assert video.average_fps == pytest.approx(60 / video.file_seconds)
        assert_pictures_at_frame_times(video, path)
    with VideoFile(path, start_seconds=3.5, end_seconds=6.5) as part:
        assert part.num_frames == 15
        assert_same_frames(part.read([0, 14]), [15, 29], decode_plainly(path))


@pytest.mark.parametrize("bf", ["0", "2"])
@pytest.mark.parametrize("start", [0, 20])
def test_joined_recordings_keep_the_order_of_their_frames(tmp_path, bf, start):
    first = write_timed(tmp_path / "1.ts", [40 * number for number in range(60)], bf=bf, g="10")
    times = [start + 40 * number for number in range(60)]
    second = write_timed(tmp_path / "2.ts", times, first_picture=100, bf=bf, g="10")
    path = join(tmp_path / "joined.ts", first, second)
    with VideoFile(path) as video:
        assert_frames_of_plain_decode(video, path)
        assert video.frame_seconds == pytest.approx([number / 25 for number in range(120)])
        for number in range(0, 120, 10):  # a search for a time may end in the other part
            shown = np.asarray(picture_at(path, number / 25 + 1e-4)).astype(int)
            assert abs(shown - video.read([number])[0].permute(1, 2, 0).numpy()).max() <= 4, f"frame {number}"
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=4.8)
    with VideoFile(tmp_path / "clip.mp4") as clip:
        assert clip.num_frames == pytest.approx(120, abs=1)
        assert all(first < second for first, second in pairwise(clip.frame_seconds))
        last = clip.read([clip.num_frames - 1])[0].permute(1, 2, 0).numpy()
    assert abs(last.astype(int) - picture(159)).mean() < 12


@pytest.mark.parametrize("rate", [10, 50])
@pytest.mark.parametrize(("name", "codec"), [("a.h264", "libx264"), ("a.hevc", "libx265")])
def test_raw_streams_have_the_frame_rate_of_their_pictures(tmp_path, rate, name, codec):
    options = {"x265-params": "keyint=10:log-level=none"} if codec == "libx265" else {"g": "10", "bf": "2"}
    path = write_video(tmp_path / name, codec=codec, fps=rate, **options)
    with VideoFile(path) as video:
        assert video.average_fps == pytest.approx(rate)
        assert_frames_of_plain_decode(video, path)
        assert_pictures_at_frame_times(video, path)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.avi", "mpeg4", {"g": "10", "bf": "2"}),
        ("b.avi", "libx264", {"g": "10", "bf": "0"}),
        ("c.avi", "libx264", {"g": "10", "bf": "2"}),
        ("a.m2v", "mpeg2video", {"g": "10", "bf": "2"}),
        ("a.m4v", "mpeg4", {"g": "10", "bf": "2"}),
        ("a.rm", "rv10", {"g": "10"}),
    ],
)
def test_pictures_and_clips_start_at_the_first_frame(tmp_path, name, codec, options):
    path = write_video(tmp_path / name, codec=codec, fps=25, **options)
    with VideoFile(path) as video:
        assert_pictures_at_frame_times(video, path)
        expected = video.read([20])[0].permute(1, 2, 0).numpy()
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0.8, end_seconds=1.6)
    with VideoFile(tmp_path / "clip.mp4") as clip:
        assert clip.num_frames == 20
        shown = clip.read([0])[0].permute(1, 2, 0).numpy()
    assert abs(shown.astype(int) - expected).mean() < 4


def test_an_avi_with_packets_without_pictures_keeps_the_times_of_the_others(tmp_path):
    """Encoders with B frames put packets without a picture after the first one of an AVI."""
    whole, path = write_video(tmp_path / "whole.avi", codec="mpeg4", fps=25, g="10", bf="2"), tmp_path / "a.avi"
    with open_container(whole) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        delays = [av.Packet(b"\0\0\1\xb6\x51") for _ in range(2)]
        for number, packet in enumerate([packets[0], *delays, *packets[1:]]):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            target.mux(packet)
    with VideoFile(path) as video:
        assert_frames_of_plain_decode(video, path)
        assert video.frame_seconds == pytest.approx([0, *(number / 25 for number in range(3, 62))])
        assert_pictures_at_frame_times(video, path)


def test_frames_near_damage_do_not_change_the_times_of_the_others(tmp_path):
    """FFmpeg returns the frames after a lost one in the wrong order."""
    whole, path = write_video(tmp_path / "whole.ts", fps=25, g="10", bf="2", num_frames=40), tmp_path / "a.ts"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            written = packet
            if number in (12, 28):
                start = bytes(packet)[: packet.size // 3]
                written = av.Packet(start + bytes(packet.size - len(start)))
                written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
            written.stream = stream
            target.mux(written)
    with VideoFile(path) as video:
        assert video.num_frames < 40
        assert video.frame_seconds[-1] == pytest.approx(39 / 25)
        assert video.frame_seconds * 25 == pytest.approx(np.round(video.frame_seconds * 25), abs=1e-3)


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        audio, cover = container.add_stream("aac", rate=48000), container.add_stream("mjpeg", rate=25)
        cover.height, cover.width = SIZE
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 48000
        container.mux([*cover.encode(None), *audio.encode(samples), *audio.encode(None)])
    assert browser_type(path) is None
    for read in (VideoFile, lambda path: picture_at(path, 0)):
        with pytest.raises(VideoError, match="no video stream, only audio and a cover picture") as error:
            read(path)
        assert error.value.fault == "audio-only"


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize(
    ("space", "limits"), [(Colorspace.ITU709, ColorRange.JPEG), (Colorspace.SMPTE170M, ColorRange.MPEG)]
)
def test_written_clips_keep_their_colours(tmp_path, space, limits, rotated):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, limits
        if rotated:
            stream.set_display_rotation(90)
        colours = np.full((*SIZE, 3), (20, 200, 60), np.uint8)
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(colours, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=space, dst_color_range=limits)))
        container.mux(stream.encode(None))
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=1)
    for written in (path, tmp_path / "clip.mp4"):
        with VideoFile(written) as video:
            assert abs(video.read([5])[0].float().mean((1, 2)).numpy() - (20, 200, 60)).max() < 4
    with open_container(tmp_path / "clip.mp4") as container:
        decoder = container.streams.video[0].codec_context
        assert (decoder.colorspace, decoder.color_range) == (Colorspace.ITU709, ColorRange.MPEG)


def test_packets_that_are_wrongly_marked_as_key_frames_start_no_picture(tmp_path):
    """FFmpeg marks every packet of a raw H.261 stream."""
    path = tmp_path / "a.h261"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h261", rate=25)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(frame.reformat(176, 144, "yuv420p")))
        container.mux(stream.encode())
    with VideoFile(path) as video:
        assert_pictures_at_frame_times(video, path)


@pytest.mark.parametrize(("name", "fps"), [("a.avi", 25), ("a.mp4", 30), ("a.mkv", 30)])
def test_a_copy_starts_at_the_key_frame_of_its_start(tmp_path, name, fps):
    path = write_video(tmp_path / name, g="10", bf="0", fps=fps, sc_threshold="0")
    with VideoFile(path) as video:
        keys = video.frame_seconds[10:50:10].tolist()
    for key in keys:
        assert copy_clip(
            path, tmp_path / f"copy{path.suffix}", start_seconds=key, end_seconds=key + 1
        ) == pytest.approx(key)
