"""Adapter folders: the trained tensors of a run and the settings that inference needs.

model.safetensors   trained tensors only (config.json names the frozen backbone)
text/               tokeniser of a text tower whose tokeniser is not part of open_clip
config.json         backbone and its fingerprint, side network, frames, preprocessing, class names, settings, scores
"""

import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from side4video.adapters.addresses import download_from_address
from side4video.adapters.hub import download, is_downloaded, parse_hub_name
from side4video.adapters.stored_settings import (
    FORMAT_VERSION,
    check_format_version,
    parse_settings,
    stored_preprocessing,
)
from side4video.adapters.trained_backbone import check_weights, restore_preprocessing, settings_of_training
from side4video.adapters.untrusted import check_untrusted, without_paths
from side4video.atomic_files import replacing, write_json, write_tensors
from side4video.config import NAMED_WEIGHTS, RunConfig, with_absolute_paths
from side4video.distributed.processes import print_once
from side4video.models.backbones.preprocessing import Preprocessing
from side4video.models.backbones.supported_models import ACTIVATIONS, activation_of
from side4video.models.backbones.weight_files import check_finite
from side4video.models.backbones.weight_folders import local_path
from side4video.models.build import build_model
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import choose_device
from side4video.video.remote import is_address, video_path

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TEXT = "text"
"""Folder of the text tower's files, see `RetrievalModel.text_files`."""
TEXT_FILES = tuple(f"{TEXT}/{name}" for name in ("tokenizer.json", "tokenizer.model", "config.json"))
MAX_FINGERPRINT_CHARACTERS = 100  # characters; errors show it, so longer ones are cut


class Thresholds(NamedTuple):
    """Scores from which a class counts as shown, for models of videos with several labels.

    >>> Thresholds((0.5, 0.3), "best F1 of each class on 40 videos of val.csv").values[1]
    0.3
    """

    values: tuple[float, ...]
    """Of each class, 0..1."""
    origin: str
    """How they were chosen."""


@dataclass(frozen=True)
class Adapter:
    """The content of an adapter's config.json.

    >>> adapter = read_adapter(Path("adapter"))
    >>> adapter.class_names, adapter.config.data.num_frames
    (('anticlockwise', 'clockwise'), 4)
    """

    config: RunConfig
    """Settings of the run that made the adapter."""
    class_names: tuple[str, ...]
    """Class names in the order of the model's outputs. Empty for retrieval."""
    fingerprint: str
    """Fingerprint of the backbone in training."""
    scores: dict[str, Any] = field(default_factory=dict)
    """Scores of the evaluation that selected the adapter, and the settings of that evaluation."""
    run: dict[str, Any] = field(default_factory=dict)
    """The cost of training: seconds, peak memory, device, steps, training samples."""
    clip_seconds: float | None = None
    """Median length of the training clips; None: unknown, as in adapters of earlier versions."""
    preprocessing: Preprocessing | None = None
    """Mean, standard deviation and interpolation in training, as stored; `save_adapter` stores those of the model."""
    image_size: int | None = None
    """Height and width of the frames in training, pixels, as stored."""
    activation: str | None = None
    """Activation of the backbone in training, as stored; "model": that of its name, and None in earlier adapters."""
    thresholds: Thresholds | None = None
    """Of each class, if videos can show several classes; None: a video shows one class."""

    @property
    def multi_label(self) -> bool:
        """Whether videos can show several classes: scores are then sigmoids, not a softmax."""
        return self.thresholds is not None


def save_adapter(folder: Path, model: SideTunedModel, adapter: Adapter) -> None:
    """Write an adapter folder. Replaces an existing one file by file, the weights first."""
    backbone = model.backbone
    write_tensors(folder / WEIGHTS, model.trained_state(), {"format": "pt"})
    for name, data in model.text_files().items():
        with replacing(folder / TEXT / name) as temporary:
            temporary.write_bytes(data)
    content = {
        "format_version": FORMAT_VERSION,
        "side4video": version("side4video"),
        "task": adapter.config.task,
        "backbone": {
            "name": backbone.name,
            "fingerprint": adapter.fingerprint,
            "activation": activation_of(backbone.model),
        },
        "preprocessing": {
            "image_size": backbone.image_size,
            "mean": list(backbone.mean),
            "std": list(backbone.std),
            "interpolation": backbone.interpolation,
        },
        "class_names": list(adapter.class_names),
        "scores": adapter.scores,
        "run": adapter.run,
        "clip_seconds": adapter.clip_seconds,
        **({} if adapter.thresholds is None else {"thresholds": adapter.thresholds._asdict()}),
        "settings": with_absolute_paths(adapter.config).model_dump(mode="json"),
    }
    write_json(folder / CONFIG, content)


