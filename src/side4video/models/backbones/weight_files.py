"""Reads untrusted weight files safely, and checks that they match a model."""

import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from side4video.models.backbones.torchscript import is_torchscript, read_torchscript

_WRAPPERS = ("model_state_dict", "state_dict", "model", "module")  # keys under which training scripts put the weights
_MAX_WRAPPERS = 4  # nested; a dictionary in a malicious file may contain itself
_PREFIXES = ("module.", "_orig_mod.")  # added by DataParallel and by torch.compile


def read_weights(path: Path) -> dict[str, Any]:
    """Read a state dict; unwraps nested dictionaries and strips the prefixes of parallel or compiled training.

    Args:
        path: a `.safetensors` file, a `torch.save` file with tensors and plain containers, or a TorchScript archive
            such as OpenAI's CLIP files. Nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, or holds no dictionary of tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no weight file {str(path)!r}. Weights are 'hub', 'random' or a file's path.")
    try:
        state = _load(path)
    except Exception as error:  # torch's unpickler can raise any exception on a corrupt file
        reason = str(error).partition(". ")[0][:500]  # drops torch's advice to turn weights_only off
        raise ValueError(
            f"{path} cannot be read as weights: {reason or type(error).__name__}. It must be a .safetensors file, "
            "a TorchScript archive, or a torch.save file with tensors and plain containers. Save model.state_dict() "
            "and nothing else."
        ) from error
    for _ in range(_MAX_WRAPPERS):
        inside = [state[key] for key in _WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)]
        state = inside[0] if inside else state
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        raise ValueError(f"{path} contains {type(state).__name__} instead of tensors by name. Save model.state_dict().")
    return {_strip(name): value for name, value in state.items()}


def check_state_dict(
    state: Mapping[str, Any], own: Mapping[str, Tensor], *, ignored: tuple[str, ...], what: str
) -> None:
    """Check that a state dict has the names and shapes that a model needs.

    Args:
        state: the state dict of the file.
        own: the state dict of the model.
        ignored: prefixes of names that the file may have and the model does not.
        what: subject of the error message.

    Raises:
        ValueError: tensors are missing, unknown or have another shape; the message lists the first ten of each.
    """
    unknown = (name for name in state.keys() - own.keys() if not name.startswith(ignored))
    misshapen = (
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own.keys() & state.keys()
        if state[name].shape != own[name].shape
    )
    problems = {"missing": own.keys() - state.keys(), "unknown": unknown, "of another shape": misshapen}
    listed = {kind: sorted(names) for kind, names in problems.items()}
    found = [f"{len(names)} {kind}: {', '.join(names[:10])}" for kind, names in listed.items() if names]
    if found:
        raise ValueError(f"{what}: {'; '.join(found)}. Check that the file belongs to this model and fits model_args.")


def check_finite(state: Mapping[str, Any], *, what: str) -> None:
    """Check that no tensor of a state dict contains NaN or infinity.

    >>> check_finite({"weight": torch.ones(2)}, what="weights.pt")

    Raises:
        ValueError: a tensor does; the message names the first ten.
    """
    tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    bad = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not tensor.is_meta and not _is_finite(tensor)
    ]
    if bad:
        raise ValueError(f"{what}: NaN or infinity in {len(bad)} of {len(tensors)} tensors: {', '.join(bad[:10])}.")


def _is_finite(tensor: Tensor) -> bool:
    total = tensor.sum(dtype=torch.promote_types(tensor.dtype, torch.float32))  # takes no memory, but may overflow
    return bool(total.isfinite()) or bool(tensor.isfinite().all())


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path, device="cpu")
    if is_torchscript(path):
        return read_torchscript(path)
    with torch.serialization.safe_globals([Namespace]):  # training scripts store their arguments with the weights
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _strip(name: str) -> str:
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name
