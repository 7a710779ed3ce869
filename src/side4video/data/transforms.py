"""Transforms from decoded frames to the input of a model; random changes are the same in all frames of a clip.

T is the number of frames, S the model's image size. Training transforms draw from the global generators of `random`,
numpy and torch. Wrap each call in `seeded` to make it repeatable.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from side4video.data.crops import CropStyle, PaperCrop, RandomCrop, check_crop_fits, crop_corners
from side4video.data.directions import mirrored_name, plain_name
from side4video.data.rand_augment import build_rand_augment
from side4video.parameters import check_count

Label = int | tuple[int, ...] | None
"""Class of a clip, its classes in a multi-label list, or None if it is unknown."""

Interpolation = Literal["bilinear", "bicubic"]


def check_views(num_clips: int, num_crops: int) -> None:
    """Check the number of views of a video.

    Raises:
        ValueError: `num_clips` is below 1, or `num_crops` is not 1, 3, 5 or 10.
    """
    check_count(num_clips, "num_clips")
    if num_crops not in (1, 3, 5, 10):
        raise ValueError(f"{num_crops = } is not supported. Use 1, 3, 5 or 10.")


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seed `random`, numpy's legacy generator and torch's CPU generator from `numbers`; restore all three afterwards.

    Args:
        numbers: Non-negative integers, such as seed, epoch and index of a sample. Together they make one seed, which is
            the same on every machine.

    Raises:
        ValueError: There are no numbers, or one is negative.

    >>> with seeded(1024, 0, 7):
    ...     first = torch.rand(2)
    >>> with seeded(1024, 0, 7):
    ...     bool((torch.rand(2) == first).all())
    True
    """
    if not numbers or min(numbers) < 0:
        raise ValueError(f"{numbers = } cannot be a seed. Give one or more non-negative integers.")
    python, legacy, cpu = np.random.SeedSequence(numbers).generate_state(3).tolist()
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(python)
        np.random.seed(legacy)
        torch.default_generator.manual_seed(cpu)  # torch.manual_seed would also seed the GPUs
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


