"""The timm models that a side network can read block by block: their classes, building them, their activation."""

from typing import Any

import timm
from timm.layers import get_act_layer
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
        ValueError: timm refuses the arguments.
    """
    if activation is not None:
        args = args | {"act_layer": get_act_layer(activation)}
    try:
        return timm.create_model(name, **args)
    except (AssertionError, ArithmeticError, TypeError) as error:
        raise ValueError(f"timm cannot build {name} with {args}: {error}. Check model_args.") from error


def activation_of(model: Any) -> str:
    """timm's name of the activation in the MLPs of a model, or the name of its class.

    >>> activation_of(timm.create_model("vit_tiny_patch16_224", depth=1))
    'gelu'
    """
    mlp = getattr(model.blocks[0], "mlp", None)
    kind = type(getattr(mlp, "act", None)).__name__
    return _ACTIVATION_CLASSES.get(kind, kind)
