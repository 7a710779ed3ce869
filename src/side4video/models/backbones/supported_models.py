"""The timm models that a side network can read block by block: their classes, building them, their activation."""

from typing import Any

import timm
import torch
from timm.layers import get_act_layer
from timm.models import model_entrypoint
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer

MODEL_CLASSES = (VisionTransformer, VisionTransformerDistilled, Eva)
"""Supported timm classes: their blocks can run one by one on the same token grid."""

ACTIVATIONS = ("gelu", "quick_gelu", "gelu_tanh")
"""timm's names of the activations that a model can be built with."""

_ACTIVATION_CLASSES = {"GELU": "gelu", "QuickGELU": "quick_gelu", "GELUTanh": "gelu_tanh", "SiLU": "silu"}


def architecture_of(name: str) -> str:
    """timm's name of a model without the tag of its weights."""
    return name.partition(".")[0]


def class_name(name: str) -> str:
    """The name of the class of a timm model, read from its builder's annotation: nothing is built or downloaded."""
    builder = model_entrypoint(name)
    return getattr(builder.__annotations__.get("return"), "__name__", builder.__module__.rpartition(".")[2])


def is_supported(name: str) -> bool:
    """Whether the blocks of a timm model can run one by one.

    >>> is_supported("vit_base_patch16_224"), is_supported("resnet50")
    (True, False)
    """
    return class_name(name) in {known.__name__ for known in MODEL_CLASSES}


def unsupported_message(name: str, class_name: str) -> str:
    """Error message for a timm model of an unsupported class."""
    known = ", ".join(known.__name__ for known in MODEL_CLASSES)
    return (
        f"{name} has timm's class {class_name}. A side network needs the same token grid after every block, so a "
        f"backbone must be one of {known}. list_backbones() lists them, such as vit_base_patch16_clip_quickgelu_224."
    )


def create_model(name: str, args: dict[str, Any], *, activation: str | None = None) -> Any:
    """Build a timm model, with one of `ACTIVATIONS` or the model's own.

    Raises:
        ValueError: timm refuses the arguments, or the activation of this model cannot be changed.
    """
    if activation is not None and activation != (own := _own_activation(name, args)):
        if own not in ACTIVATIONS or class_name(name) == Eva.__name__:
            raise ValueError(
                f"activation = {activation!r}: {name} has {own}, which cannot be changed. Use the activation 'model'."
            )
        args = args | {"act_layer": get_act_layer(activation)}
    try:
        return timm.create_model(name, **args)
    except (AssertionError, ArithmeticError, TypeError) as error:
        raise ValueError(f"timm cannot build {name} with {args}: {error}. Check model_args.") from error


def _own_activation(name: str, args: dict[str, Any]) -> str:
    with torch.device("meta"):  # takes no memory
        return activation_of(create_model(name, {**args, "pretrained": False}))


def activation_of(model: Any) -> str:
    """timm's name of the activation in the MLPs of a model, or the name of its class.

    >>> activation_of(timm.create_model("vit_tiny_patch16_224", depth=1))
    'gelu'
    """
    parts = model.blocks[0].named_modules()  # blocks with parallel parts have several MLPs, or none as a module
    kind = next((type(part).__name__ for name, part in parts if name.rpartition(".")[2] in {"act", "mlp_act"}), "none")
    return _ACTIVATION_CLASSES.get(kind, kind)


def num_heads_of(model: Any) -> int | None:
    """Attention heads of the first block of a timm model; None: unknown."""
    return next((part.num_heads for part in model.blocks[0].modules() if hasattr(part, "num_heads")), None)


def square_grid(model: Any, name: str) -> tuple[int, int]:
    """Side of the frames of a timm model in pixels, and its rows of patches, as many as columns.

    Raises:
        ValueError: frames or grid are not square, or frames do not divide into whole patches.
    """
    rows, columns = model.patch_embed.grid_size
    height, width = model.patch_embed.img_size
    if height != width or rows != columns or not rows or height % rows or height % model.patch_embed.patch_size[0]:
        raise ValueError(
            f"{name} reads frames of {height}x{width} pixels as {rows}x{columns} patches. Frames must be square and "
            "divide into whole patches: use an image_size that is a multiple of the patch size."
        )
    return height, rows
