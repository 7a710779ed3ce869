"""Crops: evaluation crops against pictures of the official code, random crops against their distribution."""

from collections import Counter

import numpy as np
import pytest
import torch

from golden_rows import golden_rows
from side4video.data.crops import PaperCrop, check_crop_fits, crop_corners
from side4video.data.transforms import EvalTransform, TrainTransform, seeded

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
PAPER = {  # how the paper's code prepares the pictures of each kind of data set
    "something-something": {"resize": (256, 320), "style": "paper"},
    "kinetics": {"resize": 256, "style": "paper"},
}
GOLDEN_ORDER = {1: [0], 3: [0, 2, 1]}  # the official three are left, right, middle; ours left, middle, right
VIEWS = golden_rows(key="quadrant_means")


def golden_picture(width, height):
    """The picture of tests/golden/README.md, (1, 3, H, W)."""
    x, y = np.arange(width)[None], np.arange(height)[:, None]
    red = np.rint(255 * x / (width - 1)) + 0 * y
    green = np.rint(255 * y / (height - 1)) + 0 * x
    blue = np.where((x // 16 + y // 16) % 2 == 1, 255, 0)
    return torch.tensor(np.stack([red, green, blue]), dtype=torch.uint8)[None]


def quadrant_means(crops):
    """Mean colour of the quarters of crops (C, 3, 224, 224), 0..255, as (C, 4, 3)."""
    means = crops.unflatten(-2, (2, 112)).unflatten(-1, (2, 112)).mean(dim=(-3, -1))  # (C, 3, 2, 2)
    return means.flatten(2).transpose(1, 2) * 255


def views(row, **changes):
    settings = PAPER[row["data_set"]] | changes
    transform = EvalTransform(image_size=224, num_crops=row["crops"], interpolation="bicubic", **PLAIN, **settings)
    crops = transform(golden_picture(row["width"], row["height"]))[GOLDEN_ORDER[row["crops"]], 0]
    return quadrant_means(crops), torch.tensor(row["quadrant_means"], dtype=torch.float32)


@pytest.mark.parametrize("row", VIEWS, ids=lambda row: "{data_set}-{width}x{height}-{crops}".format(**row))
def test_every_golden_view(row):
    found, expected = views(row)
    assert (found - expected).abs().max() < 0.5


def test_golden_views_detect_a_wrong_shape_or_style():
    """The test above can fail: a wide picture keeps its shape, and an upright one is cropped along its height."""
    squashed, kept = (
        EvalTransform(image_size=224, resize=resize, **PLAIN)(golden_picture(427, 240)) for resize in ((256, 320), 256)
    )
    assert squashed[..., 0, 0, :].max() - squashed[..., 0, 0, :].min() > 0.69  # 70 % of the width
    assert kept[..., 0, 0, :].max() - kept[..., 0, 0, :].min() < 0.5
    row = {"data_set": "kinetics", "width": 240, "height": 427, "crops": 3, "quadrant_means": [[[0.0] * 3] * 4] * 3}
    along_width, along_height = views(row)[0], views(row, style="even")[0]
    assert (along_width - along_height).abs().max() > 20


@pytest.mark.parametrize(
    ("height", "width", "style", "corners"),
    [
        (256, 455, "even", [(16, 0), (16, 115), (16, 231)]),
        (256, 455, "paper", [(16, 0), (16, 114), (16, 228)]),
        (455, 256, "even", [(0, 16), (115, 16), (231, 16)]),
        (455, 256, "paper", [(114, 0), (114, 16), (114, 32)]),
    ],
)
def test_three_crops(height, width, style, corners):
    assert crop_corners(height, width, size=224, num_crops=3, style=style) == corners


@pytest.mark.parametrize(("left_over", "even", "paper"), [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 1, 2), (5, 2, 2)])
def test_one_crop(left_over, even, paper):
    found = [crop_corners(24, 24 + left_over, size=24, num_crops=1, style=style) for style in ("even", "paper")]
    assert found == [[(0, even)], [(0, paper)]]


def test_five_crops_have_one_style():
    even, paper = (crop_corners(60, 41, size=24, num_crops=5, style=style) for style in ("even", "paper"))
    assert even == paper == [(18, 8), (0, 0), (0, 17), (36, 0), (36, 17)]


def test_crops_larger_than_the_frame_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"eval\.resize = 200 makes frames smaller than image_size = 224"):
        check_crop_fits((200,), 224, "eval.resize")
    with pytest.raises(ValueError, match=r"resize = \(256, 200\) makes frames smaller than image_size = 224"):
        EvalTransform(resize=(256, 200), **PLAIN)
    with pytest.raises(ValueError, match=r"resize = 200 makes frames smaller than image_size = 224"):
        TrainTransform(resize=200, crop_scale=None, **PLAIN)
    check_crop_fits((224, 320), 224, "eval.resize")


