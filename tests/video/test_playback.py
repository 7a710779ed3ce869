"""What a browser gets of a video: the file if it plays it, otherwise H.264 of the requested part; and pictures."""

import math
from fractions import Fraction

import av
import numpy as np
import pytest

from side4video.video.playback import browser_type, is_video_container, picture_at, write_clip
from side4video.video.video_error import VideoError


def write(path, *, codec, pixels="yuv420p", seconds=2, size=(64, 48), aspect=None, fps=10):
    """Grey level 20 * n in second n, a white band along the top."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for index in range(seconds * fps):
            picture = np.full((size[1], size[0], 3), index // fps * 20, np.uint8)
            picture[: size[1] // 4] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(float(frame.pts * stream.time_base), frame) for frame in container.decode(stream)]
        return stream.codec_context.codec.canonical_name, frames


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "expected"),
    [
        ("a.mp4", "libx264", "yuv420p", "video/mp4"),
        ("a.mov", "libx264", "yuv420p", "video/mp4"),
        ("a.webm", "libvpx-vp9", "yuv420p", "video/webm"),
        ("a.mkv", "libx264", "yuv420p", None),
        ("a.mp4", "libx264", "yuv444p", None),
        ("a.mp4", "mpeg4", "yuv420p", None),
        ("a.avi", "libx264", "yuv420p", None),
        ("a.mpg", "mpeg2video", "yuv420p", None),
    ],
)
def test_browsers_play_some_files_directly(tmp_path, name, codec, pixels, expected):
    path = write(tmp_path / name, codec=codec, pixels=pixels)
    assert browser_type(path) == expected
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=1)
    assert browser_type(tmp_path / "clip.mp4") == "video/mp4"


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mpg", "mpeg2video"), ("a.mkv", "libx264")])
def test_a_clip_has_the_frames_of_its_part(tmp_path, name, codec):
    path = write(tmp_path / name, codec=codec, seconds=8, fps=25 if name == "a.mpg" else 10)
    write_clip(path, tmp_path / "clip.mp4", start_seconds=3, end_seconds=6.5)
    codec, frames = read(tmp_path / "clip.mp4")
    assert codec == "h264"
    fps = 25 if name == "a.mpg" else 10
    num_frames = math.ceil(3.5 * fps)
    assert frames[0][0] == pytest.approx(0, abs=0.002)
    assert frames[-1][0] == pytest.approx((num_frames - 1) / fps, abs=0.002)
    for time, frame in frames:
        shown = frame.to_ndarray(format="rgb24")
        assert shown[24:].mean() == pytest.approx(20 * int(3 + time + 0.002), abs=3)
        assert shown[:10].mean() > 240
    assert len(frames) == num_frames


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    ("start", "end", "levels", "seconds"),
    [(12, 18, [20], 6), (20, 29, [40], 9), (5, 22, [20, 40], 12), (72, 95, [140], 8), (80.5, 90, None, 0)],
)
def test_a_clip_of_a_slow_video_shows_its_pictures_for_their_time(tmp_path, name, start, end, levels, seconds):
    """A slide show: eight pictures of ten seconds. If none begins in the part, the one on screen is shown."""
    path, clip = tmp_path / name, tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(1, 10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            picture = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    if levels is None:
        with pytest.raises(VideoError, match="no frame from"):
            write_clip(path, clip, start_seconds=start, end_seconds=end)
        return
    write_clip(path, clip, start_seconds=start, end_seconds=end)
    _, frames = read(clip)
    assert [frame.to_ndarray(format="rgb24").mean() for _, frame in frames] == pytest.approx(levels, abs=3)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        shown = max(packet.pts + packet.duration for packet in packets) - min(packet.pts for packet in packets)
        assert float(shown * packets[0].time_base) == pytest.approx(seconds, abs=0.01)


def test_non_square_pixels_become_square(tmp_path):
    path = write(tmp_path / "a.mkv", codec="libx264", size=(72, 48), aspect=Fraction(16, 9))
    assert picture_at(path, 0.5).size == (128, 48)
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=1)
    _, frames = read(tmp_path / "clip.mp4")
    assert (frames[0][1].width, frames[0][1].height) == (128, 48)


def test_large_frames_are_scaled_down(tmp_path):
    path = write(tmp_path / "a.mp4", codec="libx264", size=(640, 96))
    assert picture_at(path, 0).size == (480, 72)
    assert picture_at(path, 0, largest_side=100).size == (100, 16)
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=1, largest_side=320)
    _, frames = read(tmp_path / "clip.mp4")
    assert (frames[0][1].width, frames[0][1].height) == (320, 48)


def test_rotated_videos_are_shown_upright(tmp_path):
    write(tmp_path / "lying.mp4", codec="libx264")
    with av.open(str(tmp_path / "lying.mp4")) as source, av.open(str(tmp_path / "turned.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    upright = picture_at(tmp_path / "turned.mp4", 0)
    lying = np.asarray(picture_at(tmp_path / "lying.mp4", 0)).astype(int)
    assert upright.size == (48, 64)
    assert abs(np.asarray(upright).astype(int) - np.rot90(lying)).mean() < 2


@pytest.mark.parametrize("seconds", [0, 0.95, 1.0, 1.95, 50])
def test_a_picture_shows_its_time(tmp_path, seconds):
    path = write(tmp_path / "a.mkv", codec="libx264", seconds=2)
    level = np.asarray(picture_at(path, seconds))[24:].mean()
    assert level == pytest.approx(20 if seconds >= 1 else 0, abs=3)


def test_unreadable_videos_raise_video_errors(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    good = write(tmp_path / "good.mp4", codec="libx264")
    for call in (browser_type, lambda path: picture_at(path, 0)):
        with pytest.raises(VideoError):
            call(tmp_path / "text.mp4")
    with pytest.raises(VideoError, match="no frame from 5 to 6"):
        write_clip(good, tmp_path / "out.mp4", start_seconds=5, end_seconds=6)
    assert not list(tmp_path.glob("*out*"))
    assert is_video_container(good)
    assert not is_video_container(tmp_path / "text.mp4")
    assert not is_video_container(tmp_path / "list.m3u8")
    assert not is_video_container(tmp_path / "nothing.mp4")
