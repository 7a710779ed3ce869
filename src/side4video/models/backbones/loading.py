"""Builds a backbone by name, with weights from the hub, from a file, or random."""

import difflib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import timm
import torch

from side4video.distributed.processes import print_once
from side4video.models.backbones.block_tokens import BlockTokens
from side4video.models.backbones.building_from_files import WeightsChoices, build_from_file, stated_preprocessing
from side4video.models.backbones.catalogue import (
    check_timm_name,
    default_image_size,
    list_backbones,
    unknown_name,
    weights_source,
)
from side4video.models.backbones.fingerprint import sample_weights
from side4video.models.backbones.frozen_backbone import FrozenBackbone
from side4video.models.backbones.image_weights import to_timm
from side4video.models.backbones.names import NAMED_BACKBONES, full_name
from side4video.models.backbones.preprocessing import Preprocessing
from side4video.models.backbones.stated_settings import StatedSettings
from side4video.models.backbones.supported_models import (
    MODEL_CLASSES,
    architecture_of,
    class_name,
    create_model,
    is_supported,
    unsupported_message,
)
from side4video.models.backbones.weight_files import check_finite
from side4video.system.devices import seeded_generators

if TYPE_CHECKING:  # it imports open_clip, which takes seconds
    from side4video.models.backbones.open_clip_towers import ImageTower

__all__ = [
    "NAMED_BACKBONES",
    "BlockTokens",
    "FrozenBackbone",
    "default_image_size",
    "list_backbones",
    "load_backbone",
    "mismatched_weights",
    "weights_source",
]

# timm's names of image-text models with attention pooling; the embedding of others is their class token's.
_ATTENTION_POOLING = ("_siglip_", "_pe_core_")


def _check_model_args(model_args: Mapping[str, Any]) -> None:
    """Allow only arguments of timm's model classes: its `create_model` has others, which read files."""
    known = {name for kind in MODEL_CLASSES for name in inspect.signature(kind.__init__).parameters} - {
        "self",
        "args",
        "kwargs",
    }
    if unknown := sorted(model_args.keys() - known):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"model_args: unknown arguments of timm's models: {', '.join(unknown)}.{hint}")


def _build_random(name: str, args: dict[str, Any], activation: str | None, seed: int) -> Any:
    device = torch.get_default_device()
    with seeded_generators(device, seed):
        return create_model(name, args, activation=activation)


def _build_from_hub(name: str, args: dict[str, Any], activation: str | None) -> Any:
    # With its own head timm loads strictly. With num_classes=0 it ignores missing tensors, and with another number of
    # classes than the weights have it leaves the head random.
    settings = timm.get_pretrained_cfg(name)
    own = settings.num_classes if settings else None
    if args.get("num_classes", own) != own:
        raise ValueError(
            f"The weights of {name} project to {own} dimensions, not {args['num_classes']}. Use the text tower of the "
            "same model."
        )
    try:
        return create_model(name, {**args, "pretrained": True}, activation=activation)
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"The weights of {name} cannot be loaded from the hub ({type(error).__name__}: {error}). Without a "
            "connection, download the file elsewhere and give its path: --backbone.weights FILE for a recipe, "
            "--backbone-weights FILE for an adapter. model_args must match the weights."
        ) from error


