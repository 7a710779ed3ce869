"""Findings about single files, intact and faulty."""

import hashlib
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from side4video.checking.content import detect_other_type, hash_content, wrong_suffix
from side4video.checking.probe import Probe, ProbeTask, probe_video
from side4video.video.decoding import VideoFile

PIECE = Path(__file__).parents[2] / "../shared/data/odd/mp4ff__cbcsdec.mp4"


def probe(path, *, start=None, end=None, num_frames=8, is_hashed=False, template="img_{:05d}.jpg"):
    return probe_video(ProbeTask(path, start, end, num_frames, is_hashed, template))


def kinds(path, **settings):
    return [kind for kind, _ in probe(path, **settings).faults]


def write_frames(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(np.full((8, 10, 3), number, np.uint8)).save(folder / f"img_{number:05d}.jpg")
    return folder


@pytest.fixture
def clip(tmp_path, make_video):
    return make_video(tmp_path / "clip.mp4", range(0, 240, 10))


def test_good_videos_and_folders_have_no_findings(clip, tmp_path):
    assert probe(clip) == Probe(())
    assert probe(write_frames(tmp_path / "frames", range(1, 9))) == Probe(())


def test_hash_of_a_file(clip):
    assert probe(clip, is_hashed=True).digest == hashlib.sha256(clip.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", "empty", "0 bytes"),
        (b"<!doctype html><title>404</title>", "no-video", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "no-video", "git lfs pull"),
        (b"PK\x03\x04abc", "no-video", "a ZIP archive"),
        (b"\0" * 4000, "no-video", "zeros"),
        (b"Not found", "no-video", "text"),
        (bytes(range(1, 256)) * 20, "unreadable", "cannot be decoded"),
    ],
)
def test_non_videos_are_detected_by_content(tmp_path, content, kind, said):
    (tmp_path / "a.mp4").write_bytes(content)
    ((found, reason),) = probe(tmp_path / "a.mp4").faults
    assert found == kind
    assert said in reason


def test_missing_and_empty_files(tmp_path):
    (tmp_path / "folder").mkdir()
    assert kinds(tmp_path / "none.mp4") == ["missing"]
    assert kinds(tmp_path / "folder") == ["empty"]
    assert kinds(write_frames(tmp_path / "frames", [1]), template="{:06d}.png") == ["no-frames"]


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_file_with_sound_only(tmp_path):
    assert kinds(write_sound(tmp_path / "sound.mp4")) == ["audio-only"]


def test_truncated_file_is_detected_by_its_header(tmp_path, make_video):
    for suffix in (".mkv", ".avi"):
        whole = make_video(tmp_path / f"whole{suffix}", np.random.default_rng(0).integers(0, 255, 80))
        assert kinds(whole) == []
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        assert kinds(cut, num_frames=1) == ["truncated"]


@pytest.mark.skipif(not PIECE.is_file(), reason=f"{PIECE} is not there")
def test_late_start_is_not_truncation():
    assert kinds(PIECE) == []  # its times start at 10 seconds, and its header counts these too


def test_file_with_zeroed_frames_is_damaged(clip):
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(clip.read_bytes())
    for packet in packets[10:16]:
        content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    clip.write_bytes(content)
    assert kinds(clip) == ["damaged"]


def test_corrupt_picture_in_a_folder(tmp_path):
    folder = write_frames(tmp_path / "frames", range(1, 9))
    (folder / "img_00008.jpg").write_bytes(b"no picture")
    assert kinds(folder) == ["unreadable"]
    (folder / "img_00008.jpg").unlink()
    (folder / "img_00003.jpg").unlink()
    assert "frame 3 is missing" in probe(folder).faults[0][1]


def test_too_short_counts_the_frames_of_the_part(clip):
    assert kinds(clip, num_frames=24) == []
    assert kinds(clip, num_frames=25) == ["too-short"]
    assert kinds(clip, start=1.0, end=1.5, num_frames=5) == []
    assert probe(clip, start=1.0, end=1.5).faults == (
        ("too-short", "it has 5 frames, fewer than data.num_frames = 8."),
    )
    assert kinds(clip, start=99.0) == ["beyond-end"]


def test_a_segment_that_ends_after_the_video_is_a_warning(clip):
    seconds = VideoFile(clip).file_seconds
    assert kinds(clip, end=seconds + 0.4) == []
    assert kinds(clip, end=seconds + 0.6) == ["ends-late"]
    assert probe(clip, end=99.0).faults == (("ends-late", f"it ends at 99 seconds, the video at {seconds:.3f}."),)


def test_container_differs_from_the_suffix(clip, tmp_path):
    shutil.copy(clip, tmp_path / "clip.webm")
    assert probe(tmp_path / "clip.webm").faults[0] == (
        "wrong-suffix",
        "its suffix is .webm, but its content is mov/mp4/m4a/3gp/3g2/mj2.",
    )
    for name in ("clip.mov", "clip.MP4", "clip.unknown"):
        shutil.copy(clip, tmp_path / name)
        assert kinds(tmp_path / name) == []


def test_suffixes_of_ffmpeg_container_names():
    assert wrong_suffix(Path("a.mkv"), ("matroska", "webm")) is None
    assert wrong_suffix(Path("a.mpg"), ("mpegts",)) is None
    assert wrong_suffix(Path("a.avi"), ("matroska", "webm")) == "its suffix is .avi, but its content is matroska/webm."


def test_video_signatures_are_not_other_types(clip):
    assert detect_other_type(clip) is None


def test_unopenable_files_have_no_detected_type(tmp_path):
    assert detect_other_type(tmp_path) is None
    assert detect_other_type(tmp_path / "none.mp4") is None


def test_folders_with_the_same_frames_share_a_hash(tmp_path):
    one, same = (write_frames(tmp_path / name, range(1, 9)) for name in ("one", "same"))
    fewer, other = (
        write_frames(tmp_path / name, numbers) for name, numbers in {"f": range(1, 8), "o": range(9)}.items()
    )
    assert hash_content(one) == hash_content(same)
    assert len({hash_content(folder) for folder in (one, fewer, other)}) == 3
