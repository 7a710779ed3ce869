from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from side4video.video.decoding import FrameFolder, VideoError

FAULTS = Path(__file__).parents[2] / "../shared/data/faults"
PNG = "img_{:05d}.png"  # keeps pixel values exactly


def write_frames(folder, template, numbers, *, size=(12, 16)):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        picture = np.zeros((*size, 3), np.uint8)
        picture[..., 0], picture[0, :, 1] = number, 255
        Image.fromarray(picture).save(folder / template.format(number))
    return folder


@pytest.mark.parametrize("template", ["img_{:05d}.png", "{:05d}.png", "{:06d}.png", "frame{}.png", "a.b+{:d}_c.png"])
@pytest.mark.parametrize("first", [0, 1])
def test_frames_are_counted_from_the_first_existing_file(tmp_path, template, first):
    folder = write_frames(tmp_path / "clip", template, range(first, first + 12))
    (folder / "n_frames.txt").write_text("99")
    with FrameFolder(folder, template=template) as video:
        assert (video.num_frames, video.height, video.width) == (12, 12, 16)
        read = video.read([11, 0, 0, 5])
    assert read.shape == (4, 3, 12, 16)
    assert read.dtype == torch.uint8
    assert (read[:, 0] == torch.tensor([11, 0, 0, 5]).view(4, 1, 1) + first).all()
    assert (read[:, 1, 0] == 255).all()
    assert (read[:, 1, 1:] == 0).all()


def test_grey_and_palette_images_become_rgb(tmp_path):
    Image.new("L", (4, 4), 7).save(tmp_path / "0.png")
    Image.new("P", (4, 4), 0).save(tmp_path / "1.png")
    assert FrameFolder(tmp_path, template="{}.png").read([0, 1]).shape == (2, 3, 4, 4)


def test_gap_is_refused_with_the_first_missing_file(tmp_path):
    folder = write_frames(tmp_path / "clip", "img_{:05d}.jpg", [1, 2, 4, 6])
    with pytest.raises(VideoError, match=r"frame 3 is missing between img_00002\.jpg and img_00004\.jpg"):
        FrameFolder(folder)


@pytest.mark.parametrize("numbers", [[5, 6, 7], [45, 50, 55], range(0, 90, 30), [7]])
def test_numbers_start_anywhere_and_have_one_step(tmp_path, numbers):
    folder = write_frames(tmp_path / "clip", PNG, numbers)
    assert FrameFolder(folder).read(range(len(numbers)))[:, 0, 0, 0].tolist() == list(numbers)


@pytest.mark.parametrize(
    "template", ["46GP8-{:06d}.jpg", "{}.webp", "frame_{:010d}.png", "a {:03d}_l.bmp", "x{:d}.TIFF"]
)
def test_the_only_series_is_found(tmp_path, template):
    folder = write_frames(tmp_path / "clip", template, range(8, 13))
    (folder / "poster.jpg").touch()
    assert FrameFolder(folder).num_frames == 5


@pytest.mark.parametrize(("template", "numbered"), [("%05d.png", "{:05d}.png"), ("a%d_c.png", "a{}_c.png")])
def test_templates_of_ffmpeg(tmp_path, template, numbered):
    folder = write_frames(tmp_path / "clip", numbered, range(1, 12))
    assert FrameFolder(folder, template=template).num_frames == 11
    with pytest.raises(VideoError, match="no file is named like b1_c"):
        FrameFolder(folder, template="b%d_c.png")


def test_several_series_need_the_template(tmp_path):
    folder = write_frames(tmp_path / "clip", "rgb_{:03d}.png", [1, 2])
    write_frames(folder, "flow_{:03d}.png", [1, 2, 3])
    with pytest.raises(VideoError, match=r"several series of pictures: flow_\{\}.png \(3\), rgb_\{\}.png \(2\)"):
        FrameFolder(folder)
    assert FrameFolder(folder, template="rgb_{:03d}.png").num_frames == 2
    write_frames(folder, "img_{:05d}.jpg", [1])
    assert FrameFolder(folder).num_frames == 1  # the default name comes first


def test_two_files_with_one_number_are_refused(tmp_path):
    folder = write_frames(tmp_path / "clip", "{:02d}.png", [1, 2])
    write_frames(folder, "{}.png", [2])
    with pytest.raises(VideoError, match=r"02\.png and 2\.png have the same number"):
        FrameFolder(folder)


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_16_bit_levels_are_scaled(tmp_path, mode):
    levels = np.array([[0, 257, 32_767, 65_535]], np.uint16)
    picture = Image.fromarray(levels if mode == "I;16" else levels.astype(np.int32))
    assert picture.mode == mode
    picture.save(tmp_path / ("img_1.png" if mode == "I;16" else "img_1.tiff"))
    assert FrameFolder(tmp_path).read([0])[0, :, 0].tolist() == [[0, 1, 127, 255]] * 3


