"""Weights of image models in files that strangers made."""

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
_MAX_WRAPPERS = 4  # one in another; a dictionary in a forged file may hold itself
_PREFIXES = ("module.", "_orig_mod.")  # of parallel and of compiled training


def read_weights(path: Path) -> dict[str, Any]:
    """Read tensors by name, freed of wrapping dictionaries and of the prefixes of parallel or compiled training.

    Args:
        path: a `.safetensors` file, one of `torch.save` that holds tensors and plain containers, or a TorchScript
            archive such as OpenAI's CLIP files; nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or holds no dictionary of tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no weight file {str(path)!r}. Weights are 'hub', 'random' or a file's path.")
    try:
        state = _load(path)
    except Exception as error:  # a damaged file can end in any exception of torch's own unpickler
        reason = str(error).partition(". ")[0][:500]  # torch goes on to advise against weights_only
        raise ValueError(
            f"{path} cannot be read as weights: {reason or type(error).__name__}. It must be a .safetensors file, "
            "a TorchScript archive, or one of torch.save with tensors and plain containers. Save model.state_dict() "
            "and nothing else."
        ) from error
    for _ in range(_MAX_WRAPPERS):
        inside = [state[key] for key in _WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)]
        state = inside[0] if inside else state
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        raise ValueError(f"{path} holds {type(state).__name__} and no tensors by name. Save model.state_dict().")
    return {_strip(name): value for name, value in state.items()}


def check_state_dict(
    state: Mapping[str, Any], own: Mapping[str, Tensor], *, ignored: tuple[str, ...], what: str
) -> None:
    """Make sure that a file fills a model: the same names, the same shapes.

    Args:
        state: what the file gives.
        own: what the model needs.
        ignored: beginnings of names that the file may have though the model does not.
        what: of what the error speaks.

    Raises:
        ValueError: something is missing, unknown or of another shape; the first ten of each are named.
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
        raise ValueError(f"{what}: {'; '.join(found)}. Is it the file of this model, and do model_args fit?")


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path, device="cpu")
    if is_torchscript(path):
        return read_torchscript(path)
    with torch.serialization.safe_globals([Namespace]):  # training scripts put their arguments beside the weights
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _strip(name: str) -> str:
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name
