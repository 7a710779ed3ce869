"""Restores the frozen model as an adapter was trained on it: weights, activation, image size, preprocessing."""

from pathlib import Path
from typing import Any

from side4video.config.model import BackboneConfig
from side4video.distributed.processes import print_once
from side4video.models.backbones.frozen_backbone import FrozenBackbone
from side4video.models.backbones.preprocessing import Preprocessing


def settings_of_training(
    backbone: BackboneConfig, *, activation: str | None, image_size: int | None, weights: str | None, dtype: str | None
) -> BackboneConfig:
    """Settings that rebuild the backbone of training, where a weight file or a newer timm would give another one.

    Args:
        backbone: the settings of the run.
        activation, image_size: as the adapter stores them; None in adapters of earlier versions.
        weights, dtype: replace those of the run; None: unchanged.
    """
    changes: dict[str, Any] = {"activation": activation or "model"}
    if activation is None:  # earlier versions took the raw weights of a file, whatever else was in it
        changes["weights_key"] = "raw"
    elif weights is not None and backbone.weights_key not in {"ema", "raw"}:
        changes["weights_key"] = "auto"  # a key of the file of training
    if backbone.image_size is None and "img_size" not in backbone.model_args:
        changes["image_size"] = image_size
    changes |= {name: value for name, value in (("weights", weights), ("dtype", dtype)) if value is not None}
    return backbone.model_copy(update=changes)


def check_weights(backbone: FrozenBackbone, fingerprint: str, *, weights: str, folder: Path) -> None:
    """Check that a backbone has the weights that an adapter was trained on.

    Raises:
        ValueError: they differ.
    """
    if not backbone.has_fingerprint(fingerprint):
        raise ValueError(
            f"{folder} was trained on a backbone with fingerprint {fingerprint}, but {backbone.name} with weights "
            f"{weights!r} has {backbone.fingerprint}. Give the weights it was trained on."
        )


def restore_preprocessing(backbone: FrozenBackbone, stored: Preprocessing | None, *, folder: Path) -> None:
    """Prepare pictures as in training. A difference from what is the default now is printed."""
    if stored is not None and (differences := stored.differences(backbone.preprocessing)):
        print_once(f"{folder} was trained with other preprocessing than the default now. It is used: {differences}.")
        backbone.set_preprocessing(stored)
