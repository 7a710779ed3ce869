"""A short hash that identifies a set of weights: 16 hexadecimal digits."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_SAMPLES_PER_TENSOR = 256

Sample = tuple[str, tuple[int, ...], Tensor]
"""Name and shape of a tensor, and some of its values in bfloat16."""


def sample_weights(model: nn.Module) -> list[Sample]:
    """Copy about 256 values of each tensor of a model, sorted by name."""
    samples = []
    for name, tensor in sorted(model.state_dict().items()):
        stride = max(1, tensor.numel() // _SAMPLES_PER_TENSOR) | 1  # odd: not always the same column of a matrix
        samples.append((name, tuple(tensor.shape), tensor.flatten()[::stride].to(torch.bfloat16, copy=True)))
    return samples


def fingerprint(architecture: str, samples: Iterable[Sample]) -> str:
    """First 16 digits of the SHA-256 of the architecture's name and of each sample's name, shape and values."""
    digest = hashlib.sha256(architecture.encode())
    for name, shape, values in samples:
        digest.update(f"{name}{shape}".encode())
        digest.update(values.cpu().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]
