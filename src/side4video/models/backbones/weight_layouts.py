"""Finds the image or text tower in a state dict: the prefix under which the names of a known layout stand."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

AUTO, EMA, RAW = "auto", "ema", "raw"
_EMA_PART = re.compile(r"(^|[._])(ema|teacher|momentum|swa|averaged?|shadow|target)(?=[._]|$)")
_OPTIMIZER_PART = re.compile(r"(^|[._])optimi[sz]ers?(?=[._]|$)")


@dataclass(frozen=True)
class Layout:
    """The tensor names of one kind of tower.

    >>> Layout("a timm model", "patch_embed.proj.weight", ("blocks.0.",)).anchor
    'patch_embed.proj.weight'
    """

    kind: str
    """A noun phrase for messages."""
    anchor: str
    """The name that every tower of this layout has exactly once, relative to the tower's prefix."""
    parts: tuple[str, ...]
    """Beginnings of names; a tower has at least one of them after its prefix."""


TIMM = Layout("a Vision Transformer under timm's names", "patch_embed.proj.weight", ("blocks.0.",))
OPENAI = Layout("a CLIP image tower in OpenAI's layout", "conv1.weight", ("transformer.resblocks.0.",))
HF_CLIP = Layout(
    "a CLIP or SigLIP image tower of Hugging Face", "embeddings.patch_embedding.weight", ("encoder.layers.0.",)
)
HF_VIT = Layout(
    "a Vision Transformer of Hugging Face",
    "embeddings.patch_embeddings.projection.weight",
    ("encoder.layer.0.attention.", "layers.0.attention."),
)
HF_DINOV3 = Layout(
    "a DINOv3 model of Hugging Face",
    "embeddings.patch_embeddings.weight",
    ("layer.0.attention.", "model.layer.0.attention.", "encoder.layer.0.attention."),
)
IMAGE_LAYOUTS = (TIMM, OPENAI, HF_CLIP, HF_VIT, HF_DINOV3)

OPENAI_TEXT = Layout("a CLIP text tower", "token_embedding.weight", ("transformer.resblocks.0.",))
HF_TEXT = Layout(
    "a CLIP or SigLIP text tower of Hugging Face", "embeddings.token_embedding.weight", ("encoder.layers.0.",)
)
TEXT_LAYOUTS = (OPENAI_TEXT, HF_TEXT)


@dataclass(frozen=True)
class Tower:
    """A tower inside a state dict.

    Attributes:
        layout: its layout.
        prefix: what stands before its names, such as "model.visual."; empty: nothing.
        others: prefixes of the other towers of the same kind in the file.

    >>> Tower(TIMM, "teacher.backbone.").is_average
    True
    """

    layout: Layout
    prefix: str
    others: tuple[str, ...] = ()

    @property
    def is_average(self) -> bool:
        """Whether the names say that the weights are averages over training (EMA), such as those of a teacher."""
        return _EMA_PART.search(self.prefix) is not None

    def tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tower's tensors, without its prefix."""
        start = len(self.prefix)
        return {name[start:]: tensor for name, tensor in state.items() if name.startswith(self.prefix)}


def find_towers(names: Collection[str], layouts: tuple[Layout, ...]) -> list[Tower]:
    """All towers of these layouts, in the order of the names; optimizer states are ignored.

    >>> names = ["net.visual.conv1.weight", "net.visual.transformer.resblocks.0.ln_1.weight"]
    >>> [tower.prefix for tower in find_towers(names, IMAGE_LAYOUTS)]
    ['net.visual.']
    """
    towers = []
    for name in names:
        for layout in layouts:
            prefix = name.removesuffix(layout.anchor)
            if prefix == name or (prefix and not prefix.endswith(".")) or _OPTIMIZER_PART.search(prefix):
                continue
            if any(other.startswith(tuple(prefix + part for part in layout.parts)) for other in names):
                towers.append(Tower(layout, prefix))
    return towers


def choose_tower(state: Mapping[str, Tensor], towers: list[Tower], *, key: str, what: str) -> Tower:
    """The tower to load from a file that may hold several.

    Args:
        state: the tensors of the file.
        towers: towers of the same kind in it, at least one.
        key: "auto" (averaged weights if the file has them), "ema", "raw", or a part of the prefix, "teacher.backbone".
        what: subject of the error message.

    Raises:
        ValueError: none fits the key, or several do and their weights differ.
    """
    if key in {EMA, RAW}:
        chosen = [tower for tower in towers if tower.is_average == (key == EMA)]
    elif key == AUTO:
        chosen = [tower for tower in towers if tower.is_average] or towers
    else:
        chosen = [tower for tower in towers if f".{key.strip('.')}." in f".{tower.prefix}"]
    named = ", ".join(_shown(tower.prefix) for tower in towers)
    if not chosen:
        raise ValueError(
            f"{what} has no weights for weights_key = {key!r}. It has {named}. Set weights_key "
            "(--backbone.weights-key) to auto, ema, raw, or one of these."
        )
    if any(not _equal(state, chosen[0], other) for other in chosen[1:]):
        found = ", ".join(_shown(tower.prefix) for tower in chosen)
        raise ValueError(f"{what} has several sets of weights: {found}. Choose one with --backbone.weights-key.")
    others = tuple(tower.prefix for tower in towers if tower not in chosen)
    return Tower(chosen[0].layout, chosen[0].prefix, others)


def describe_choice(tower: Tower) -> str:
    """Which weights of a file were taken, for the log; empty if there was no choice and no average.

    >>> describe_choice(Tower(TIMM, "model_ema.", others=("model.",)))
    'averaged (EMA) weights under model_ema, not model; choose with --backbone.weights-key raw or ema'
    """
    kind = "averaged (EMA) weights" if tower.is_average else "raw weights"
    if tower.others:
        others = ", ".join(_shown(prefix) for prefix in tower.others)
        return f"{kind} under {_shown(tower.prefix)}, not {others}; choose with --backbone.weights-key raw or ema"
    return f"{kind} under {_shown(tower.prefix)}" if tower.is_average else ""


def _shown(prefix: str) -> str:
    return prefix.rstrip(".") or "the top level"


def _equal(state: Mapping[str, Tensor], one: Tower, other: Tower) -> bool:
    first, second = one.tensors(state), other.tensors(state)
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())
