"""What the tokens of a frozen model depend on, for the keys of caches."""

from typing import Any

from torch import nn

from side4video.models.backbones.fingerprint import fingerprint, sample_weights
from side4video.models.backbones.frozen_backbone import FrozenBackbone
from side4video.models.backbones.supported_models import activation_of


def token_identity(backbone: FrozenBackbone) -> list[Any]:
    """Everything that the tokens of a picture depend on, as JSON: weights, position table, activation, preprocessing.

    The fingerprint leaves out the position table, which depends on the image size and on the grid of the file's table.

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
    ]
