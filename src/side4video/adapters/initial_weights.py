"""Starts a new model from the trained tensors of an adapter, also for frames of another size."""

from pathlib import Path

import torch

from side4video.adapters.adapter import Adapter, read_adapter, read_weights
from side4video.config import RunConfig
from side4video.models.backbones.loading import FrozenBackbone, load_backbone
from side4video.models.backbones.supported_models import ACTIVATIONS, activation_of
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
        ValueError: the model and the adapter differ in side network or backbone.
    """
    adapter, state = read_adapter(folder), read_weights(folder)
    resampled = ""
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
    own = model.trained_state()

    def parts(*prefixes: str) -> set[str]:
        return {name for name in own.keys() | state.keys() if name.startswith(prefixes)}

    def fit(names: set[str]) -> bool:
        return all(name in own and name in state and own[name].shape == state[name].shape for name in names)

    classifier = parts("head.linear.", "head.probe.")
    if not fit(pooled_norm := parts("head.pooled_norm.")):
        classifier |= pooled_norm
    if adapter.class_names == class_names and fit(classifier):
        model.load_trained_state(state)
        return f"Loaded all {len(state)} tensors of {folder}, including the classifier.{resampled}"
    kept = {name: tensor for name, tensor in state.items() if name not in classifier}
    model.load_trained_state(kept | {name: tensor for name, tensor in own.items() if name in classifier})
    return (
        f"Loaded {len(kept)} tensors of {folder}; its classifier for {len(adapter.class_names)} classes was "
        f"discarded. The classifier for these {len(class_names)} classes is newly initialised.{resampled}"
    )


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
