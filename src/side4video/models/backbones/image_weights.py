"""Reads the weights of an image tower from a file or folder, and fits them to a timm model."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from timm.models import model_entrypoint
from torch import Tensor, nn

from side4video.models.backbones.hugging_face import image_to_timm
from side4video.models.backbones.position_tables import Grid, fit_table, table_grid
from side4video.models.backbones.stated_settings import StatedSettings, library_defaults, stated_settings
from side4video.models.backbones.weight_files import read_tensors, without_wrappers
from side4video.models.backbones.weight_folders import local_path
from side4video.models.backbones.weight_kinds import describe_weights
from side4video.models.backbones.weight_layouts import (
    HF_CLIP,
    HF_DINOV3,
    HF_VIT,
    IMAGE_LAYOUTS,
    OPENAI,
    TIMM,
    Tower,
    choose_tower,
    describe_choice,
    find_towers,
)

# Options that timm's own builders pass to its weight converter for some names; the first match counts.
_CONVERTER_OPTIONS: dict[str, dict[str, Any]] = {
    "deit3": {"adapt_layer_scale": True},
    "flexivit": {"interpolation": "bilinear", "antialias": False},
    "base_patch16_radio_v3": {"interpolation": "bilinear", "antialias": False, "align_corners": True},
    "huge_patch16_radio_v3": {"interpolation": "bilinear", "antialias": False, "align_corners": True},
    "radio": {"interpolation": "bilinear", "antialias": False, "align_corners": False},
}
_HUGGING_FACE = (HF_CLIP, HF_VIT, HF_DINOV3)
_TABLES = ("pos_embed", "visual.pos_embed", "visual.trunk.pos_embed", "visual.positional_embedding")
_CHUNKED_BLOCK = re.compile(r"^blocks\.\d+\.(?=\d+\.)")  # DINOv2's training code groups the blocks
_LORA = (".lora_A.", ".lora_B.", ".lora_magnitude_vector")


@dataclass(frozen=True)
class ImageWeights:
    """The tensors of an image tower as they stand in a file.

    Attributes:
        path: the file or folder.
        kind: what the file is, a noun phrase.
        names: the names of all tensors in the file.
        tower: where the image tower was found; None: in none of the layouts that are searched for.
        tensors: the tower's tensors; without a tower, all tensors of the file.
        stated: what config files in the same folder, or the layout, state about the model.

    >>> ImageWeights(Path("head.pt"), "a state dict", frozenset(["weight"]), None, {}, StatedSettings()).tower is None
    True
    """

    path: Path
    kind: str
    names: frozenset[str]
    tower: Tower | None
    tensors: dict[str, Tensor]
    stated: StatedSettings

    def describe(self) -> str:
        """What was found in the file, for the log."""
        where = f"image tower under {self.tower.prefix.rstrip('.')}" if self.tower and self.tower.prefix else ""
        choice = describe_choice(self.tower) if self.tower else ""
        return ", ".join(part for part in (self.kind, choice or where) if part)


def read_image_weights(path: Path, *, key: str = "auto") -> ImageWeights:
    """Read a weight file or folder, and find the image tower in it.

    Args:
        path: see `read_content`.
        key: which weights of the file, see `choose_tower`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, has no weights of this key, or stores the tower in a form without values.
    """
    path = local_path(path)
    state = read_tensors(path)
    kind = describe_weights(state)
    if lora := next((name for name in state if any(part in name for part in _LORA)), None):
        raise ValueError(
            f"{path} stores LoRA weights separately ({lora}). Merge them first: model.merge_and_unload() in peft."
        )
    stated = stated_settings(path if path.is_dir() else path.parent)
    towers = find_towers(state, IMAGE_LAYOUTS)
    if not towers:
        if key not in {"auto", "raw"}:
            raise ValueError(f"{path}, {kind}: no image tower was found for weights_key = {key!r}. Use auto.")
        return ImageWeights(path, kind, frozenset(state), None, without_wrappers(state), stated)
    tower = choose_tower(state, towers, key=key, what=str(path))
    if not state[tower.prefix + tower.layout.anchor].numel():
        raise ValueError(
            f"{path} has tensors without values, as DeepSpeed's ZeRO-3 saves them. Run zero_to_fp32.py from the "
            "checkpoint's folder, and give the file that it writes."
        )
    tensors = _tower_tensors(state, tower)
    if tower.layout in _HUGGING_FACE:
        stated = _with_layout_defaults(stated, tower, tensors)
    return ImageWeights(path, kind, frozenset(state), tower, tensors, stated)


def fit_image_weights(
    weights: ImageWeights, name: str, model: Any, *, position_grid: Grid | None = None
) -> tuple[dict[str, Tensor], Grid | None]:
    """The tensors under timm's names with the shapes of a model, and the grid of the file's position table.

    Args:
        weights: the weights; their tensors are moved to the result.
        name: timm's name of the model.
        model: the timm model; it may be on the device "meta".
        position_grid: rows and columns of the position table. By default those that a config file states, or a square.

    Raises:
        ValueError: the position table has another number of patches, or the file has biases that the model lacks.
    """
    state = weights.tensors
    if weights.tower is not None and weights.tower.layout in _HUGGING_FACE:
        state = image_to_timm(state, model)
    grid = _fit_positions(state, name, model, weights, position_grid)
    return to_timm(name, state, model), grid


def to_timm(name: str, state: dict[str, Any], model: Any) -> dict[str, Any]:
    """Rename tensors from the names of the model's authors, or timm's, to timm's, with timm's own converter."""
    convert = sys.modules[model_entrypoint(name).__module__].checkpoint_filter_fn  # from the builder's own module
    converted = convert(state, model, **_converter_options(name))
    converted = {key.replace(".ls_", ".ls"): tensor for key, tensor in converted.items()}  # open_clip's layer scale
    if isinstance(model.norm, nn.Identity):  # the model averages before its last norm, which timm then calls fc_norm
        own = {f"norm.{kind}": f"fc_norm.{kind}" for kind in ("weight", "bias")}
        converted = {own.get(key, key): tensor for key, tensor in converted.items()}
    return converted


def _converter_options(name: str) -> dict[str, Any]:
    return next((options for part, options in _CONVERTER_OPTIONS.items() if part in name), {})


def _tower_tensors(state: Mapping[str, Tensor], tower: Tower) -> dict[str, Tensor]:
    """The tower's tensors under the names that the converters read, with a projection that stands outside of it."""
    tensors = tower.tensors(state)
    if tower.layout is OPENAI:
        return {f"visual.{name}": tensor for name, tensor in tensors.items()}
    if tower.layout is TIMM and tower.prefix.endswith("visual.trunk."):
        outer = tower.prefix.removesuffix("trunk.")
        found = {f"visual.trunk.{name}": tensor for name, tensor in tensors.items()}
        projection = state.get(f"{outer}head.proj.weight")
        return found | ({} if projection is None else {"visual.head.proj.weight": projection})
    if tower.layout is TIMM:
        return {_CHUNKED_BLOCK.sub("blocks.", name): tensor for name, tensor in tensors.items()}
    if tower.layout is HF_CLIP and tower.prefix.endswith("vision_model."):
        projection = state.get(f"{tower.prefix.removesuffix('vision_model.')}visual_projection.weight")
        if projection is not None:
            tensors |= {"visual_projection.weight": projection}
    return tensors


