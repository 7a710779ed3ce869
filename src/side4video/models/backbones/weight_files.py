"""Reads untrusted weight files and folders safely, and checks that they match a model."""

import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from side4video.models.backbones.torchscript import read_torchscript
from side4video.models.backbones.weight_folders import local_path, weight_parts
from side4video.models.backbones.weight_formats import weight_format

_WRAPPERS = ("model_state_dict", "state_dict", "model", "module")  # keys under which training scripts put the weights
_MAX_WRAPPERS = 4  # nested; a dictionary in a malicious file may contain itself
_MAX_DEPTH = 8
_PREFIXES = ("module.", "_orig_mod.")  # added by DataParallel and by torch.compile
_INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.")
"""Added to the names of wrapped modules anywhere: torch.compile, FSDP, activation checkpointing, Lightning Fabric."""


def read_weights(path: Path) -> dict[str, Any]:
    """Read a state dict; unwraps nested dictionaries and strips the prefixes of parallel or compiled training.

    Args:
        path: a file or folder, see `read_content`. Nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, or holds no dictionary of tensors.
    """
    state = read_content(path)
    for _ in range(_MAX_WRAPPERS):
        inside = [state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)]
        state = inside[0] if inside else state
    if not state or not all(isinstance(name, str) for name in state):
        raise _no_tensors(path, state)
    return {_strip(name): value for name, value in state.items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file or folder by name; a dot joins the keys of nested dictionaries, `state_dict.head.weight`.

    What wrappers such as FSDP, `torch.compile` and activation checkpointing add inside the names is removed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read, or holds no tensors by name.
    """
    content = read_content(path)
    tensors = dict(_flatten(content, "", _MAX_DEPTH))
    if not tensors:
        raise _no_tensors(path, content)
    return tensors


def without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the usual keys of training scripts, such as `state_dict.` or `model.`; all if none has them."""
    for wrapper in _WRAPPERS:
        prefix = f"{wrapper}."
        if inside := {_strip(name.removeprefix(prefix)): tensors[name] for name in tensors if name.startswith(prefix)}:
            return inside
    return {_strip(name): tensor for name, tensor in tensors.items()}


def read_content(path: Path) -> dict[str, Any]:
    """The dictionary in a weight file; for a sharded model, the tensors of all its parts.

    Args:
        path: a `.safetensors` file, a `torch.save` file with tensors and plain containers, a TorchScript archive such
            as OpenAI's CLIP files; a folder with one of them; or one part or the index of a sharded model. The content
            decides, not the suffix. `~` is the home folder. Nothing in a file is executed.

    Raises:
        FileNotFoundError: there is no such file, or parts are missing.
        ValueError: the file cannot be read, holds no dictionary, or parts hold the same tensor.
    """
    content: dict[str, Any] = {}
    for part in weight_parts(local_path(path)):
        inside = _load(part)
        if not isinstance(inside, dict):
            raise _no_tensors(part, inside)
        if twice := content.keys() & inside.keys():
            raise ValueError(
                f"{part} contains {sorted(map(str, twice))[0]} again, which another part has. Download it again."
            )
        content |= inside
    return content


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
    packed = (
        f"{name} {str(state[name].dtype).removeprefix('torch.')}"
        for name in own.keys() & state.keys()
        if own[name].is_floating_point() and not state[name].is_floating_point()
    )
    problems = {
        "missing": own.keys() - state.keys(),
        "unknown": unknown,
        "of another shape": misshapen,
        "quantised or of integers": packed,
    }
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
    kind = weight_format(path)
    try:
        if kind == "safetensors":
            return safetensors.torch.load_file(path, device="cpu")
        if kind == "torchscript":
            return read_torchscript(path)
        with torch.serialization.safe_globals([Namespace]):  # training scripts store their arguments with the weights
            return _load_torch(path)
    except Exception as error:  # torch's unpickler can raise any exception on a corrupt file
        raise ValueError(
            f"{path} cannot be read as weights: {_reason(error)}. It must be a .safetensors file, a TorchScript "
            "archive, or a torch.save file with tensors and plain containers. Save model.state_dict() and nothing else."
        ) from error


def _load_torch(path: Path) -> Any:
    if path.suffix == ".safetensors":  # given the path, torch would decide by its name
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _reason(error: Exception) -> str:
    """The error without torch's advice to turn off the protection against code in pickles."""
    text = str(error)
    if "Unsupported global: GLOBAL " in text:
        name = text.partition("Unsupported global: GLOBAL ")[2].split()[0]
        return f"it contains a Python object ({name[:200]}), which only running code from the file could restore"
    return text.partition(". ")[0][:500] or type(error).__name__


def _no_tensors(path: Path, content: Any) -> ValueError:
    return ValueError(f"{path} contains {type(content).__name__} instead of tensors by name. Save model.state_dict().")


def _flatten(content: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        if isinstance(value, Tensor):
            yield _clean(prefix + key), value
        elif isinstance(value, Mapping) and depth > 1:
            yield from _flatten(value, f"{prefix}{key}.", depth - 1)


def _clean(name: str) -> str:
    for part in _INSIDE:
        name = name.replace(part, "")
    return name


def _strip(name: str) -> str:
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name
