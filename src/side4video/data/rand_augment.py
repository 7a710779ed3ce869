"""RandAugment for clips: timm's random changes of a picture, the same for all frames."""

import random
import re
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_RAND_AUGMENT = re.compile(r"rand(-(m\d+|n\d+|p[\d.]+|mstd[\d.]+|mmax\d+|inc[01]|t[a-z\d]+))*")


class _SameForAllFrames:
    """Applies a random change of one PIL image to all frames of a clip, with the same draws."""

    def __init__(self, change: Callable[[Image.Image], Image.Image]) -> None:
        self._change = change

    def __call__(self, frames: Tensor) -> Tensor:
        states = random.getstate(), np.random.get_state()
        changed = []
        for picture in frames.permute(0, 2, 3, 1).numpy():  # (H, W, 3)
            random.setstate(states[0])
            np.random.set_state(states[1])
            changed.append(np.asarray(self._change(Image.fromarray(picture))))
        return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)


def build_rand_augment(policy: str) -> Callable[[Tensor], Tensor]:
    """Build RandAugment for clips, uint8 (T, 3, H, W), from timm's notation, such as "rand-m7-n4-mstd0.5-inc1".

    It draws from the global generators of `random` and numpy.

    Raises:
        ValueError: `policy` is not in timm's notation.

    >>> build_rand_augment("rand-m7-n4-mstd0.5-inc1")(torch.zeros(8, 3, 48, 64, dtype=torch.uint8)).shape
    torch.Size([8, 3, 48, 64])
    """
    if not _RAND_AUGMENT.fullmatch(policy):
        raise ValueError(f"rand_augment={policy!r} is not timm's notation. Use one like 'rand-m7-n4-mstd0.5-inc1'.")
    from timm.data.auto_augment import rand_augment_transform  # slow to import, and rarely needed

    settings = {"interpolation": Image.Resampling.BICUBIC, "translate_const": 115}  # the paper's: 0.45 of 256 pixels
    return _SameForAllFrames(rand_augment_transform(policy, settings))