def test_unknown_crop_styles_are_refused():
    with pytest.raises(ValueError, match="style = 'odd' is not supported"):
        EvalTransform(style="odd", **PLAIN)
    with pytest.raises(ValueError, match="random_crop = 'timm' is not supported"):
        TrainTransform(random_crop="timm", **PLAIN)


# The paper's random crop


def drawn(count, *, height=256, width=320, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    crop = PaperCrop(224, scale=scale, ratio=ratio)
    with seeded(7):
        return np.array([crop.draw(height, width) for _ in range(count)])


def test_random_crops_are_inside_and_have_the_requested_area():
    top, left, height, width = drawn(2000, scale=(0.08, 0.3)).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 256).all()
    assert (left + width <= 320).all()
    shares = height * width / (256 * 320)
    assert shares.min() > 0.078
    assert shares.max() < 0.303
    assert shares.mean() == pytest.approx(0.19, abs=0.005)  # uniform; nothing was drawn again


def test_ratios_are_uniform_and_swapped_half_of_the_time():
    """The distribution of log(width / height), by brute force with numpy."""
    _, _, height, width = drawn(8000, height=2000, width=2000, scale=(0.1, 0.3)).T
    logs = np.log(width / height)
    generator = np.random.default_rng(0)
    ratios = generator.uniform(3 / 4, 4 / 3, 200_000)
    expected = np.log(np.where(generator.random(200_000) < 0.5, 1 / ratios, ratios))
    quantiles = np.linspace(0.05, 0.95, 19)
    assert np.quantile(logs, quantiles) == pytest.approx(np.quantile(expected, quantiles), abs=0.02)


def test_without_swaps_most_crops_would_be_wide():
    """The mean of a uniform ratio is 1.04; swapped half of the time, width over height and its inverse are alike."""
    _, _, height, width = drawn(20_000, height=2000, width=2000, scale=(0.1, 0.3)).T
    assert (width / height).mean() == pytest.approx((height / width).mean(), abs=0.01)


def test_the_place_is_uniform():
    top, left, height, width = drawn(4000, scale=(0.25, 0.25), ratio=(1.0, 1.0)).T
    assert set(height) == set(width) == {143}
    counts = Counter(left // 30)
    assert all(abs(counts[part] - 4000 * 30 / 178) < 120 for part in range(5))
    assert (top.min(), top.max()) == (0, 113)


def test_a_crop_that_never_fits_is_the_largest_square_anywhere():
    top, left, height, width = drawn(2000, height=10, width=300, scale=(0.9, 1.0)).T
    assert set(top) == {0}
    assert set(height) == set(width) == {10}
    assert (left.min(), left.max()) == (0, 290)
    assert left.mean() == pytest.approx(145, abs=6)


def test_training_uses_the_paper_crop_if_requested():
    frames = golden_picture(320, 256).expand(2, -1, -1, -1)
    clips = {}
    for name in ("paper", "torchvision"):
        transform = TrainTransform(image_size=224, resize=(256, 320), random_crop=name, flip=0.0, **PLAIN)
        with seeded(3):
            clips[name] = transform(frames, None)[0]
    with seeded(3):
        top, left, height, width = PaperCrop(224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)).draw(256, 320)
    red = clips["paper"][0, 0] * 255  # a ramp over the width tells which part was cut out
    ends = frames[0, 0, 0, [left, left + width - 1]]
    assert red[100, [0, -1]].tolist() == pytest.approx(ends.tolist(), abs=2.0)
    green = clips["paper"][0, 1] * 255
    assert green[[0, -1], 100].tolist() == pytest.approx([top, top + height - 1], abs=2.0)
    assert torch.equal(clips["paper"][0], clips["paper"][1])
    assert not torch.allclose(clips["paper"], clips["torchvision"], atol=0.1)
