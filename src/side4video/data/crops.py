"""Which part of a frame the model sees: the squares of evaluation, and the paper's random crop."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

RandomCrop = Literal["torchvision", "paper"]
"""How a random crop is drawn: as torchvision's RandomResizedCrop does it, or as `PaperCrop`."""
CropStyle = Literal["even", "paper"]
"""Where the crops of evaluation are, see `crop_corners`."""
CROP_TRIES = 10
"""Draws of a random crop before it falls back to the largest square."""


def crop_corners(
    height: int, width: int, *, size: int, num_crops: int, style: CropStyle = "even"
) -> list[tuple[int, int]]:
    """Top and left of square crops of side `size`, in pixels.

    Args:
        height: Of the frame, at least `size`.
        width: The same.
        size: Of the crops.
        num_crops: 1: the centre. 3: along one direction, from its beginning. 5: centre, then top left, top right,
            bottom left, bottom right.
        style: Of 1 and 3 crops. "even": half pixels are rounded down, and 3 crops are spread over the long side, from
            end to end. "paper": the half pixel of 1 crop is rounded to an even number, and 3 crops are spread over the
            width, in upright frames too, in steps of 2 floor((width - size) / 4).

    Example: 256 x 455 and size 224 leave 231 columns. One crop starts at 115 ("even") or 116 ("paper"), three at
    0, 115, 231 or at 0, 114, 228.

    >>> crop_corners(256, 455, size=224, num_crops=3), crop_corners(256, 455, size=224, num_crops=3, style="paper")
    ([(16, 0), (16, 115), (16, 231)], [(16, 0), (16, 114), (16, 228)])
    """
    bottom, right = height - size, width - size
    centre = (bottom // 2, right // 2)
    if num_crops == 1:
        return [centre if style == "even" else (round(bottom / 2), round(right / 2))]
    if num_crops == 5:
        return [centre, (0, 0), (0, right), (bottom, 0), (bottom, right)]
    if style == "paper":
        return [(2 * (bottom // 4), step * (right // 4)) for step in (0, 2, 4)]
    if height > width:
        return [(0, centre[1]), centre, (bottom, centre[1])]
    return [(centre[0], 0), centre, (centre[0], right)]


class PaperCrop:
    """A random crop as in the paper's code, resized to a square.

    Its share of the area is uniform in `scale` and its aspect ratio (width over height) uniform in `ratio`; then width
    and height are swapped with probability 1/2, and the position is uniform. A crop that does not fit into the frame is
    drawn again. After `CROP_TRIES` draws without success, the crop is the largest square, at a uniform position.
    Resizing is bilinear, with antialiasing.

    Args:
        size: Side of the square output in pixels.
        scale: Smallest and largest share of the frame's area.
        ratio: Smallest and largest width over height, before the swap.

    >>> crop = PaperCrop(32, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3))
    >>> crop(torch.zeros(8, 3, 48, 64, dtype=torch.uint8)).shape
    torch.Size([8, 3, 32, 32])
    """

    def __init__(self, size: int, *, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
        self.size = size
        self.scale = scale
        self.ratio = ratio

    def __call__(self, frames: Tensor) -> Tensor:
        """Crop a clip (T, 3, H, W) to (T, 3, size, size), all frames alike."""
        top, left, height, width = self.draw(*frames.shape[-2:])
        cropped = frames[..., top : top + height, left : left + width]
        return functional.resize(
            cropped, [self.size, self.size], interpolation=v2.InterpolationMode.BILINEAR, antialias=True
        )

    def draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a crop of a frame of `height` x `width` pixels, from torch's generator."""
        for _ in range(CROP_TRIES):
            area = _uniform(*self.scale) * height * width
            ratio = _uniform(*self.ratio)
            sides = [round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)]  # height, width
            crop_height, crop_width = reversed(sides) if torch.rand(()) < 0.5 else sides
            if 0 < crop_height <= height and 0 < crop_width <= width:
                break
        else:
            crop_height = crop_width = min(height, width)
        top = int(torch.randint(height - crop_height + 1, ()))
        return top, int(torch.randint(width - crop_width + 1, ())), crop_height, crop_width


def check_crop_fits(size: Sequence[int], image_size: int, name: str) -> None:
    """Refuse frames that are smaller than the crop.

    Args:
        size: Short side, or height and width, to which frames are resized, in pixels.
        image_size: Side of the square crop in pixels.
        name: Of the setting that gives `size`.

    Raises:
        ValueError: A side is smaller than the crop.
    """
    if min(size) < image_size:
        given = size[0] if len(size) == 1 else tuple(size)
        raise ValueError(f"{name} = {given} makes frames smaller than {image_size = }. Use at least {image_size}.")


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))
