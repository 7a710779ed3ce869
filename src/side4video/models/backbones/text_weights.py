"""Reads the weights of a CLIP or SigLIP text tower from a file or folder, under open_clip's names."""

from pathlib import Path

from torch import Tensor

from side4video.distributed.processes import print_once
from side4video.models.backbones.hugging_face import text_to_open_clip
from side4video.models.backbones.stated_settings import stated_text_activation
from side4video.models.backbones.weight_files import check_finite, read_tensors, without_wrappers
from side4video.models.backbones.weight_folders import local_path
from side4video.models.backbones.weight_kinds import OPENAI_ONLY
from side4video.models.backbones.weight_layouts import (
    HF_TEXT,
    TEXT_LAYOUTS,
    Tower,
    choose_tower,
    describe_choice,
    find_towers,
)

_TEXT_NAMES = ("token_embedding.", "positional_embedding", "cls_emb", "transformer.", "ln_final.", "text_projection")
_HF_PARTS = {"embeddings", "encoder", "final_layer_norm", "head"}
_OUTSIDE = ("logit_scale", "logit_bias", *OPENAI_ONLY)


def read_text_weights(path: Path, *, key: str = "auto") -> dict[str, Tensor]:
    """The text tower of a whole model, or of a file with a text tower alone, as open_clip names it in a whole model.

    Args:
        path: a file or folder, see `read_content`, in the layout of OpenAI, open_clip or Hugging Face.
        key: which weights of the file, see `choose_tower`.

    Returns:
        Tensors with the prefix `text.`, and `logit_scale` and `logit_bias` if the file has them. The tensors of a file
        in none of these layouts, without the usual wrappers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, has no weights of this key, or weights with NaN or infinity.
    """
    path = local_path(path)
    state = read_tensors(path)
    towers = find_towers(state, TEXT_LAYOUTS)
    if not towers:
        return without_wrappers(state)
    tower = choose_tower(state, towers, key=key, what=str(path))
    if choice := describe_choice(tower):
        print_once(f"{path}: text tower, {choice}")
    found = _open_clip_names(state, tower)
    check_finite(found, what=f"The text tower of {path}")
    return found


def check_text_activation(path: Path, *, name: str, quick_gelu: bool) -> None:
    """Refuse weights whose config file states another activation than the named text tower has.

    All shapes would fit, and the embeddings would silently be worse.

    Args:
        path: the weights; a config.json or open_clip_config.json next to a file, or in a folder, may state it.
        name: open_clip's name of the text tower.
        quick_gelu: whether this tower uses QuickGELU.

    Raises:
        ValueError: the two differ, or the config file is corrupt.
    """
    path = local_path(path)
    folder = path if path.is_dir() else path.parent
    own, stated = "quick_gelu" if quick_gelu else "gelu", stated_text_activation(folder)
    if stated in {None, own}:
        return
    other = name.removesuffix("-quickgelu") if quick_gelu else f"{name}-quickgelu"
    remedy = f"use the name {other}" if stated in {"gelu", "quick_gelu"} else "use a text tower of the same kind"
    raise ValueError(
        f"The config file in {folder} states that the text tower of {path.name} uses {stated}, but {name} uses {own}. "
        f"Another activation would silently give worse embeddings: {remedy}, or correct the config file."
    )


def _open_clip_names(state: dict[str, Tensor], tower: Tower) -> dict[str, Tensor]:
    tensors = tower.tensors(state)
    outer = tower.prefix.removesuffix("text_model.").removesuffix("text.")
    if tower.layout is HF_TEXT:
        text = text_to_open_clip({name: value for name, value in tensors.items() if name.split(".")[0] in _HF_PARTS})
        projection = state.get(f"{outer}text_projection.weight")
        if projection is not None:
            text["text_projection"] = projection.T
    else:
        alone = tower.prefix.endswith("text.")
        text = {name: value for name, value in tensors.items() if alone or name.startswith(_TEXT_NAMES)}
    outside = {name: state[outer + name] for name in _OUTSIDE if outer + name in state}
    return {f"text.{name}": value for name, value in text.items()} | outside
