"""Reads what the config files next to a weight file state about the model: what its tensors do not tell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Activation = str
"""timm's name of an activation: gelu, quick_gelu, gelu_tanh, silu."""

_ACTIVATIONS = {
    "gelu": "gelu",
    "quick_gelu": "quick_gelu",
    "gelu_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
_CLIP_KINDS = ("clip", "metaclip_2", "altclip", "chinese_clip", "clipseg", "git", "kosmos_2")
_DEFAULTS: dict[str, dict[str, Any]] = {  # config files may leave out the defaults of the library
    **{f"{kind}_vision_model": {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5} for kind in _CLIP_KINDS},
    "siglip_vision_model": {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
    "siglip2_vision_model": {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
    "dinov2": {"hidden_act": "gelu", "layer_norm_eps": 1e-6},
    "dinov2_with_registers": {"hidden_act": "gelu", "layer_norm_eps": 1e-6},
    "dinov3_vit": {"hidden_act": "gelu", "layer_norm_eps": 1e-5},
    "vit": {"hidden_act": "gelu", "layer_norm_eps": 1e-12},
    "deit": {"hidden_act": "gelu", "layer_norm_eps": 1e-12},
    "ijepa": {"hidden_act": "gelu", "layer_norm_eps": 1e-12},
    "vit_mae": {"hidden_act": "gelu", "layer_norm_eps": 1e-12},
    "vit_msn": {"hidden_act": "gelu", "layer_norm_eps": 1e-6},
}
_TEXT_KINDS = {f"{kind}{end}" for kind in ("clip", "metaclip_2", "clipseg") for end in ("", "_text_model")}
"""Kinds of models whose text tower is CLIP's, with QuickGELU if the config file states no activation."""
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
_MAX_BYTES = 2**24


@dataclass(frozen=True)
class StatedSettings:
    """What config files state about an image model; None: nothing.

    >>> StatedSettings(activation="quick_gelu").num_heads is None
    True
    """

    source: Path | None = None
    """The first config file that states an activation or a number of heads."""
    activation: Activation | None = None
    epsilon: float | None = None
    """Of the layer norms."""
    num_heads: int | None = None
    image_size: tuple[int, int] | None = None
    """Height and width in pixels of the images that the position table is for."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str | None = None


def library_defaults(model_type: str) -> StatedSettings:
    """Hugging Face's defaults of a kind of model, without an activation for CLIP, whose models have either.

    >>> library_defaults("siglip_vision_model").activation
    'gelu_tanh'
    """
    defaults = _DEFAULTS[model_type]
    activation = None if model_type == "clip_vision_model" else _ACTIVATIONS[defaults["hidden_act"]]
    return StatedSettings(activation=activation, epsilon=defaults["layer_norm_eps"])


def stated_text_activation(folder: Path) -> Activation | None:
    """The activation of the text tower that a config.json or open_clip_config.json in a folder states.

    Raises:
        ValueError: a config file is corrupt.
    """
    for name in ("config.json", "open_clip_config.json"):
        path = folder / name
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            continue
        content = _content(path)
        text = _part(content, "text_config") if "text_config" in content else content
        if str(content.get("model_type")) in _TEXT_KINDS:
            return _ACTIVATIONS.get(str(text.get("hidden_act", "quick_gelu")))
        if "model_cfg" in content and "hf_model_name" not in _part(_part(content, "model_cfg"), "text_cfg"):
            return "quick_gelu" if _part(content, "model_cfg").get("quick_gelu") else "gelu"
    return None


def stated_settings(folder: Path) -> StatedSettings:
    """The settings that the config files in a folder state: of Hugging Face, open_clip or timm.

    Raises:
        ValueError: a config file is corrupt.
    """
    found: dict[str, Any] = {}
    for name, read in (
        ("config.json", _read_config),
        ("open_clip_config.json", _read_open_clip),
        ("preprocessor_config.json", _read_preprocessor),
    ):
        path = folder / name
        if path.is_file() and path.stat().st_size <= _MAX_BYTES:
            stated = {key: value for key, value in read(_content(path)).items() if value is not None}
            names_source = "source" not in found and not stated.keys().isdisjoint({"activation", "num_heads"})
            found |= ({"source": path} if names_source else {}) | stated
    return StatedSettings(**found)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}, next to the weights, is not JSON ({str(error)[:200]}). Download it again or remove it."
        ) from error
    return content if isinstance(content, dict) else {}


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    return part if isinstance(part, dict) else {}


def _read_config(content: Mapping[str, Any]) -> dict[str, Any]:
    if "pretrained_cfg" in content or "architecture" in content:
        return _read_timm(content)
    if "model_type" not in content:
        return {}
    given = _part(content, "vision_config") if "vision_config" in content else content
    kind = _text(given.get("model_type")) or str(content["model_type"])
    defaults = _DEFAULTS.get(kind) or _DEFAULTS.get(f"{kind}_vision_model")
    if defaults is None and "patch_size" not in given:  # of no image model, such as a text tower's
        return {}
    stated = {**(defaults or {}), **given}
    gated = stated.get("use_swiglu_ffn")  # its activation is fixed, whatever hidden_act is
    return {
        "activation": None if gated else _ACTIVATIONS.get(str(stated.get("hidden_act"))),
        "epsilon": _number(stated.get("layer_norm_eps")),
        "num_heads": _whole(stated.get("num_attention_heads")),
        "image_size": None if kind.startswith("siglip2") else _size(stated.get("image_size")),
    }


def _read_timm(content: Mapping[str, Any]) -> dict[str, Any]:
    trained, args = _part(content, "pretrained_cfg"), _part(content, "model_args")
    shape = trained.get("input_size") or content.get("input_size")
    return {
        "activation": _ACTIVATIONS.get(str(args.get("act_layer"))),
        "num_heads": _whole(args.get("num_heads")),
        "image_size": _size(args.get("img_size") or (shape[1:] if isinstance(shape, list) else None)),
        "mean": _colours(trained.get("mean")),
        "std": _colours(trained.get("std")),
        "interpolation": _text(trained.get("interpolation")),
    }


def _read_open_clip(content: Mapping[str, Any]) -> dict[str, Any]:
    model, pictures = _part(content, "model_cfg"), _part(content, "preprocess_cfg")
    vision = _part(model, "vision_cfg")
    own_tower = bool(vision) and "timm_model_name" not in vision
    return {
        "activation": ("quick_gelu" if model.get("quick_gelu") else "gelu") if own_tower else None,
        "mean": _colours(pictures.get("mean")),
        "std": _colours(pictures.get("std")),
        "interpolation": _text(pictures.get("interpolation")),
    }


def _read_preprocessor(content: Mapping[str, Any]) -> dict[str, Any]:
    resample = content.get("resample")
    return {
        "mean": _colours(content.get("image_mean")),
        "std": _colours(content.get("image_std")),
        "interpolation": _RESAMPLING.get(resample) if isinstance(resample, int) else None,
    }


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 < value < 1 else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _colours(value: Any) -> tuple[float, ...] | None:
    good = isinstance(value, list) and len(value) == 3 and all(isinstance(number, (int, float)) for number in value)
    return tuple(map(float, value)) if good else None


def _size(value: Any) -> tuple[int, int] | None:
    """Height and width from one number or a pair."""
    pair = value if isinstance(value, list) else [value, value]
    whole = len(pair) == 2 and all(isinstance(number, int) and number > 0 for number in pair)
    return (pair[0], pair[1]) if whole else None
