"""Parts of files copied without encoding them again."""

import av
import numpy as np
import pytest

from side4video.video.cutting import copy_clip
from side4video.video.decoding import VideoError, VideoFile
from video.test_video_file import SIZE, decode_plainly, picture, write_video


def pictures(path):
    with VideoFile(path) as video:
        return video.read_pictures(range(video.num_frames))


@pytest.mark.parametrize(
    ("name", "bf"), [("a.mp4", "0"), ("b.mp4", "2"), ("c.mkv", "2"), ("d.mov", "0"), ("e.ts", "0")]
)
def test_a_copy_has_the_same_pictures_from_the_key_frame_on(tmp_path, name, bf):
    path = write_video(tmp_path / name, g="10", bf=bf, sc_threshold="0")
    out = tmp_path / f"copy{path.suffix}"
    assert copy_clip(path, out, start_seconds=2.3, end_seconds=4.1) == pytest.approx(2.0)
    found, expected = pictures(out), decode_plainly(path)[20:41]
    assert 21 <= len(found) <= 23, "pictures that others refer to may follow the end"
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        assert np.array_equal(one, other), number


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize("num_frames", [2, 60])
def test_a_copy_of_the_beginning_has_the_first_key_frame(tmp_path, name, num_frames):
    """FFmpeg knows no decoding times of the first packets of Matroska files with B frames."""
    path = write_video(tmp_path / name, num_frames=num_frames, g="10", bf="2", sc_threshold="0")
    out = tmp_path / f"copy{path.suffix}"
    for start in (0.0, 0.05):
        assert copy_clip(path, out, start_seconds=start, end_seconds=0.6) == 0
        assert np.array_equal(pictures(out)[0], decode_plainly(path)[0])


def test_a_recording_without_an_index_is_copied_from_the_key_frame_before_the_start(tmp_path):
    """A truncated Matroska file: FFmpeg seeks past its end, and cannot seek back to its beginning."""
    whole, path = write_video(tmp_path / "whole.mkv", g="10", bf="2", sc_threshold="0"), tmp_path / "a.mkv"
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    for start, key in ((0.5, 0.0), (1.5, 1.0)):
        assert copy_clip(path, tmp_path / "copy.mkv", start_seconds=start, end_seconds=2.0) == pytest.approx(key)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libsvtav1", "yuv420p"),  # decoded by another library than encoded
        ("a.mkv", "libsvtav1", "yuv420p10le"),
        ("a.avi", "rawvideo", "yuyv422"),  # the layout of the pixels is in the tag
        ("b.avi", "utvideo", "gbrp"),
    ],
)
def test_codecs_are_copied_with_all_that_their_decoders_need(tmp_path, name, codec, pixels):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "10", "preset": "12"} if "av1" in codec else {})
        stream.height, stream.width = SIZE
        stream.pix_fmt = pixels
        for number in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    out = tmp_path / f"copy{path.suffix}"
    first = round(copy_clip(path, out, start_seconds=1.5, end_seconds=2.0) * 10)
    assert np.array_equal(pictures(out)[0], decode_plainly(path)[first])


def test_a_copy_that_cannot_be_decoded_is_refused(tmp_path):
    path = tmp_path / "a.apng"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("apng", rate=10)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "rgb24"
        for number in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match="no frame of the copy can be decoded"):
        copy_clip(path, tmp_path / "copy.apng", start_seconds=1.0, end_seconds=1.5)
    assert not (tmp_path / "copy.apng").exists()


def test_sound_is_copied_in_sync(tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"g": "10", "bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * number, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
            tone = np.sin(np.arange(800) * 0.2).astype(np.float32)[None] * (number >= 20)
            samples = av.AudioFrame.from_ndarray(tone.astype(np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 8000, 800 * number
            container.mux(sound.encode(samples))
        container.mux(video.encode())
        container.mux(sound.encode())
    copy_clip(path, tmp_path / "copy.mp4", start_seconds=1.0, end_seconds=3.0)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        frames = list(container.decode(audio=0))
        loud = next(frame.time for frame in frames if np.abs(frame.to_ndarray()).max() > 0.5)
        end = frames[-1].time
    assert loud == pytest.approx(1.0, abs=0.3)  # silence until second 2 of the film
    assert end < 2.3


def test_copies_that_are_not_possible_are_refused(tmp_path):
    path = write_video(tmp_path / "clip.mp4", g="10")
    with pytest.raises(VideoError, match="no picture from 9 to 10"):
        copy_clip(path, tmp_path / "out.mp4", start_seconds=9.0, end_seconds=10.0)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be copied"):
        copy_clip(tmp_path / "broken.mp4", tmp_path / "out.mp4", start_seconds=0.0, end_seconds=1.0)
    assert not (tmp_path / "out.mp4").exists()
