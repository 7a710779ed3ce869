"""What the tokens of a frozen model depend on, for the keys of caches."""

import hashlib
from typing import Any

from torch import nn

from side4video.models.backbones.fingerprint import fingerprint, sample_weights
from side4video.models.backbones.frozen_backbone import FrozenBackbone
from side4video.models.backbones.supported_models import activation_of

_WITHOUT_EFFECT = {"training", "fused_attn", "grad_checkpointing"}


def token_identity(backbone: FrozenBackbone) -> list[Any]:
    """Everything that the tokens of a picture and their pooled summary depend on, as JSON.

    The fingerprint leaves out the position table, which depends on the image size and on the grid of the file's table,
    and what no tensor tells: activation, number of heads, epsilon of the norms, pooling.

    >>> from side4video import load_backbone
    >>> backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 1})
    >>> token_identity(backbone)[2:6]
    ['gelu', 'torch.float32', 'none', 32]
    """
    table = getattr(backbone.model, "pos_embed", None)
    positions = fingerprint("positions", sample_weights({"table": table})) if isinstance(table, nn.Parameter) else ""
    return [
        backbone.fingerprint,
        positions,
        activation_of(backbone.model),
        str(backbone.dtype),
        backbone.quantised,
        backbone.image_size,
        [list(backbone.mean), list(backbone.std), backbone.interpolation],
        _structure(backbone),
    ]


def _structure(backbone: FrozenBackbone) -> str:
    """A hash of the kinds of all layers and their plain settings."""
    digest = hashlib.sha256()
    for name, module in [*backbone.model.named_modules(), ("pooling", backbone.pooling)]:
        settings = sorted(
            (key, repr(value))
            for key, value in getattr(module, "__dict__", {}).items()
            if isinstance(value, bool | int | float | str | tuple)
            if not key.startswith("_") and key not in _WITHOUT_EFFECT
        )
        digest.update(f"{name} {type(module).__name__} {settings}\n".encode())
    return digest.hexdigest()[:16]
