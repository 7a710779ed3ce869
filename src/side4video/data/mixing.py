"""Mixes the clips of a batch and their labels: mixup and cutmix."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


def mix_clips(
    clips: Tensor, labels: Tensor, *, num_classes: int, mixup_alpha: float = 0.0, cutmix_alpha: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Mix each clip of a batch with its neighbour: mixup (Zhang et al., 2018) or cutmix (Yun et al., 2019).

    One draw from torch's global CPU generator decides for the whole batch. If both are on, each has probability 1/2.

    Args:
        clips: Float, shape (B, T, 3, H, W).
        labels: Integer, shape (B,), 0 to C - 1.
        num_classes: C.
        mixup_alpha: Both parameters of the Beta distribution of mixup; 0: off.
        cutmix_alpha: The same for cutmix; 0: off. Its rectangle is the same in all frames of a clip.

    Returns:
        The mixed clips, shape (B, T, 3, H, W), and their labels as probabilities, float, shape (B, C).

    Raises:
        ValueError: An alpha is negative.

    >>> clips, labels = torch.zeros(4, 8, 3, 32, 32), torch.tensor([0, 1, 2, 2])
    >>> mixed, probabilities = mix_clips(clips, labels, num_classes=3, mixup_alpha=0.8)
    >>> mixed.shape, probabilities.shape
    (torch.Size([4, 8, 3, 32, 32]), torch.Size([4, 3]))
    """
    if min(mixup_alpha, cutmix_alpha) < 0:
        raise ValueError(f"{mixup_alpha = } and {cutmix_alpha = } must not be negative. Use 0 to turn them off.")
    use_mixup = mixup_alpha > 0 and (cutmix_alpha == 0 or bool(torch.rand(()) < 0.5))
    if not use_mixup and cutmix_alpha == 0:
        return clips, torch.nn.functional.one_hot(labels, num_classes).to(clips.dtype)
    mix = v2.MixUp(alpha=mixup_alpha, num_classes=num_classes) if use_mixup else None
    mix = mix or v2.CutMix(alpha=cutmix_alpha, num_classes=num_classes)
    mixed, probabilities = mix(tv_tensors.Video(clips), labels)  # v2 accepts five dimensions only as a Video
    return mixed.as_subclass(Tensor), probabilities
