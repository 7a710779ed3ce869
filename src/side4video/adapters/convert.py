"""Converts official Side4Video checkpoints to adapters, and adapters to official state dicts, bit for bit."""

from pathlib import Path

import torch
from torch import Tensor

from side4video.adapters.adapter import Adapter, find_adapter, load_adapter, save_adapter
from side4video.atomic_files import replacing
from side4video.config import RunConfig
from side4video.data.lists.class_name_files import read_class_names
from side4video.models.backbones.loading import mismatched_weights
from side4video.models.build import build_model
from side4video.models.official import (
    Layout,
    detect_layout,
    from_official,
    frozen_tensors,
    read_official_checkpoint,
    to_official,
)
from side4video.models.side.side_network import resolve_num_heads
from side4video.models.side_tuned_model import SideTunedModel

_OFFICIAL_SETTINGS = {
    "side": {"variant", "width", "taps", "num_heads", "initial_values"},
    "head": {"dropout", "init"},
}
"""Settings that the official code has too, or that do not change a trained model. Others must have their default."""


def adapter_from_official(checkpoint: Path, config: RunConfig, *, out: Path) -> Adapter:
    """Convert an official checkpoint to an adapter. The adapter contains the name of the backbone, not its weights.

    Args:
        checkpoint: checkpoint file of the released code: recognition or retrieval, CLIP or EVA. No pickled code is
            executed.
        config: settings that the checkpoint was trained with, such as a recipe. The backbone's weights are loaded and
            compared with those in the checkpoint. `data.class_names` names the classes; without it, names are numbers.
        out: adapter folder; must not contain an adapter yet.

    Raises:
        ValueError: the file is not an official checkpoint; or task, side network, backbone or number of classes differ
            from the settings; or `out` contains an adapter.
    """
    if (out / "config.json").exists():
        raise ValueError(f"{out} already contains an adapter. Choose another --out.")
    official = read_official_checkpoint(checkpoint)
    layout = detect_layout(official, source=str(checkpoint))
    _check_task(layout, config, checkpoint)
    _check_official_settings(config, "The recipe")
    state = from_official(official, source=str(checkpoint))
    class_names = () if layout.retrieval else _class_names(config, len(state["head.linear.bias"]))
    own = config.model_copy(update={"text": config.text.model_copy(update={"weights": "random"})})
    model = build_model(own, num_classes=len(class_names), device=torch.device("cpu"))
    if unlike := mismatched_weights(model.backbone, frozen_tensors(official)):
        raise ValueError(
            f"{len(unlike)} frozen tensors of {checkpoint} differ from {config.backbone.name} with weights "
            f"{config.backbone.weights!r}, such as {', '.join(unlike[:3])}. Use the backbone that it was trained on."
        )
    model.load_trained_state(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    )
    adapter = Adapter(config=config, class_names=class_names, fingerprint=model.backbone.fingerprint)
    save_adapter(out, model, adapter)
    return adapter


def official_from_adapter(folder: Path, *, out: Path) -> int:
    """Write an adapter's trained tensors under the official names, as `{"model_state_dict": ...}`.

    The file does not contain the frozen model; the official code loads it from CLIP's own file.

    Args:
        folder: adapter or run folder.
        out: a .pt file.

    Returns:
        The number of tensors written.

    Raises:
        ValueError: the adapter uses settings that the official model does not support, such as a fused head, or a
            trained tensor has no place in it. Nothing is written.
    """
    model, adapter = load_adapter(find_adapter(folder), device=torch.device("cpu"))
    _check_official_settings(adapter.config, str(folder))
    if adapter.config.task == "retrieval":
        _check_official_text(model, str(folder))
    side, retrieval = adapter.config.side, adapter.config.task == "retrieval"
    trained = model.trained_state()
    state = to_official(trained, Layout(side.variant, len(model.side.blocks), retrieval=retrieval))
    _check_complete(trained, state, folder)
    with replacing(out) as temporary:
        torch.save({"model_state_dict": {name: tensor.contiguous() for name, tensor in state.items()}}, temporary)
    return len(state)


def _check_task(layout: Layout, config: RunConfig, checkpoint: Path) -> None:
    task = "retrieval" if layout.retrieval else "recognition"
    if config.task != task or config.side.variant != layout.variant:
        raise ValueError(
            f"{checkpoint} is a {task} model with a {layout.variant} side network of {layout.num_blocks} blocks; the "
            f"settings are for {config.task}, {config.side.variant}. Use a recipe of the same kind."
        )


def _class_names(config: RunConfig, num_classes: int) -> tuple[str, ...]:
    if config.data.class_names is None:
        return tuple(str(number) for number in range(num_classes))
    names = read_class_names(config.data.class_names)
    if len(names) != num_classes:
        raise ValueError(
            f"{config.data.class_names} has {len(names)} names, but the checkpoint has {num_classes} classes."
        )
    return names


def _check_official_settings(config: RunConfig, source: str) -> None:
    """Refuse settings that change what the model computes and that the official code does not have."""
    groups = {"side": config.side, "head": config.head}
    given = [
        f"{group}.{name}"
        for group, settings in groups.items()
        for name, field in type(settings).model_fields.items()
        if name not in _OFFICIAL_SETTINGS[group] and getattr(settings, name) != field.default
    ]
    if resolve_num_heads(config.side.width, config.side.num_heads) != resolve_num_heads(config.side.width, None):
        given.append("side.num_heads")
    if config.probe.name != "none":
        given.append("probe.name")
    _refuse(given, source)


def _check_official_text(model: SideTunedModel, source: str) -> None:
    """Refuse text towers of other kinds than those of CLIP and EVA-CLIP."""
    from side4video.models.retrieval_model import RetrievalModel  # imports open_clip, which takes seconds

    assert isinstance(model, RetrievalModel)
    other = {
        "text.name": not model.text.causal or model.text.model.cls_emb is not None,
        "text.tokenizer": bool(model.text_files()),
        "text.loss": model.logit_bias is not None,
    }
    _refuse([name for name, is_other in other.items() if is_other], source)


def _refuse(given: list[str], source: str) -> None:
    if given:
        raise ValueError(f"{source} uses {', '.join(given)}, which the official model does not support.")


def _check_complete(state: dict[str, Tensor], official: dict[str, Tensor], folder: Path) -> None:
    """Refuse to write a file that does not contain every trained tensor."""
    restored = from_official(official)
    lost = sorted(name for name in state if name not in restored or not torch.equal(restored[name], state[name]))
    if lost or restored.keys() != state.keys():
        listed = ", ".join(lost or sorted(restored.keys() - state.keys()))[:1000]
        raise ValueError(f"{folder}: the official model has no place for its trained tensors {listed}.")