def _library_type(tower: Tower, tensors: Mapping[str, Tensor]) -> str:
    """The library's name of the kind of model, from its tensors."""
    if tower.layout is HF_CLIP:
        return "clip_vision_model" if "embeddings.class_embedding" in tensors else "siglip_vision_model"
    if tower.layout is HF_DINOV3:
        return "dinov3_vit"
    return "dinov2" if any("layer_scale1" in name for name in tensors) else "vit"


def _with_layout_defaults(stated: StatedSettings, tower: Tower, tensors: Mapping[str, Tensor]) -> StatedSettings:
    """Add the library's defaults for this kind of model if no config file states how it computes."""
    if stated.activation is not None or stated.epsilon is not None:
        return stated
    defaults = library_defaults(_library_type(tower, tensors))
    gated = any(".mlp.weights_in." in name or ".mlp.gate_proj." in name for name in tensors)  # a fixed activation
    return replace(stated, activation=None if gated else defaults.activation, epsilon=defaults.epsilon)


def _fit_positions(
    state: dict[str, Tensor], name: str, model: Any, weights: ImageWeights, given: Grid | None
) -> Grid | None:
    """Resample the position table in a state dict to the model's grid; returns the table's own grid."""
    key = next((key for key in _TABLES if key in state), None)
    if key is None or getattr(model, "pos_embed", None) is None:
        return None
    table = state[key]
    rows, columns = model.patch_embed.grid_size
    prefix = 1 if "register_tokens" in state else model.pos_embed.shape[1] - rows * columns
    grid = table_grid(
        table.shape[-2] - prefix, given=given, hint=_stated_grid(weights), what=f"{weights.path}, {weights.kind},"
    )
    options = {key: value for key, value in _converter_options(name).items() if key != "adapt_layer_scale"}
    fitted = fit_table(table.reshape(1, *table.shape[-2:]), model, grid, prefix=prefix, **options)
    state[key] = fitted.reshape(*table.shape[:-2], *fitted.shape[-2:])
    return grid


def _stated_grid(weights: ImageWeights) -> Grid | None:
    size = weights.stated.image_size
    kernels = [
        tensor.shape[-2:]
        for name, tensor in weights.tensors.items()
        if tensor.ndim == 4 and weights.tower is not None and name.endswith(weights.tower.layout.anchor)
    ]
    if size is None or not kernels:
        return None
    return size[0] // kernels[0][0], size[1] // kernels[0][1]