class TrainTransform:
    """Random augmentation of a training clip.

    The order is the paper's: RandAugment, resize, random resized crop, flip, grey, colour jitter, normalisation with
    `mean` and `std`, erasing. RandAugment is slow on large frames, so frames whose short side is above 320/224 of
    `image_size` (larger than the paper's frames) are first resized to that.

    Args:
        image_size: S, side of the square output in pixels.
        mean: Of red, green and blue, for values from 0 to 1.
        std: The same.
        resize: Size before cropping, in pixels: the short side, or (height, width), which ignores the aspect ratio.
            None: a short side of 256/224 of `image_size`.
        crop_scale: Smallest and largest share of the frame's area that the crop covers. None: centre crop.
        crop_ratio: Smallest and largest aspect ratio (width over height) of the crop.
        random_crop: How the crop's aspect ratio is drawn, and how the crop is resized. "torchvision": log-uniform,
            resized with `interpolation`. "paper": see `PaperCrop`.
        flip: Probability of a mirrored clip.
        flip_labels: New labels of mirrored clips, see `flip_label_pairs`. Other labels stay the same.
        rand_augment: RandAugment (Cubuk et al., 2020) in timm's notation, such as the paper's
            "rand-m7-n4-mstd0.5-inc1"; None: off.
        grey: Probability of a greyscale clip.
        colour_jitter: j; brightness, contrast and saturation are multiplied by factors from 1 - j to 1 + j. 0: off.
        erasing: Probability of a rectangle of noise, the same in all frames.
        interpolation: Interpolation for resizing and cropping, with antialiasing.

    Raises:
        ValueError: `random_crop` or `interpolation` is not supported, `rand_augment` is not in timm's notation, a
            probability is outside 0..1, or `crop_scale` is not a range within 0..1.

    >>> transform = TrainTransform(image_size=32, mean=[0.5] * 3, std=[0.5] * 3, flip=1.0, flip_labels={0: 1, 1: 0})
    >>> clip, label = transform(torch.zeros(8, 3, 48, 64, dtype=torch.uint8), 0)
    >>> clip.shape, label
    (torch.Size([8, 3, 32, 32]), 1)
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        mean: Sequence[float],
        std: Sequence[float],
        resize: int | tuple[int, int] | None = None,
        crop_scale: tuple[float, float] | None = (0.08, 1.0),
        crop_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        random_crop: RandomCrop = "torchvision",
        flip: float = 0.5,
        flip_labels: dict[int, int] | None = None,
        rand_augment: str | None = None,
        grey: float = 0.0,
        colour_jitter: float = 0.0,
        erasing: float = 0.0,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        for name, probability in {"flip": flip, "grey": grey, "erasing": erasing}.items():
            if not 0 <= probability <= 1:
                raise ValueError(f"{name}={probability} is not a probability. Use 0 to 1.")
        if crop_scale is not None and not 0 < crop_scale[0] <= crop_scale[1] <= 1:
            raise ValueError(f"{crop_scale = } is not a range of areas. Use two numbers with 0 < low <= high <= 1.")
        mode = _mode(interpolation)
        self.flip = flip
        self.flip_labels = flip_labels or {}
        self._rand_augment = None if rand_augment is None else build_rand_augment(rand_augment)
        self._largest_short_side = round(image_size * 320 / 224)
        self._mode = mode
        size = _resize_to(resize, image_size)
        if random_crop not in get_args(RandomCrop):
            raise ValueError(f"{random_crop = } is not supported. Use 'torchvision' or 'paper'.")
        crop: Callable[[Tensor], Tensor]
        if crop_scale is None:
            check_crop_fits(size, image_size, "resize")
            crop = v2.CenterCrop(image_size)
        elif random_crop == "paper":
            crop = PaperCrop(image_size, scale=crop_scale, ratio=crop_ratio)
        else:
            crop = v2.RandomResizedCrop(image_size, crop_scale, crop_ratio, interpolation=mode, antialias=True)
        self._resize_and_crop = v2.Compose([v2.Resize(size, interpolation=mode, antialias=True), crop])
        self._change_colours = v2.Compose(
            [
                v2.RandomGrayscale(grey),
                v2.ColorJitter(brightness=colour_jitter, contrast=colour_jitter, saturation=colour_jitter),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(list(mean), list(std)),
                v2.RandomErasing(erasing, value="random"),
            ]
        )

    def __call__(self, frames: Tensor, label: Label) -> tuple[Tensor, Label]:
        """Augment a clip.

        Args:
            frames: uint8, shape (T, 3, H, W), 0 to 255.
            label: Class of the clip, or its classes; None: unknown.

        Returns:
            The clip, float32, shape (T, 3, S, S), and its label, which a flip can change.
        """
        _check_frames(frames)
        if self._rand_augment is not None:
            frames = self._rand_augment(self._shrink(frames))
        frames = self._resize_and_crop(frames)
        if torch.rand(()) < self.flip:
            frames = functional.horizontal_flip(frames)
            label = self._flipped(label)
        return self._change_colours(frames).contiguous(), label

    def _flipped(self, label: Label) -> Label:
        if isinstance(label, tuple):
            return tuple(self.flip_labels.get(one, one) for one in label)
        return None if label is None else self.flip_labels.get(label, label)

    def _shrink(self, frames: Tensor) -> Tensor:
        if min(frames.shape[-2:]) <= self._largest_short_side:
            return frames
        return functional.resize(frames, [self._largest_short_side], interpolation=self._mode, antialias=True)


class EvalTransform:
    """Crops of a clip for evaluation, without randomness.

    Args:
        image_size: S, side of the square crops in pixels.
        mean: Of red, green and blue, for values from 0 to 1.
        std: The same.
        resize: Size before cropping, in pixels: the short side, or (height, width), which ignores the aspect ratio.
            None: a short side of 256/224 of `image_size`.
        num_crops: 1: the centre. 3: both ends and the middle of one direction. 5: the centre and the corners.
            10: these five and their mirror images.
        style: Positions of 1 and 3 crops: "even", or "paper", exactly as in the paper's code. See `crop_corners`.
        interpolation: Interpolation for resizing, with antialiasing.

    Raises:
        ValueError: `num_crops`, `style` or `interpolation` is unsupported, or a crop is larger than the resized frame.

    >>> transform = EvalTransform(image_size=32, mean=[0.5] * 3, std=[0.5] * 3, num_crops=3)
    >>> transform(torch.zeros(8, 3, 48, 64, dtype=torch.uint8)).shape
    torch.Size([3, 8, 3, 32, 32])
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        mean: Sequence[float],
        std: Sequence[float],
        resize: int | tuple[int, int] | None = None,
        num_crops: int = 1,
        style: CropStyle = "even",
        interpolation: Interpolation = "bilinear",
    ) -> None:
        check_views(1, num_crops)
        if style not in get_args(CropStyle):
            raise ValueError(f"{style = } is not supported. Use 'even' or 'paper'.")
        size = _resize_to(resize, image_size)
        check_crop_fits(size, image_size, "resize")
        self.image_size = image_size
        self.style = style
        self.num_crops = num_crops
        self._resize = v2.Resize(size, interpolation=_mode(interpolation), antialias=True)
        self._normalise = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))])

    def __call__(self, frames: Tensor) -> Tensor:
        """Crop a clip.

        Args:
            frames: uint8, shape (T, 3, H, W), 0 to 255.

        Returns:
            float32, shape (num_crops, T, 3, S, S).
        """
        _check_frames(frames)
        frames = self._resize(frames)
        size = self.image_size
        corners = crop_corners(
            frames.shape[-2], frames.shape[-1], size=size, num_crops=min(self.num_crops, 5), style=self.style
        )
        crops = torch.stack([frames[..., top : top + size, left : left + size] for top, left in corners])
        if self.num_crops == 10:
            crops = torch.cat([crops, functional.horizontal_flip(crops)])
        return self._normalise(crops)


