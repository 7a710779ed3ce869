"""State-dict names of the paper's released code, and how its tensors become ours (recognition models)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from side4video.models.blocks import Variant


@dataclass(frozen=True)
class _Pair:
    """Tensors of the same numbers: ours and theirs, stacked on axis 0, are equal up to trailing axes of size 1."""

    ours: dict[str, int]  # name -> how many equal parts of the stack it holds
    theirs: dict[str, int]
    trailing_ones: int = 0  # axes that a 1x1x1 or (3, 1, 1) convolution has behind ours


def _block_pairs(ours: str, theirs: str, variant: Variant) -> Iterator[_Pair]:
    pre_norm = variant == "pre-norm"
    layers = {
        "temporal_norm": "bn_1",
        "mlp_norm": "bn_2",
        "attention_norm": "ln_1",
        "attention.project": "attn.out_proj" if pre_norm else "attn.proj",
        "mlp.expand": "mlp.fc1" if pre_norm else "mlp.0",
        "mlp.project": "mlp.fc2" if pre_norm else "mlp.2",
    }
    convolutions = {
        "temporal.expand": ("conv.0", 3),
        "temporal.depthwise": ("conv.1", 2),
        "temporal.project": ("conv.2", 3),
    }
    for kind in ("weight", "bias"):
        for own, official in layers.items():
            yield _Pair({f"{ours}{own}.{kind}": 1}, {f"{theirs}{official}.{kind}": 1})
        for own, (official, ones) in convolutions.items():
            yield _Pair({f"{ours}{own}.{kind}": 1}, {f"{theirs}{official}.{kind}": 1}, ones if kind == "weight" else 0)
        stacked = {f"{ours}attention.query.{kind}": 1, f"{ours}attention.key_value.{kind}": 2}
        if pre_norm:
            yield _Pair(stacked, {f"{theirs}attn.in_proj_{kind}": 3})
        else:
            yield _Pair(stacked, {f"{theirs}attn.{part}_proj.{kind}": 1 for part in "qkv"})


def _pairs(variant: Variant, num_blocks: int) -> Iterator[_Pair]:
    home = "visual.transformer." if variant == "pre-norm" else "visual."
    blocks = "side_transformer" if variant == "pre-norm" else "side_blocks"
    yield _Pair({"side.positions": 1}, {f"{home}side_spatial_position_embeddings": 1})
    for kind in ("weight", "bias"):
        yield _Pair({f"side.stem.{kind}": 1}, {f"visual.side_conv1.{kind}": 1})
        yield _Pair({f"side.stem_norm.{kind}": 1}, {f"visual.side_pre_bn3d.{kind}": 1})
        yield _Pair({f"head.linear.{kind}": 1}, {f"fc.{kind}": 1})
        if variant == "pre-norm":
            yield _Pair({f"head.norm.{kind}": 1}, {f"visual.side_post_bn.{kind}": 1})
        for k in range(num_blocks):
            yield _Pair({f"side.blocks.{k}.tap.norm.{kind}": 1}, {f"{home}side_lns.{k}.{kind}": 1})
            yield _Pair({f"side.blocks.{k}.tap.linear.{kind}": 1}, {f"{home}side_linears.{k}.{kind}": 1})
    for k in range(num_blocks):
        yield from _block_pairs(f"side.blocks.{k}.", f"{home}{blocks}.{k}.", variant)


def _statistics(variant: Variant, num_blocks: int) -> dict[str, str]:
    """BatchNorm buffers, ours -> theirs."""
    blocks = "visual.transformer.side_transformer" if variant == "pre-norm" else "visual.side_blocks"
    norms = {"side.stem_norm": "visual.side_pre_bn3d"}
    if variant == "pre-norm":
        norms["head.norm"] = "visual.side_post_bn"
    for k in range(num_blocks):
        norms[f"side.blocks.{k}.temporal_norm"] = f"{blocks}.{k}.bn_1"
        norms[f"side.blocks.{k}.mlp_norm"] = f"{blocks}.{k}.bn_2"
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    return {f"{own}.{kind}": f"{official}.{kind}" for own, official in norms.items() for kind in kinds}


def recognise(official: dict[str, Tensor]) -> tuple[Variant, int]:
    """Variant and number of side blocks of an official recognition state dict.

    Raises:
        ValueError: it is not one.
    """
    variants: dict[Variant, str] = {"pre-norm": "visual.transformer.side_linears.", "post-norm": "visual.side_linears."}
    for variant, prefix in variants.items():
        num_blocks = len({name.removeprefix(prefix).split(".")[0] for name in official if name.startswith(prefix)})
        if num_blocks:
            return variant, num_blocks
    raise ValueError(
        f"No side network among the {len(official)} tensors ({', '.join(list(official)[:3])}, ...): expected names "
        "that start with 'visual.transformer.side_linears.' or 'visual.side_linears.'. Is this a Side4Video checkpoint?"
    )


def from_official(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """The trained tensors of an official recognition state dict under our names; frozen ones are left out.

    Raises:
        ValueError: not such a state dict, or tensors of the side network are missing.
    """
    variant, num_blocks = recognise(official)
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    for pair in _pairs(variant, num_blocks):
        if absent := [name for name in pair.theirs if name not in official]:
            missing += absent
            continue
        stacked = torch.cat([official[name] for name in pair.theirs])
        stacked = stacked.reshape(stacked.shape[: stacked.ndim - pair.trailing_ones])
        state |= _split(stacked, pair.ours)
    for own, name in _statistics(variant, num_blocks).items():
        if name.endswith("num_batches_tracked"):
            state[own] = official.get(name, torch.tensor(0))
        elif name in official:
            state[own] = official[name]
        else:
            missing.append(name)
    if missing:
        raise ValueError(f"{len(missing)} tensors of the side network are missing: {', '.join(missing[:10])}.")
    return state


def to_official(state: dict[str, Tensor], variant: Variant) -> dict[str, Tensor]:
    """Our trained tensors (or their gradients, by the same names) under the official names."""
    num_blocks = len({name.split(".")[2] for name in state if name.startswith("side.blocks.")})
    official: dict[str, Tensor] = {}
    for pair in _pairs(variant, num_blocks):
        stacked = torch.cat([state[name] for name in pair.ours])
        official |= _split(stacked.reshape(*stacked.shape, *[1] * pair.trailing_ones), pair.theirs)
    statistics = _statistics(variant, num_blocks)
    return official | {name: state[own] for own, name in statistics.items() if own in state}


def _split(stacked: Tensor, names: dict[str, int]) -> dict[str, Tensor]:
    part = len(stacked) // sum(names.values())
    return dict(zip(names, stacked.split([part * parts for parts in names.values()]), strict=True))


def read_official_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in an official checkpoint file, without its wrapping and its `module.` prefixes.

    Raises:
        ValueError: the file holds no state dict. No pickled code is ever run (weights_only=True).
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("model_state_dict", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds no state dict: expected names and tensors, or these under 'model_state_dict'.")
    return {name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