def find_adapter(folder: Path) -> Path:
    """Find an adapter: `folder` itself, the best adapter of a run folder, or a download from an address or the hub.

    `user/name` and `user/name@revision` are names on the hub if neither the folder nor its parent folder exists. A
    misspelled `runs/mine` is therefore not looked up on the hub.

    Raises:
        FileNotFoundError: there is no adapter.
    """
    for candidate in (folder, folder / "best", folder / "last"):
        if (candidate / CONFIG).is_file() and (candidate / WEIGHTS).is_file():
            return candidate
    if is_address(address := video_path(folder)):
        return download_from_address(address, (WEIGHTS, CONFIG), optional=TEXT_FILES)
    name = parse_hub_name(folder.as_posix())
    if name is not None and not folder.exists() and not folder.parent.is_dir():
        return download(name, (WEIGHTS, CONFIG), optional=TEXT_FILES)
    hint = f" The hub was not queried, because the folder {folder.parent} exists." if name is not None else ""
    raise FileNotFoundError(
        f"{folder} is not an adapter: expected {WEIGHTS} and {CONFIG} in it, or a run folder with an adapter in best/."
        f"{hint}"
    )


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's config.json, without its weights.

    Adapters from the hub or an address are not trusted: their settings are checked, and paths in them are ignored.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: the config is corrupt, not supported or not safe.
    """
    path = find_adapter(folder) / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        check_format_version(content, source=str(path))
        config, ignored = parse_settings(content, source=str(path))
        if is_downloaded(path):
            check_untrusted(content, config, source=str(folder))
            config = without_paths(config)
        if (path.parent / TEXT).is_dir():
            text = config.text.model_copy(update={"tokenizer": str(path.parent / TEXT)})
            config = config.model_copy(update={"text": text})
        if ignored:
            print_once(
                f"{folder} was written by side4video {str(content.get('side4video'))[:50]!r}; its settings of training "
                f"{', '.join(ignored)[:500]!r} are unknown here and ignored."
            )
        preprocessing, image_size = stored_preprocessing(content, source=str(path))
        activation = content["backbone"].get("activation")
        if activation is not None and activation not in ACTIVATIONS:
            activation = "model"
        return Adapter(
            config=config,
            class_names=tuple(map(str, content["class_names"])),
            fingerprint=str(content["backbone"]["fingerprint"])[:MAX_FINGERPRINT_CHARACTERS],
            scores={**content["scores"]},
            run={**content.get("run", {})},
            clip_seconds=_clip_seconds(content.get("clip_seconds"), path),
            preprocessing=preprocessing,
            image_size=image_size,
            activation=activation,
            thresholds=_thresholds(content.get("thresholds"), len(content["class_names"]), path),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise ValueError(f"{path} is not the config of an adapter ({what}). Copy the adapter folder again.") from error


def _clip_seconds(value: float | None, path: Path) -> float | None:
    if value is not None and not (isinstance(value, (int, float)) and 0 < value < float("inf")):
        raise ValueError(f"{path}: clip_seconds = {value!r} is no length above 0. Copy the adapter folder again.")
    return value


def _thresholds(content: dict[str, Any] | None, num_classes: int, path: Path) -> Thresholds | None:
    if content is None:
        return None
    values = content["values"]
    valid = all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in values)
    if not valid or len(values) != num_classes:
        raise ValueError(
            f"{path}: its thresholds are not {num_classes} numbers from 0 to 1, one for each class. Copy the adapter "
            "folder again."
        )
    return Thresholds(tuple(map(float, values)), str(content["origin"])[:1000])


def read_adapter_for(task: Literal["recognition", "retrieval"], folder: Path) -> Adapter:
    """Like `read_adapter`, and check the task of the adapter.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: the config cannot be used, or the adapter was trained for the other task.
    """
    adapter = read_adapter(folder)
    if adapter.config.task != task:
        hint = "it finds videos by sentences" if task == "recognition" else "it classifies videos"
        raise ValueError(f"{folder} was trained for {adapter.config.task}: {hint}. Give an adapter for {task}.")
    return adapter


def load_adapter(
    folder: str | Path,
    *,
    device: str | torch.device = "auto",
    backbone_weights: str | Path | None = None,
    dtype: str | None = None,
) -> tuple[SideTunedModel, Adapter]:
    """Build the model of an adapter and load its trained weights. The model is in eval mode.

    Args:
        folder: an adapter folder, a run folder (its best adapter is used), or a name on the Hugging Face hub.
        device: device of the model: "auto" (a CUDA GPU if available, otherwise the CPU), "cpu", "cuda:1" ...
        backbone_weights: local weights file of the backbone. Default: the weights used in training.
        dtype: number type of the backbone, such as "float32". Default: the type used in training.

    Returns:
        The model, a `VideoModel` or a `RetrievalModel`, and the content of the adapter's config.json.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: the adapter is corrupt, or the backbone's weights are missing or differ from those in training.

    >>> model, adapter = load_adapter(Path("adapter"), device=torch.device("cpu"))
    >>> model(torch.zeros(1, 4, 3, 32, 32)).shape  # one clip of 4 frames, two classes
    torch.Size([1, 2])
    """
    folder, device = Path(folder), choose_device(device)
    adapter = read_adapter(folder)
    config = adapter.config
    if backbone_weights is None:
        _check_weights_exist(folder, adapter)
    backbone = settings_of_training(
        config.backbone,
        activation=adapter.activation,
        image_size=adapter.image_size,
        weights=None if backbone_weights is None else str(backbone_weights),
        dtype=dtype,
    )
    config = config.model_copy(update={"backbone": backbone})
    text = config.text.model_copy(update={"weights": "random"})  # the adapter contains the trained text tower
    config = config.model_copy(update={"text": text})
    model = _build(config, adapter, device, folder)
    check_weights(model.backbone, adapter.fingerprint, weights=backbone.weights, folder=folder)
    restore_preprocessing(model.backbone, adapter.preprocessing, folder=folder)
    state = read_weights(folder)
    try:
        model.load_trained_state(state)
    except ValueError as error:
        raise ValueError(f"{folder}: {error} Copy the adapter folder again.") from error
    return model.eval(), adapter


def _build(config: RunConfig, adapter: Adapter, device: torch.device, folder: Path) -> SideTunedModel:
    try:
        return build_model(config, num_classes=len(adapter.class_names), device=device)
    except torch.OutOfMemoryError:
        raise
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{folder}: its settings are not valid for a model: {str(error)[:1000]}") from error


def _check_weights_exist(folder: Path, adapter: Adapter) -> None:
    backbone = adapter.config.backbone
    downloaded = is_downloaded(find_adapter(folder))
    if backbone.weights in NAMED_WEIGHTS or (not downloaded and local_path(backbone.weights).exists()):
        return
    where = (
        "was on its author's machine" if downloaded else f"does not exist at {local_path(backbone.weights).absolute()}"
    )
    raise ValueError(
        f"{folder} was trained on {backbone.name} with weights from a file, {Path(backbone.weights).name}, which "
        f"{where}. Give weights of that model with the fingerprint {adapter.fingerprint}: --backbone-weights FILE, or "
        "backbone_weights in Python."
    )


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The trained tensors of an adapter folder.

    Raises:
        ValueError: the file is corrupt, or contains NaN or infinity.
    """
    path = find_adapter(folder) / WEIGHTS
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is corrupt: {str(error)[:500]}. Copy the adapter folder again.") from error
    check_finite(state, what=f"{path} cannot be used")
    return state