def flip_label_pairs(class_names: Sequence[str]) -> dict[int, int]:
    """New labels of mirrored clips: pairs of classes whose names differ only in left and right, or clockwise and anti-.

    The comparison ignores case and everything but letters and digits. Classes without a partner are not in the result.

    >>> flip_label_pairs(["Turn left", "turn right", "Stand upright", "Look left", "Clockwise", "counter-clockwise"])
    {0: 1, 1: 0, 4: 5, 5: 4}
    """
    label_of = {_letters(plain_name(name)): label for label, name in enumerate(class_names)}
    mirrored = [label_of.get(_letters(mirrored_name(name))) for name in class_names]
    return {
        label: other
        for label, other in enumerate(mirrored)
        if other is not None and other != label and mirrored[other] == label
    }


def is_mirrored(num_views: int, num_crops: int) -> Tensor:
    """Which views of a video, clip by clip, `EvalTransform` mirrors: the second five of ten crops.

    >>> is_mirrored(10, num_crops=10).sum().item(), is_mirrored(6, num_crops=3).any().item()
    (5, False)
    """
    return torch.arange(num_views) % num_crops >= 5


def _mode(interpolation: Interpolation) -> v2.InterpolationMode:
    modes = {"bilinear": v2.InterpolationMode.BILINEAR, "bicubic": v2.InterpolationMode.BICUBIC}
    if interpolation not in modes:
        raise ValueError(f"{interpolation = } is not supported. Use 'bilinear' or 'bicubic'.")
    return modes[interpolation]


def _resize_to(resize: int | tuple[int, int] | None, image_size: int) -> list[int]:
    """The size as torchvision expects it: one number for the short side, or height and width."""
    if resize is None:
        return [round(image_size * 256 / 224)]
    return [resize] if isinstance(resize, int) else list(resize)


def _check_frames(frames: Tensor) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames are {frames.dtype} {tuple(frames.shape)}. Give uint8 (T, 3, H, W).")


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
