"""Checkpoints for bit-exact resume: one safetensors file with a checksum, and the previous one as a fallback."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from side4video.atomic_files import write_tensors
from side4video.models.side_tuned_model import SideTunedModel

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"
_SHARED = ("qmap1", "qmap2")


@dataclass
class Progress:
    """Progress of a run. All randomness follows from the seed and the step, so no generator state is stored.

    >>> Progress(step=100).best_score
    -1.0
    """

    step: int = 0
    """Optimizer steps done."""
    best_score: float = -1.0
    """Best evaluation score so far, 0..1; -1 if there is none yet."""
    evaluations_since_best: int = 0
    skipped: int = 0
    """Unreadable training clips so far."""
    stopped_early: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the fp16 gradient scaler."""
    seconds: float = 0.0
    """Duration of the run, including evaluations, excluding interruptions."""
    nonfinite: int = 0
    """Steps skipped because their loss or gradient was not finite."""
    evaluation_due: bool = False
    """The last step of an epoch is done, but its evaluation is not."""
    epochs: int = 0
    """`train.epochs` when the checkpoint was written; 0: unknown, as in checkpoints of earlier versions."""
    peak_memory_mb: float = 0.0
    """Peak memory, MiB; see `peak_memory_mb` of the run log."""


def has_checkpoint(folder: Path) -> bool:
    """Whether a run folder contains a checkpoint, intact or not."""
    return (folder / CHECKPOINT).is_file() or (folder / PREVIOUS).is_file()


def save_checkpoint(
    folder: Path,
    *,
    model: SideTunedModel,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    keep_previous: bool = False,
) -> None:
    """Write trained tensors, optimizer state and progress; the existing checkpoint becomes the previous one.

    The new file is complete and flushed to disk before any file is renamed, so an intact checkpoint always exists.

    Args:
        folder: the run folder.
        model, optimizer, progress: the state to write.
        keep_previous: the newest checkpoint is corrupt: overwrite it and keep the previous one.

    Raises:
        OSError: the file could not be written; both existing files are unchanged.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.trained_state().items()}
    for name, state in _optimizer_state(model, optimizer).items():
        tensors |= {f"optimizer.{name}.{key}": _as_tensor(value, key) for key, value in state.items()}
    text = json.dumps(asdict(progress))
    previous = None if keep_previous else folder / PREVIOUS
    write_tensors(
        folder / CHECKPOINT, tensors, {"progress": text, "sha256": _checksum(tensors, text)}, previous=previous
    )


def load_checkpoint(folder: Path, *, model: SideTunedModel, optimizer: torch.optim.Optimizer) -> tuple[Progress, str]:
    """Restore the newest checkpoint, or the previous one if the newest is corrupt or missing.

    Returns:
        The progress, and a warning that explains why the newest checkpoint was not used; empty if it was used.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: no checkpoint is intact, or they belong to another model.
    """
    refused: list[str] = []
    for name in (CHECKPOINT, PREVIOUS):
        try:
            tensors, progress = _read(folder / name)
        except (ValueError, FileNotFoundError) as error:
            refused.append(str(error))
            continue
        _restore(tensors, model, optimizer)
        warning = f"{refused[0]} Using the previous checkpoint, of step {progress.step}." if refused else ""
        return progress, warning
    if not has_checkpoint(folder):
        raise FileNotFoundError(
            f"{folder / CHECKPOINT} does not exist: this run has no checkpoint to resume from. Start it without "
            "--resume."
        )
    raise ValueError(
        f"{' '.join(refused)} There is no checkpoint to resume from: start again in another folder"
        + (f", from the adapter of the last epoch with --init-from {folder}." if (folder / "last").is_dir() else ".")
    )


def _read(path: Path) -> tuple[dict[str, Tensor], Progress]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing.")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = file.metadata()
        text, checksum = metadata["progress"], metadata["sha256"]
        if checksum != _checksum(tensors, text):
            raise ValueError("its checksum does not match its content")
        return tensors, Progress(**json.loads(text))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is a corrupt checkpoint: {str(error)[:500]}.") from error


def _checksum(tensors: Mapping[str, Tensor], progress: str) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all tensors and the progress; about 1 s for 2 GB."""
    digest = hashlib.sha256(progress.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _restore(tensors: Mapping[str, Tensor], model: SideTunedModel, optimizer: torch.optim.Optimizer) -> None:
    model.load_trained_state(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    )
    for name, parameter in _trained_parameters(model).items():
        prefix = f"optimizer.{name}."
        optimizer.state[parameter] = {
            key.removeprefix(prefix): _as_state(parameter, tensor, key.removeprefix(prefix))
            for key, tensor in tensors.items()
            if key.startswith(prefix)
        }


def _trained_parameters(model: SideTunedModel) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _optimizer_state(model: SideTunedModel, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    return {
        name: optimizer.state[parameter]
        for name, parameter in _trained_parameters(model).items()
        if optimizer.state[parameter]
    }


def _as_tensor(value: Tensor | int, key: str) -> Tensor:
    """An optimizer state value as a tensor: 8-bit AdamW counts steps in an int and shares its quantisation tables."""
    if not isinstance(value, Tensor):
        return torch.tensor(value)
    return value.clone() if key in _SHARED else value  # safetensors refuses shared memory


def _as_state(parameter: Tensor, tensor: Tensor, key: str) -> Tensor | int:
    if key == "step":
        return tensor if tensor.is_floating_point() else int(tensor)  # AdamW keeps its step counts on the CPU
    return tensor.to(parameter.device)
