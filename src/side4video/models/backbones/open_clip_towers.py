"""The image towers of open_clip's models as timm models: which one, with which arguments, pooling and preprocessing."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import open_clip
import timm
from open_clip.pretrained import get_pretrained_cfg
from timm.layers import PatchEmbed

from side4video.models.backbones.supported_models import is_supported

_NATIVE = ("vit_base_patch16_clip_224", "vit_base_patch16_clip_quickgelu_224")  # timm's CLIP without, with QuickGELU
_NATIVE_DEFAULTS = {
    "head_width": 64,
    "mlp_ratio": 4.0,
    "ls_init_value": None,
    "no_ln_pre": False,
    "pool_type": "tok",
    "final_ln_after_pool": False,
}
_WITHOUT_EFFECT = {"image_size", "patch_size", "width", "layers", "patch_dropout", "output_tokens", "pos_embed_type"}


@dataclass(frozen=True)
class ImageTower:
    """The image tower of an open_clip model.

    Attributes:
        architecture: timm's name of the model.
        args: arguments of timm's `create_model` that make its output the image embedding.
        embed_dim: E, width of the image embedding.
        projection_bias: whether the last linear layer has a bias.
        mean, std, interpolation: of the preprocessing, as open_clip states it for the weights.

    >>> find_image_tower("ViT-B-16-SigLIP2.webli").architecture
    'vit_base_patch16_siglip_224'
    """

    architecture: str
    args: dict[str, Any]
    embed_dim: int
    projection_bias: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str


def is_open_clip(name: str) -> bool:
    """Whether open_clip has a model of this name, with or without a tag behind a dot, and timm has not.

    >>> is_open_clip("PE-Core-B-16.meta"), is_open_clip("vit_base_patch16_224.mae")
    (True, False)
    """
    model = name.partition(".")[0]
    return not timm.is_model(model) and model in _models()


def list_image_text_models() -> list[str]:
    """open_clip's names, with tags, of all models with weights whose image tower is supported.

    >>> names = list_image_text_models()
    >>> "PE-Core-L-14-336.meta" in names, "RN50.openai" in names, "ViT-B-16.openai" in names  # needs -quickgelu
    (True, False, False)
    """
    return [f"{name}.{tag}" for name, tag in open_clip.list_pretrained() if _is_supported(name, tag)]


def find_image_tower(name: str) -> ImageTower:
    """The image tower of an open_clip model.

    Args:
        name: open_clip's name with the tag of the weights, such as "PE-Core-B-16.meta". The tag may be left out if all
            weights of the model need the same preprocessing.

    Raises:
        ValueError: unknown name or tag, or an image tower whose blocks cannot run one by one.
    """
    model, tag = _split(name)
    config = open_clip.get_model_config(model)
    vision, quick_gelu = config["vision_cfg"], config.get("quick_gelu", False)
    if "timm_model_name" in vision:
        architecture, args, bias = _timm_tower(name, vision, config["embed_dim"])
    else:
        architecture, args, bias = _NATIVE[quick_gelu], _native_args(name, vision, config["embed_dim"]), False
    preprocessing = _preprocessing(model, tag)
    if preprocessing.get("quick_gelu") and not quick_gelu and "timm_model_name" not in vision:
        raise ValueError(
            f"The weights {tag!r} of {model} were trained with QuickGELU. Another activation would silently give worse "
            f"results: use the name {model}-quickgelu.{tag}."
        )
    return ImageTower(
        architecture=architecture,
        args=args,
        embed_dim=config["embed_dim"],
        projection_bias=bias,
        mean=tuple(preprocessing["mean"]),
        std=tuple(preprocessing["std"]),
        interpolation=preprocessing["interpolation"],
    )


def hub_repository(name: str) -> str | None:
    """The repository on the Hugging Face hub with the weights of an open_clip model; None if they are elsewhere.

    >>> hub_repository("PE-Core-B-16.meta")
    'timm/PE-Core-B-16'
    """
    model, _, tag = name.partition(".")
    return (get_pretrained_cfg(model, tag).get("hf_hub") or "").rpartition("/")[0] or None


def download_weights(name: str) -> str:
    """The file with the weights of a whole open_clip model, downloaded once and cached.

    Raises:
        ValueError: the name has no tag, or open_clip does not know it.
        OSError: the weights cannot be downloaded.
    """
    model, tag = _split(name)
    if not tag:
        tags = ", ".join(f"{model}.{known}" for known in open_clip.list_pretrained_tags_by_model(model))
        raise ValueError(f"{name}: say which weights. open_clip has {tags or 'none for this model'}.")
    try:
        return open_clip.download_pretrained(get_pretrained_cfg(model, tag))
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"The weights of {name} cannot be loaded from the hub ({type(error).__name__}: {error}). Without a "
            "connection, download the file elsewhere and give its path: --backbone.weights FILE for a recipe, "
            "--backbone-weights FILE for an adapter or an untrained model."
        ) from error


@cache
def _models() -> frozenset[str]:
    return frozenset(open_clip.list_models())


def _split(name: str) -> tuple[str, str]:
    """Name and tag of a model of open_clip, checked; the tag may be empty."""
    model, _, tag = name.partition(".")
    if model not in _models():
        close = difflib.get_close_matches(model, _models(), n=3)
        raise ValueError(f"open_clip has no model {model!r}. Did you mean {', '.join(close) or 'PE-Core-B-16'}?")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag and tag not in tags:
        raise ValueError(f"{name!r} has an unknown weights tag. Tags in open_clip: {', '.join(tags) or 'none'}.")
    return model, tag


def _preprocessing(model: str, tag: str) -> dict[str, Any]:
    """open_clip's statement about the weights; without a tag, what all weights of the model have in common."""
    stated = [get_pretrained_cfg(model, known) for known in open_clip.list_pretrained_tags_by_model(model)]
    if tag or not stated:
        return get_pretrained_cfg(model, tag) or {
            "mean": open_clip.OPENAI_DATASET_MEAN,
            "std": open_clip.OPENAI_DATASET_STD,
            "interpolation": "bicubic",
        }
    keys = ("mean", "std", "interpolation")
    if any(one[key] != stated[0][key] for one in stated for key in keys):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model))
        raise ValueError(f"The weights of {model} differ in preprocessing. Name them: {model}.TAG with one of {tags}.")
    return {key: stated[0][key] for key in keys}


