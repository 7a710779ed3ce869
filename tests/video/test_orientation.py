"""Mirrored and rotated videos are shown upright: every display matrix, compared pixel by pixel."""

import io
import itertools
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from side4video.video.decoding import open_video
from side4video.video.playback import picture_at, write_clip

FAULTS = Path(__file__).parents[2] / "../shared/data/faults/mirrored"
MATRICES = [
    matrix
    for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)
    if abs(a * d - b * c) == 1 and (matrix := (a, b, c, d)) and abs(a) + abs(b) == abs(c) + abs(d) == 1
]
LEVELS = np.add.outer(np.arange(48) * 3, np.arange(64) * 1).astype(np.uint8)  # no two orientations look alike


def write_video(path: Path, matrix=None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([LEVELS] * 3, axis=-1), format="rgb24")))
        container.mux(stream.encode())
    if matrix is not None:
        a, b, c, d = (part * 65536 for part in matrix)
        content = bytearray(path.read_bytes())
        place = content.index(b"tkhd") + 44  # version 0
        content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(content)
    return path


def shown(picture: np.ndarray, matrix) -> np.ndarray:
    """The picture with each pixel moved to (ax + cy, bx + dy), as ISO/IEC 14496-12 defines the matrix."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    places = {(y, x): (b * x + d * y, a * x + c * y) for y in range(height) for x in range(width)}
    top, left = min(y for y, _ in places.values()), min(x for _, x in places.values())
    size = (height, width) if a else (width, height)
    moved = np.zeros((*size, *picture.shape[2:]), picture.dtype)
    for (y, x), (to_y, to_x) in places.items():
        moved[to_y - top, to_x - left] = picture[y, x]
    return moved


def test_there_are_eight_matrices():
    assert len(MATRICES) == 8


@pytest.mark.parametrize("matrix", MATRICES)
def test_every_display_matrix(tmp_path, matrix):
    stored = open_video(write_video(tmp_path / "stored.mp4")).read([0])[0].permute(1, 2, 0).numpy()
    path = write_video(tmp_path / "turned.mp4", matrix)
    expected = shown(stored, matrix)
    video = open_video(path)
    assert (video.height, video.width) == expected.shape[:2]
    assert (video.read([0])[0].permute(1, 2, 0).numpy() == expected).all()
    assert abs(np.asarray(picture_at(path, 0)).astype(int) - expected).max() <= 4
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=1)
    clip = open_video(tmp_path / "clip.mp4").read([0])[0].permute(1, 2, 0).numpy()
    assert abs(clip.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(1, 0), (6, 3), (8, 1)])
def test_exif_data_of_cameras(tmp_path, orientation, quarter_turns):
    """Motion JPEG videos of cameras have Exif data in each picture, which PyAV does not know."""
    exif, jpeg, path = Image.Exif(), io.BytesIO(), tmp_path / "camera.avi"
    exif[0x112], exif[0x10F] = orientation, "maker"
    Image.fromarray(np.stack([LEVELS] * 3, axis=-1)).save(jpeg, "JPEG", exif=exif)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(3):
            packet = av.Packet(jpeg.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 10), stream, True
            container.mux(packet)
    expected = np.rot90(np.stack([LEVELS] * 3, axis=-1), quarter_turns).astype(int)
    for found in (open_video(path).read([1])[0].permute(1, 2, 0).numpy(), np.asarray(picture_at(path, 0.1))):
        assert abs(found - expected).mean() < 4
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=1)
    clip = open_video(tmp_path / "clip.mp4").read([0])[0].permute(1, 2, 0).numpy()
    assert abs(clip - expected).mean() < 6


@pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")
def test_a_mirrored_video(tmp_path):
    stored, mirrored = (open_video(FAULTS / name).read([0])[0] for name in ("a.mp4", "hflip.mp4"))
    assert (mirrored == stored.flip(2)).all()


@pytest.mark.parametrize("name", ["2024-11-03T10:15:00.mp4", "file:y.mp4", "cam1: yard.mp4", "concat:a.mp4|b.mp4"])
def test_colons_in_names_are_no_protocols(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train:v1").mkdir()
    shutil.copy(write_video(tmp_path / "plain.mp4"), name)
    shutil.copy(name, Path("train:v1") / name)
    for path in (Path(name), Path("train:v1") / name):
        assert open_video(path).num_frames == 3
        assert picture_at(path, 0).size == (64, 48)
        write_clip(path, Path(f"clip of:{name}"), start_seconds=0, end_seconds=1)
        assert open_video(f"clip of:{name}").num_frames == 3


def test_a_protocol_does_not_open_another_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "y.mp4")
    Path("file:y.mp4").write_text("no video")
    with pytest.raises(Exception, match="cannot be decoded"):
        open_video("file:y.mp4")