@pytest.mark.parametrize("levels", [np.float32([[0.5]]), np.int32([[70_000]]), np.int32([[-1]])])
def test_levels_without_a_known_scale_are_refused(tmp_path, levels):
    Image.fromarray(levels).save(tmp_path / "img_1.tiff")
    with pytest.raises(VideoError, match=r"img_1\.tiff is not a readable image \(its levels .* are not 16-bit"):
        FrameFolder(tmp_path)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255
    Image.fromarray(picture).save(tmp_path / "img_00001.jpg", exif=exif, quality=95)
    video = FrameFolder(tmp_path)
    assert (video.height, video.width) == (64, 48)
    assert video.read([0])[0, 0, [8, 56], 24].tolist() == [255, 0]  # the left half is on top


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_black(tmp_path, mode):
    picture = Image.new("RGBA", (2, 1), (200, 200, 200, 0))
    picture.putpixel((1, 0), (200, 200, 200, 255))
    picture.convert(mode).save(tmp_path / "img_1.png")
    assert FrameFolder(tmp_path).read([0])[0, :, 0].tolist() == [[0, 200]] * 3


@pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")
def test_depth_frames_keep_their_contrast():
    frames = FrameFolder(FAULTS / "frames16/depth").read([0, 7])
    assert len(frames.unique()) > 2


def test_other_template_is_refused_with_an_example(tmp_path):
    folder = write_frames(tmp_path / "clip", "{:06d}.jpg", [1, 2])
    with pytest.raises(VideoError, match=r"no file is named like img_00001\.jpg; the folder contains 000001\.jpg"):
        FrameFolder(folder, template="img_{:05d}.jpg")
    with pytest.raises(VideoError, match=r"no file is named like 00001\.jpg"):
        FrameFolder(folder, template="{:05d}.jpg")


@pytest.mark.parametrize("template", ["img.jpg", "{:05d}_{:05d}.jpg"])
def test_template_without_one_place_for_the_number_is_refused(tmp_path, template):
    with pytest.raises(ValueError, match="exactly one placeholder for the frame's number"):
        FrameFolder(tmp_path, template=template)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(VideoError, match="cannot be listed"):
        FrameFolder(tmp_path / "gone")
    with pytest.raises(VideoError, match="contains nothing"):
        FrameFolder(tmp_path)


def test_broken_image_is_named(tmp_path):
    folder = write_frames(tmp_path / "clip", "img_{:05d}.jpg", [1, 2])
    (folder / "img_00002.jpg").write_bytes(b"no image")
    video = FrameFolder(folder)
    assert video.read([0]).shape == (1, 3, 12, 16)
    with pytest.raises(VideoError, match=r"img_00002\.jpg is not a readable image"):
        video.read([0, 1])


def test_truncated_image_is_named(tmp_path):
    folder = write_frames(tmp_path / "clip", "img_{:05d}.jpg", [1], size=(200, 200))
    path = folder / "img_00001.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(VideoError, match=r"img_00001\.jpg is not a readable image"):
        FrameFolder(folder)


def test_frame_of_another_size_is_named(tmp_path):
    folder = write_frames(tmp_path / "clip", "img_{:05d}.jpg", [1])
    write_frames(folder, "img_{:05d}.jpg", [2], size=(10, 16))
    with pytest.raises(VideoError, match=r"img_00002\.jpg has 16 x 10 pixels, the first has 16 x 12"):
        FrameFolder(folder).read([0, 1])


@pytest.mark.parametrize("index", [-1, 2])
def test_frame_numbers_out_of_range_are_refused(tmp_path, index):
    folder = write_frames(tmp_path / "clip", "img_{:05d}.jpg", [1, 2])
    with pytest.raises(VideoError, match="only 0 to 1"):
        FrameFolder(folder).read([index])


def test_times_need_the_frame_rate(tmp_path):
    folder = write_frames(tmp_path / "clip", PNG, range(1, 13))
    assert FrameFolder(folder, template=PNG).duration_seconds is None
    with pytest.raises(VideoError, match="no times"):
        FrameFolder(folder, template=PNG, start_seconds=1)
    video = FrameFolder(folder, template=PNG, fps=4, start_seconds=0.6, end_seconds=2)
    assert (video.num_frames, video.duration_seconds, video.average_fps) == (5, 1.25, 4)
    assert video.frame_seconds.tolist() == [0.75, 1.0, 1.25, 1.5, 1.75]
    assert video.read([0, 4])[:, 0, 0, 0].tolist() == [4, 8]


def test_empty_interval_is_refused(tmp_path):
    folder = write_frames(tmp_path / "clip", PNG, range(1, 13))
    with pytest.raises(
        VideoError, match=r"no frame from start_seconds=3 to end_seconds=None; the video is 3.000 seconds"
    ):
        FrameFolder(folder, template=PNG, fps=4, start_seconds=3)
