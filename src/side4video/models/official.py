"""Converts state dicts between the tensor names of the paper's released code and of this project."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from side4video.models.backbones.weight_files import read_weights
from side4video.models.side.side_block import Variant
from side4video.models.text.text_tower import text_tower_state


@dataclass(frozen=True)
class _Pair:
    """Tensors with equal values: ours and theirs, stacked on axis 0, differ only in trailing axes of size 1."""

    ours: dict[str, int]  # name -> number of equal parts of the stack that it holds
    theirs: dict[str, int]
    trailing_ones: int = 0  # axes that a 1x1x1 or (3, 1, 1) convolution has after ours
    transposed: bool = False


@dataclass(frozen=True)
class Layout:
    """The tensor names of an official model.

    >>> Layout("pre-norm", num_blocks=12).blocks
    'visual.transformer.side_transformer'

    Attributes:
        variant: variant of its side network.
        num_blocks: K, number of side blocks.
        retrieval: whether it is a retrieval model.

    >>> Layout("pre-norm", num_blocks=12).blocks
    'visual.transformer.side_transformer'
    """

    variant: Variant
    num_blocks: int
    retrieval: bool = False

    @property
    def prefix(self) -> str:
        """Name prefix of the position table, the taps and the side blocks."""
        return "visual.transformer." if self.variant == "pre-norm" else "visual."

    @property
    def blocks(self) -> str:
        """Name prefix of the side blocks, without the block number."""
        return self.prefix + ("side_transformer" if self.variant == "pre-norm" else "side_blocks")

    @property
    def norms(self) -> tuple[str, str]:
        """Names of the two BatchNorms of a side block."""
        return ("norm1", "norm2") if self.retrieval and self.variant == "pre-norm" else ("bn_1", "bn_2")

    @property
    def convolutions(self) -> tuple[str, str, str]:
        """Names of the three parts of the temporal convolution of a side block."""
        if self.retrieval and self.variant == "pre-norm":
            return "pw_conv1", "dw_conv1", "pw_conv2"
        return "conv.0", "conv.1", "conv.2"


def _block_pairs(ours: str, theirs: str, layout: Layout) -> Iterator[_Pair]:
    pre_norm = layout.variant == "pre-norm"
    layers = {
        "temporal_norm": layout.norms[0],
        "mlp_norm": layout.norms[1],
        "attention_norm": "ln_1",
        "attention.project": "attn.out_proj" if pre_norm else "attn.proj",
        "mlp.expand": "mlp.fc1" if pre_norm else "mlp.0",
        "mlp.project": "mlp.fc2" if pre_norm else "mlp.2",
    }
    own_convolutions = {"temporal.expand": 3, "temporal.depthwise": 2, "temporal.project": 3}
    for kind in ("weight", "bias"):
        for own, official in layers.items():
            yield _Pair({f"{ours}{own}.{kind}": 1}, {f"{theirs}{official}.{kind}": 1})
        for (own, ones), official in zip(own_convolutions.items(), layout.convolutions, strict=True):
            yield _Pair({f"{ours}{own}.{kind}": 1}, {f"{theirs}{official}.{kind}": 1}, ones if kind == "weight" else 0)
        stacked = {f"{ours}attention.query.{kind}": 1, f"{ours}attention.key_value.{kind}": 2}
        if pre_norm:
            yield _Pair(stacked, {f"{theirs}attn.in_proj_{kind}": 3})
        else:
            yield _Pair(stacked, {f"{theirs}attn.{part}_proj.{kind}": 1 for part in "qkv"})


def _pairs(layout: Layout) -> Iterator[_Pair]:
    yield from _retrieval_head_pairs(layout) if layout.retrieval else _recognition_head_pairs(layout)
    yield _Pair({"side.positions": 1}, {f"{layout.prefix}side_spatial_position_embeddings": 1})
    for kind in ("weight", "bias"):
        yield _Pair({f"side.stem.{kind}": 1}, {f"visual.side_conv1.{kind}": 1})
        yield _Pair({f"side.stem_norm.{kind}": 1}, {f"visual.side_pre_bn3d.{kind}": 1})
        for k in range(layout.num_blocks):
            yield _Pair({f"side.blocks.{k}.tap.norm.{kind}": 1}, {f"{layout.prefix}side_lns.{k}.{kind}": 1})
            yield _Pair({f"side.blocks.{k}.tap.linear.{kind}": 1}, {f"{layout.prefix}side_linears.{k}.{kind}": 1})
    for k in range(layout.num_blocks):
        yield from _block_pairs(f"side.blocks.{k}.", f"{layout.blocks}.{k}.", layout)


def _recognition_head_pairs(layout: Layout) -> Iterator[_Pair]:
    for kind in ("weight", "bias"):
        yield _Pair({f"head.linear.{kind}": 1}, {f"fc.{kind}": 1})
        if layout.variant == "pre-norm":
            yield _Pair({f"head.norm.{kind}": 1}, {f"visual.side_post_bn.{kind}": 1})


def _retrieval_head_pairs(layout: Layout) -> Iterator[_Pair]:
    pre_norm = layout.variant == "pre-norm"
    yield _Pair({"head.side_projection.weight": 1}, {"visual.side_proj": 1}, transposed=True)
    for kind in ("weight", "bias"):
        yield _Pair({f"head.norm.{kind}": 1}, {f"visual.side_post_bn.{kind}": 1})
        yield _Pair({f"head.final_norm.{kind}": 1}, {f"visual.{'ln_post' if pre_norm else 'norm'}.{kind}": 1})
        for own, official in (("word_weights", "text_weight_fc"), ("frame_weights", "video_weight_fc")):
            for layer in (0, 2):
                yield _Pair({f"{own}.layers.{layer}.{kind}": 1}, {f"{official}.{layer}.{kind}": 1})
    if pre_norm:
        yield _Pair({"head.projection.weight": 1}, {"visual.proj": 1}, transposed=True)
    else:
        for kind in ("weight", "bias"):
            yield _Pair({f"head.projection.{kind}": 1}, {f"visual.head.{kind}": 1})


def _statistics(layout: Layout) -> dict[str, str]:
    """Names of the BatchNorm buffers, ours -> theirs."""
    norms = {"side.stem_norm": "visual.side_pre_bn3d"}
    if layout.retrieval or layout.variant == "pre-norm":
        norms["head.norm"] = "visual.side_post_bn"
    for k in range(layout.num_blocks):
        for own, official in zip(("temporal_norm", "mlp_norm"), layout.norms, strict=True):
            norms[f"side.blocks.{k}.{own}"] = f"{layout.blocks}.{k}.{official}"
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    return {f"{own}.{kind}": f"{official}.{kind}" for own, official in norms.items() for kind in kinds}


def detect_layout(official: dict[str, Tensor], *, source: str = "the state dict") -> Layout:
    """Detect the layout of an official state dict from its names; errors name `source`.

    Raises:
        ValueError: it is not a Side4Video checkpoint.

    >>> detect_layout({"visual.side_linears.0.weight": torch.zeros(1), "visual.side_linears.1.weight": torch.zeros(1)})
    Layout(variant='post-norm', num_blocks=2, retrieval=False)
    """
    names = [name.removeprefix("clip.") for name in official]
    variants: dict[Variant, str] = {"pre-norm": "visual.transformer.side_linears.", "post-norm": "visual.side_linears."}
    for variant, prefix in variants.items():
        num_blocks = len({name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)})
        if num_blocks:
            return Layout(variant, num_blocks, retrieval="visual.side_proj" in names)
    raise ValueError(
        f"No side network among the {len(official)} tensors of {source}, {', '.join(list(official)[:3])[:200]} and so "
        "on: expected names that start with 'visual.transformer.side_linears.' or 'visual.side_linears.', for "
        "retrieval with the prefix 'clip.'. Is this a Side4Video checkpoint?"
    )


def from_official(official: dict[str, Tensor], *, source: str = "the state dict") -> dict[str, Tensor]:
    """Return the trained tensors of an official state dict under our names, without the frozen ones.

    Errors name `source`.

    Raises:
        ValueError: it is not a Side4Video checkpoint, or tensors of the side network are missing or have a wrong shape.
    """
    layout = detect_layout(official, source=source)
    official = {name.removeprefix("clip."): tensor for name, tensor in official.items()}
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    for pair in _pairs(layout):
        if absent := [name for name in pair.theirs if name not in official]:
            missing += absent
            continue
        try:
            stacked = torch.cat([official[name] for name in pair.theirs])
            stacked = stacked.reshape(stacked.shape[: stacked.ndim - pair.trailing_ones])
            state |= _split(stacked.T if pair.transposed else stacked, pair.ours)
        except (RuntimeError, IndexError) as error:
            names = ", ".join(pair.theirs)
            raise ValueError(f"{source}: {names} do not have the shapes of a side network: {error}.") from error
    for own, name in _statistics(layout).items():
        if name.endswith("num_batches_tracked"):
            state[own] = official.get(name, torch.tensor(0))
        elif name in official:
            state[own] = official[name]
        else:
            missing.append(name)
    if layout.retrieval:
        state |= _text_tower(official)
    if missing:
        raise ValueError(
            f"{source}: {len(missing)} tensors of the side network are missing: {', '.join(missing[:10])}."
        )
    return state


def _text_tower(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the text tower. Both codes use open_clip's names; EVA's have the prefix `text.`."""
    scale = {"text.logit_scale": official["logit_scale"]} if "logit_scale" in official else {}
    return scale | {f"text.model.{name}": tensor for name, tensor in text_tower_state(official).items()}