def load_backbone(
    name: str,
    *,
    weights: str | Path = "hub",
    image_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    quantise: Literal["none", "int8", "nf4"] = "none",
    chunk_frames: int = 64,
    model_args: dict[str, Any] | None = None,
    projection_width: int | None = None,
    weights_key: str = "auto",
    activation: str = "auto",
    position_grid: tuple[int, int] | None = None,
    seed: int = 0,
) -> FrozenBackbone:
    """Build a backbone by name and load its weights.

    Args:
        name: a short name such as "clip-b16" (see `NAMED_BACKBONES`), one of `list_backbones`, such as
            "vit_base_patch16_clip_quickgelu_224", or open_clip's name of an image-text model, such as "PE-Core-B-16". A
            weights tag may follow, such as ".openai"; without one, timm's default weights and normalisation are used.
        weights: "hub" (downloaded once from the Hugging Face hub and cached), "random", or a path: a `.safetensors`
            file, a `torch.save` file with tensors only, OpenAI's TorchScript archive, or a folder with one of them,
            also sharded. Tensors have timm's names, Hugging Face's, or those of the model's authors, under any prefix.
            Nothing in a file is executed. Heads are ignored. One line is printed: what the file is, and the choices.
        image_size: height and width of the frames, pixels; default: the model's own. Position embeddings are resampled.
        dtype: dtype of weights and tokens.
        quantise: store the weights inside the blocks in 8 bits ("int8") or 4 ("nf4"), see `FrozenBackbone.quantise`.
        chunk_frames: frames that go through a block at once, see `FrozenBackbone`.
        model_args: further arguments of timm's model, e.g. `{"depth": 4, "embed_dim": 128}`.
        projection_width: E, keep an image-text model's pooling and its projection to the E-dimensional space shared
            with texts; default: drop the projection, and for timm's names also the pooling.
        weights_key: which weights of a file: "auto" (averaged weights, EMA, if the file has them), "ema", "raw", or
            their key in the file, such as "teacher.backbone".
        activation: "auto" (that of a config.json next to the weights, otherwise the model's), "model" (always that of
            the named model), "gelu", "quick_gelu" or "gelu_tanh".
        position_grid: rows and columns of a file's position table; by default those that a config.json states, or a
            square.
        seed: seed of random weights; the global random state is not changed.

    The model is built on the current default device: `with torch.device("cuda"):` builds a large model directly on the
    GPU, and `with torch.device("meta"):` gives random weights that take no memory, for counting parameters.

    Raises:
        ValueError: unknown name or tag, unsupported kind of model, a file that does not match the model, or weights
            with NaN or infinity, as after a cast to float16 whose range they exceed.
        FileNotFoundError: there is no such file.
        OSError: the weights cannot be downloaded.
        ModuleNotFoundError: `quantise` is given and bitsandbytes is not installed.

    >>> backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 1})
    >>> backbone.width, backbone.num_blocks, backbone.num_patches
    (192, 1, 4)
    """
    name = full_name(name)
    tower = _image_tower(name)
    architecture = name if tower is None else tower.architecture
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"{dtype = } is not a number type of weights. Use torch.float32, bfloat16 or float16.")
    _check_model_args(model_args or {})
    args = dict(model_args or {}) | ({} if image_size is None else {"img_size": image_size})
    if tower is not None:
        args = _tower_args(name, tower, projection_width, weights) | args
    elif projection_width is not None:
        args |= _projection_args(name, projection_width)
    choices = WeightsChoices(weights_key, activation, position_grid)
    given = None if activation in {"auto", "model"} else activation
    stated = StatedSettings()
    if weights == "random":
        model = _build_random(architecture, args, given, seed)
        samples = sample_weights(model)
    elif weights == "hub" and tower is None:
        model = _build_from_hub(name, args, given)
        samples = sample_weights(model)
    else:
        path = Path(_download(name) if weights == "hub" else weights)
        built = build_from_file(architecture, args, path, dtype, choices)
        model, samples, stated = built.model, built.samples, built.stated
    keep = projection_width is not None
    model = model.to(dtype)
    if weights != "random":
        check_finite(model.state_dict(), what=f"The weights of {name} from {str(weights)!r} as {_dtype_name(dtype)}")
    backbone = FrozenBackbone(
        model,
        name=name,
        chunk_frames=chunk_frames,
        keep_projection=keep,
        projection_bias=None if tower is None else tower.projection_bias,
        keep_pooling=keep or tower is not None,
        samples=samples,
    )
    if keep and backbone.embed_dim != projection_width:
        raise _other_width(name, backbone.embed_dim, projection_width)
    if tower is not None:
        backbone.set_preprocessing(Preprocessing(tower.mean, tower.std, tower.interpolation))
    _use_stated_preprocessing(backbone, stated)
    return backbone if quantise == "none" else backbone.quantise(quantise)


def _image_tower(name: str) -> "ImageTower | None":
    """Check a name; the image tower if it is open_clip's, None if it is timm's."""
    if timm.is_model(architecture_of(name)):
        check_timm_name(name)
        return None
    from side4video.models.backbones.open_clip_towers import find_image_tower, is_open_clip

    if not is_open_clip(name):
        raise unknown_name(name)
    tower = find_image_tower(name)
    if not is_supported(tower.architecture):
        raise ValueError(unsupported_message(name, class_name(tower.architecture)))
    return tower


def _tower_args(name: str, tower: "ImageTower", width: int | None, weights: str | Path) -> dict[str, Any]:
    """timm's arguments for a tower of open_clip; only random weights and files may have another projection."""
    if width is None or not tower.args["num_classes"]:
        return tower.args
    if weights == "hub" and width != tower.embed_dim:
        raise _other_width(name, tower.embed_dim, width)
    return tower.args | {"num_classes": width}


def _other_width(name: str, own: int | None, wanted: int | None) -> ValueError:
    return ValueError(f"{name} embeds images in {own} dimensions, not {wanted}. Use the text tower of the same model.")


def _download(name: str) -> str:
    from side4video.models.backbones.open_clip_towers import download_weights

    return download_weights(name)


def _projection_args(name: str, width: int) -> dict[str, Any]:
    """Arguments that make a timm model's output the image embedding of its image-text model."""
    if not any(part in name for part in _ATTENTION_POOLING) or "_gap_" in name:
        return {"num_classes": width, "global_pool": "token"}
    return {"num_classes": 0 if "_siglip_" in name else width, "global_pool": "map"}


def _use_stated_preprocessing(backbone: FrozenBackbone, stated: StatedSettings) -> None:
    preprocessing = stated_preprocessing(stated, backbone.preprocessing)
    if differences := preprocessing.differences(backbone.preprocessing):
        print_once(f"Preprocessing as the files next to the weights state: {differences}.")
        backbone.set_preprocessing(preprocessing)


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def mismatched_weights(backbone: FrozenBackbone, state: dict[str, Any]) -> list[str]:
    """Names of tensors in an image model's state dict that differ from the backbone's by more than 16-bit rounding.

    Tensors that only one of the two has are ignored.

    Args:
        backbone: the model to compare with.
        state: the state dict, with the names of the model's authors or timm's.
    """
    own = backbone.model.state_dict()
    given = to_timm(backbone.model.pretrained_cfg["architecture"], state, backbone.model)
    return sorted(
        name
        for name, tensor in given.items()
        if name in own and not torch.allclose(tensor.float(), own[name].float(), rtol=0.01, atol=1e-4)
    )
