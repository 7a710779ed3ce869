"""A hash that identifies a set of weights: 32 hexadecimal digits."""

import hashlib
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

_SAMPLES_PER_TENSOR = 256
_POSITION_TABLE = "pos_embed"  # resampled for each image size

_UNREAD = ("head.", "head_dist.", "attn_pool.")  # whether a model keeps them depends on its use

Sample = tuple[str, tuple[int, ...], Tensor]
"""Name and shape of a tensor, and some of its values in float32."""


def sample_weights(model: nn.Module | Mapping[str, Tensor]) -> list[Sample]:
    """Copy about 256 values of each tensor of a model or state dict, sorted by name."""
    state = model.state_dict() if isinstance(model, nn.Module) else model
    samples = []
    for name, tensor in sorted(state.items()):
        stride = max(1, tensor.numel() // _SAMPLES_PER_TENSOR) | 1  # odd: not always the same column of a matrix
        values = tensor.flatten()[::stride].to(torch.float32, copy=True)
        samples.append((name, tuple(tensor.shape), values if tensor.is_meta else values.cpu()))
    return samples


def fingerprint(architecture: str, samples: Iterable[Sample]) -> str:
    """First 16 digits of the SHA-256 of the architecture's name and of each sample's name, shape and values.

    Values are rounded to bfloat16.
    """
    return _hash(architecture, samples, lambda values: values)


def weights_fingerprint(architecture: str, samples: Iterable[Sample]) -> str:
    """32 digits: two hashes of 16, of the values rounded to bfloat16, and rounded to float16 first.

    The first is the same for a bfloat16 copy of the weights, the second for a float16 copy; `same_weights` compares.
    The position table is left out.
    """
    kept = [sample for sample in _read(samples) if sample[0] != _POSITION_TABLE]
    return _hash(architecture, kept, lambda values: values) + _hash(architecture, kept, Tensor.half)


def earlier_fingerprints(architecture: str, samples: Iterable[Sample]) -> tuple[str, str]:
    """The fingerprints of 16 digits that earlier versions gave the same weights: in 32 bits or bfloat16, in float16.

    They include the position table of the model's image size.
    """
    kept = _read(samples)
    return fingerprint(architecture, kept), _hash(architecture, kept, Tensor.half)


def same_weights(one: str, other: str) -> bool:
    """Whether two results of `weights_fingerprint` are of the same weights, also if one is of a 16-bit copy.

    >>> same_weights("a" * 16 + "b" * 16, "b" * 16 + "b" * 16), same_weights("a" * 32, "b" * 32)
    (True, False)
    """
    halves = [{name[:16], name[16:]} for name in (one, other)]
    return len(one) == len(other) == 32 and not halves[0].isdisjoint(halves[1])


def _read(samples: Iterable[Sample]) -> list[Sample]:
    return [sample for sample in samples if not sample[0].startswith(_UNREAD)]


def _hash(architecture: str, samples: Iterable[Sample], rounded: Callable[[Tensor], Tensor]) -> str:
    digest = hashlib.sha256(architecture.encode())
    for name, shape, values in samples:
        digest.update(f"{name}{shape}".encode())
        digest.update(rounded(values).to(torch.bfloat16).cpu().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]