def to_official(state: dict[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Return our trained tensors, or their gradients under the same names, under the official names."""
    official: dict[str, Tensor] = {}
    for pair in _pairs(layout):
        stacked = torch.cat([state[name] for name in pair.ours])
        stacked = stacked.T if pair.transposed else stacked
        official |= _split(stacked.reshape(*stacked.shape, *[1] * pair.trailing_ones), pair.theirs)
    official |= {name: state[own] for own, name in _statistics(layout).items() if own in state}
    if not layout.retrieval:
        return official
    text = "" if layout.variant == "pre-norm" else "text."
    official |= {
        text + name.removeprefix("text.model."): tensor
        for name, tensor in state.items()
        if name.startswith("text.model.")
    }
    if "text.logit_scale" in state:
        official["logit_scale"] = state["text.logit_scale"]
    outside = ("text_weight_fc.", "video_weight_fc.")
    return {name if name.startswith(outside) else f"clip.{name}": tensor for name, tensor in official.items()}


def frozen_tensors(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the frozen image tower of an official state dict under CLIP's or EVA's own names."""
    layout = detect_layout(official)
    trained = {name.removeprefix("clip.") for name in to_official(from_official(official), layout)}
    tower = {name.removeprefix("clip."): tensor for name, tensor in official.items()}
    return {name: tensor for name, tensor in tower.items() if name.startswith("visual.") and name not in trained}


def _split(stacked: Tensor, names: dict[str, int]) -> dict[str, Tensor]:
    part = len(stacked) // sum(names.values())
    return dict(zip(names, stacked.split([part * parts for parts in names.values()]), strict=True))


def read_official_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state dict of an official checkpoint file; wrapping and `module.` prefixes are removed.

    Raises:
        ValueError: the file holds no state dict. Pickled code never runs (weights_only=True).
    """
    state = {name: value for name, value in read_weights(path).items() if isinstance(value, Tensor)}
    if not state:
        raise ValueError(
            f"{path} contains no state dict. Expected a dict of names and tensors, or one under 'model_state_dict'."
        )
    return state