def _timm_tower(name: str, vision: Mapping[str, Any], embed_dim: int) -> tuple[str, dict[str, Any], bool]:
    """timm's name, its arguments, and whether the projection has a bias, for a tower that is timm's already."""
    pool, projection = vision.get("timm_pool", "avg"), vision.get("timm_proj", "linear")
    if pool in {"abs_attn", "rot_attn"} or projection == "mlp":
        raise ValueError(f"{name} pools by {pool!r} and projects by {projection!r}, which is not supported.")
    args: dict[str, Any] = {"num_classes": 0 if projection == "none" else embed_dim}
    if pool:
        args["global_pool"] = pool
    return vision["timm_model_name"], args, not projection or vision.get("timm_proj_bias", False)


def _native_args(name: str, vision: Mapping[str, Any], embed_dim: int) -> dict[str, Any]:
    """timm's arguments for a Vision Transformer of open_clip's own; its layers are those of timm's CLIP models."""
    settings = {**_NATIVE_DEFAULTS, **vision}
    unknown = settings.keys() - _NATIVE_DEFAULTS.keys() - _WITHOUT_EFFECT
    if not isinstance(vision["layers"], int) or unknown or settings["pool_type"] not in {"tok", "avg"}:
        kind = ", ".join(sorted(unknown)) if isinstance(vision["layers"], int) else "a ResNet"
        raise ValueError(
            f"{name} has an image tower with {kind}, which is not supported. A backbone must be a Vision Transformer "
            "with the same token grid after every block. `side4video backbones` lists them."
        )
    return {
        "img_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "embed_dim": vision["width"],
        "depth": vision["layers"],
        "num_heads": vision["width"] // settings["head_width"],
        "mlp_ratio": settings["mlp_ratio"],
        "init_values": settings["ls_init_value"],
        "pre_norm": not settings["no_ln_pre"],
        "num_classes": embed_dim,
        "global_pool": "avg" if settings["pool_type"] == "avg" else "token",
        "fc_norm": settings["final_ln_after_pool"],
        "embed_layer": _patch_embedding,
    }


def _patch_embedding(**arguments: Any) -> PatchEmbed:
    """timm's patch embedding without bias, as in CLIP; timm would add one to towers without a norm before them."""
    return PatchEmbed(**arguments | {"bias": False})


def _is_supported(name: str, tag: str) -> bool:
    try:
        return is_supported(find_image_tower(f"{name}.{tag}").architecture)
    except ValueError:
        return False
