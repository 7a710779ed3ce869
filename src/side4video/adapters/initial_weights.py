"""Starts a new model from the trained tensors of an adapter, also for frames of another size."""

from pathlib import Path

import torch

from side4video.adapters.adapter import Adapter, read_adapter, read_weights
from side4video.config import RunConfig, SideConfig
from side4video.models.backbones.loading import FrozenBackbone, load_backbone
from side4video.models.backbones.supported_models import ACTIVATIONS, activation_of
from side4video.models.side.side_network import resolve_num_heads, resolve_taps
from side4video.models.side.token_grid import resample_positions
from side4video.models.side_tuned_model import SideTunedModel

POSITIONS = "side.positions"
"""The only trained tensor whose shape depends on the size of the frames."""


def load_from(model: SideTunedModel, folder: Path, *, config: RunConfig, class_names: tuple[str, ...]) -> str:
    """Load the trained tensors of an adapter into a new model, and return sentences that report what was loaded.

    A classifier for other classes, of another shape or behind another `head.pooled_norm` is discarded. If the adapter
    was trained on frames of another size, its position table is resampled. All other tensors must fit.

    Args:
        model: the new model.
        folder: the adapter.
        config: settings of the new run, which name its backbone.
        class_names: classes of the new run.

    Raises:
        ValueError: the model and the adapter differ in task, side network or backbone, or the adapter is a probe.
    """
    adapter, state = read_adapter(folder), read_weights(folder)
    resampled = ""
    _check_kind(adapter, config, folder)
    _check_weights(model.backbone, adapter, config, folder)
    size = adapter.image_size or model.backbone.image_size
    if size != model.backbone.image_size:
        resampled = f" It was trained on frames of {size} pixels; this run has {model.backbone.image_size}."
        if POSITIONS in state and model.side.positions is not None:
            old, new = len(state[POSITIONS]), len(model.side.positions)
            state[POSITIONS] = resample_positions(state[POSITIONS], new)
            resampled += f" Its position table was resampled from {old} to {new} rows."
    if adapter.preprocessing and (differences := model.backbone.preprocessing.differences(adapter.preprocessing)):
        resampled += f" Its frames were prepared in another way; this run has {differences}."
    activation = activation_of(model.backbone.model)
    if adapter.activation in ACTIVATIONS and adapter.activation != activation:
        resampled += f" Its frozen model had the activation {adapter.activation}; this run's has {activation}."
    if differences := _side_differences(adapter.config.side, config.side, model.backbone.num_blocks):
        resampled += f" Its side network had {differences}."
    own = model.trained_state()

    def parts(*prefixes: str) -> set[str]:
        return {name for name in own.keys() | state.keys() if name.startswith(prefixes)}

    def fit(names: set[str]) -> bool:
        return all(name in own and name in state and own[name].shape == state[name].shape for name in names)

    classifier = parts("head.linear.", "head.probe.")
    if not fit(pooled_norm := parts("head.pooled_norm.")):
        classifier |= pooled_norm
    if differences and not fit(parts("side.")):
        raise ValueError(f"{folder} has another side network, with {differences}. Use the same settings.")
    if adapter.class_names == class_names and fit(classifier):
        model.load_trained_state(state)
        return f"Loaded all {len(state)} tensors of {folder}, including the classifier.{resampled}"
    kept = {name: tensor for name, tensor in state.items() if name not in classifier}
    model.load_trained_state(kept | {name: tensor for name, tensor in own.items() if name in classifier})
    return (
        f"Loaded {len(kept)} tensors of {folder}; its classifier for {len(adapter.class_names)} classes was "
        f"discarded. The classifier for these {len(class_names)} classes is newly initialised.{resampled}"
    )


def _check_kind(adapter: Adapter, config: RunConfig, folder: Path) -> None:
    has_probe = adapter.config.probe.name != "none"
    if has_probe or adapter.config.task != config.task:
        kind = f"is a {adapter.config.probe.name} probe" if has_probe else f"was trained for {adapter.config.task}"
        raise ValueError(
            f"{folder} {kind}; this run trains a side network for {config.task}. Start from an adapter of this kind."
        )


def _side_differences(theirs: SideConfig, own: SideConfig, num_blocks: int) -> str:
    """Settings that change what a side network computes, such as "side.num_heads 2, not 1"; empty if all are equal."""
    old, new = (
        side.model_dump(exclude={"initial_values"})
        | {"taps": resolve_taps(side.taps, num_blocks), "num_heads": resolve_num_heads(side.width, side.num_heads)}
        for side in (theirs, own)
    )
    return ", ".join(f"side.{name} {old[name]}, not {new[name]}" for name in old if old[name] != new[name])


def _check_weights(backbone: FrozenBackbone, adapter: Adapter, config: RunConfig, folder: Path) -> None:
    """Check that an adapter was trained on the weights of a backbone, which may have another image size.

    Fingerprints of earlier versions cover the backbone's own position table, which is resampled for each size. So for
    them the weights are loaded once more, for the adapter's size, and compared there.
    """
    if backbone.has_fingerprint(adapter.fingerprint):
        return
    different = ValueError(
        f"{folder} was trained on a backbone with fingerprint {adapter.fingerprint}, this run's has "
        f"{backbone.fingerprint}. Use the same backbone and weights."
    )
    theirs = adapter.config.backbone
    sizes = [(one.image_size, one.model_args.get("img_size")) for one in (theirs, config.backbone)]
    if len(adapter.fingerprint) > 16 or theirs.name != config.backbone.name or sizes[0] == sizes[1]:
        raise different
    with torch.device("cpu"):
        same = load_backbone(
            theirs.name,
            weights=config.backbone.weights,
            image_size=theirs.image_size,
            dtype=backbone.dtype,
            model_args=dict(theirs.model_args),
            projection_width=backbone.embed_dim,
            weights_key=config.backbone.weights_key,
        )
    if not same.has_fingerprint(adapter.fingerprint):
        raise different
