"""The state a run continues from, bit for bit: one safetensors file, replaced atomically."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from side4video.files import write_tensors
from side4video.models.side_trained import SideTrained

_SHARED = ("qmap1", "qmap2")


@dataclass
class Progress:
    """Where a run stands. Everything random follows from the seed and the step, so no generator state is kept."""

    step: int = 0
    """Optimizer steps done."""
    best_score: float = -1.0
    """Best evaluation so far, 0..1; -1: none yet."""
    evaluations_since_best: int = 0
    skipped: int = 0
    """Training clips that could not be read so far."""
    stopped_early: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the fp16 gradient scaler."""
    seconds: float = 0.0
    """Time that the run has taken, evaluations included, interruptions not."""
    peak_memory_mb: float = 0.0
    """Most memory it has needed, MiB; see `peak_memory_mb` of the run log."""


def save_checkpoint(path: Path, *, model: SideTrained, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write trained tensors, optimizer state and progress to one file."""
    tensors = {f"model.{name}": tensor for name, tensor in model.trained_state().items()}
    for name, state in _optimizer_state(model, optimizer).items():
        tensors |= {f"optimizer.{name}.{key}": _as_tensor(value, key) for key, value in state.items()}
    write_tensors(path, tensors, {"progress": json.dumps(asdict(progress))})


def load_checkpoint(path: Path, *, model: SideTrained, optimizer: torch.optim.Optimizer) -> Progress:
    """Restore what `save_checkpoint` wrote; returns the progress.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: the file is damaged or belongs to another model.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: this run has no checkpoint to resume from. Start it without --resume."
        )
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            progress = Progress(**json.loads(file.metadata()["progress"]))
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a whole checkpoint: {error}") from error
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
    return progress


def _trained_parameters(model: SideTrained) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _optimizer_state(model: SideTrained, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    return {
        name: optimizer.state[parameter]
        for name, parameter in _trained_parameters(model).items()
        if optimizer.state[parameter]
    }


def _as_tensor(value: Tensor | int, key: str) -> Tensor:
    """A part of an optimizer's state for the file: 8-bit AdamW counts steps in an int and shares tables of levels."""
    if not isinstance(value, Tensor):
        return torch.tensor(value)
    return value.clone() if key in _SHARED else value  # safetensors refuses the same memory under two names


def _as_state(parameter: Tensor, tensor: Tensor, key: str) -> Tensor | int:
    if key == "step":
        return tensor if tensor.is_floating_point() else int(tensor)  # AdamW keeps its step counts on the CPU
    return tensor.to(parameter.device)
