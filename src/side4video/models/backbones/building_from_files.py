"""Builds a timm model with the weights of a file, and prints what the file is and what was chosen."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from side4video.distributed.processes import print_once
from side4video.models.backbones.fingerprint import Sample, sample_weights
from side4video.models.backbones.image_weights import ImageWeights, fit_image_weights, read_image_weights
from side4video.models.backbones.position_tables import Grid
from side4video.models.backbones.preprocessing import Preprocessing
from side4video.models.backbones.stated_settings import StatedSettings
from side4video.models.backbones.supported_models import ACTIVATIONS, activation_of, create_model, num_heads_of
from side4video.models.backbones.weight_files import check_state_dict
from side4video.models.backbones.weight_kinds import is_openai_clip

QUICK_GELU_HINT = "Another activation would silently give worse results: use the name with _clip_quickgelu_."
# Tensors of a head or a pre-training task in a weight file: no side network reads them.
_IGNORED = ("head", "fc.", "attn_pool.", "pre_logits.", "lm_head.", "decoder_", "mask_token")


@dataclass(frozen=True)
class WeightsChoices:
    """What a weight file does not tell, or offers a choice of.

    Attributes:
        weights_key: which weights of the file, see `choose_tower`.
        activation: "auto" (that of a config file next to the weights, otherwise the model's), "model" (that of the
            named model), or one of `ACTIVATIONS`.
        position_grid: rows and columns of the file's position table; None: see `table_grid`.

    >>> WeightsChoices().activation
    'auto'
    """

    weights_key: str = "auto"
    activation: str = "auto"
    position_grid: Grid | None = None

    def __post_init__(self) -> None:
        known = ("auto", "model", *ACTIVATIONS)
        if self.activation not in known:
            raise ValueError(f"activation = {self.activation!r} is not known. Use one of {', '.join(known)}.")


@dataclass(frozen=True)
class BuiltModel:
    """A timm model with the weights of a file.

    Attributes:
        model: the model, in the dtype of the run.
        samples: values of the weights before the cast, for the fingerprint.
        stated: what config files next to the weights state.

    >>> BuiltModel(torch.nn.Linear(2, 3), samples=[], stated=StatedSettings()).model.out_features
    3
    """

    model: Any
    samples: list[Sample]
    stated: StatedSettings


def build_from_file(
    name: str, args: dict[str, Any], path: Path, dtype: torch.dtype, choices: WeightsChoices
) -> BuiltModel:
    """Build the model and load the file's tensors one by one, so that it never takes twice its memory.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read or does not match the model.
    """
    weights = read_image_weights(path, key=choices.weights_key)
    device = torch.get_default_device()
    with torch.device("meta"):  # saves the time for random values that the file replaces
        model, activation = _build(weights, name, args, choices.activation)
        if "num_classes" not in args:
            model.reset_classifier(0, "")
    _check_heads(weights, name, model)
    state, grid = fit_image_weights(weights, name, model, position_grid=choices.position_grid)
    what = f"{weights.path}, {weights.kind}, as weights of {name}"
    own = model.state_dict()
    check_state_dict(state, own, ignored=_IGNORED, what=what)
    samples = sample_weights({key: state[key] for key in own})
    for key in list(state):
        if state[key].is_floating_point():
            state[key] = state[key].to(device=device, dtype=dtype, copy=True).contiguous()
    model.load_state_dict(state, strict=False, assign=True)
    restore_buffers(model, device)
    epsilon = _set_epsilon(model, weights.stated.epsilon)
    table = "" if grid is None else f"position table {grid[0]} x {grid[1]}"
    print_once(
        "; ".join(part for part in (f"{weights.path}: {weights.describe()}", activation, epsilon, table) if part)
    )
    return BuiltModel(model, samples, weights.stated)


def stated_preprocessing(stated: StatedSettings, own: Preprocessing) -> Preprocessing:
    """The preprocessing that config files state; what they leave out is the model's own."""
    given = {name: getattr(stated, name) for name in ("mean", "std", "interpolation")}
    return replace(own, **{name: value for name, value in given.items() if value is not None})


def restore_buffers(model: Any, device: torch.device) -> None:
    """Compute the buffers that no weight file stores, such as rotary tables."""
    for module in model.modules():
        for key, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(module, key, torch.empty_like(buffer, device=device))
    for module in model.modules():
        if restore := getattr(module, "init_non_persistent_buffers", None):
            restore()


def _build(weights: ImageWeights, name: str, args: dict[str, Any], chosen: str) -> tuple[Any, str]:
    """The model, and which activation it has and why."""
    model = create_model(name, args)
    own, stated = activation_of(model), weights.stated.activation
    wanted = {"auto": stated or own, "model": own}.get(chosen, chosen)
    if is_openai_clip({key.rpartition(".")[2] for key in weights.names}) and wanted != "quick_gelu":
        raise ValueError(
            f"{weights.path} contains OpenAI's CLIP weights, trained with QuickGELU; {name} does not use it. "
            f"{QUICK_GELU_HINT}"
        )
    source = weights.stated.source.name if weights.stated.source else "the layout"
    if wanted != own:
        if own not in ACTIVATIONS or wanted not in ACTIVATIONS:
            raise ValueError(
                f"{weights.path}: {source} states the activation {wanted}, but {name} has {own} in a gated MLP, which "
                "cannot be changed. Use a model of the same kind, or --backbone.activation model."
            )
        model = create_model(name, args, activation=wanted)
    if chosen in {"auto", "model"} and stated in {None, own}:
        return (
            model,
            f"activation {wanted} ({'stated by ' + source if stated else 'of the model; tensors do not tell'})",
        )
    as_set = f"as set; {source} states {stated}" if stated else "as set"
    reason = f"stated by {source}, not {own} as in {name}" if chosen == "auto" else as_set
    return model, f"activation {wanted} ({reason})"


def _check_heads(weights: ImageWeights, name: str, model: Any) -> None:
    """Refuse another number of attention heads, which fits all shapes but gives other tokens."""
    stated, own = weights.stated.num_heads, num_heads_of(model)
    if stated is not None and own is not None and stated != own:
        raise ValueError(
            f"{weights.stated.source} states {stated} attention heads, {name} has {own}. Set "
            f"--backbone.model-args '{{\"num_heads\": {stated}}}'."
        )


def _set_epsilon(model: Any, epsilon: float | None) -> str:
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    if epsilon is None or all(norm.eps == epsilon for norm in norms):
        return ""
    for norm in norms:
        norm.eps = epsilon
    return f"layer norms with epsilon {epsilon:g}"
