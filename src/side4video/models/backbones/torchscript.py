"""Reads the tensors of a TorchScript archive, such as OpenAI's CLIP files, without running its code.

The archive is a ZIP file: `data.pkl` describes the module as objects whose classes are TorchScript code, and `data/0`,
`data/1`, ... hold the numbers. The reader turns every such object into a plain dictionary and ignores the code.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
}

_MAX_PARTS = 100_000  # modules in an archive; large models have a few thousand


class _Module:
    """Placeholder for an object of the archive: its state by name."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Storage:
    """Placeholder for a storage class: its dtype."""

    def __init__(self, name: str) -> None:
        self.dtype = _DTYPES.get(name)


class _Reader(pickle._Unpickler):
    # The pure-Python unpickler: in the C one, a single large memo index takes gigabytes.
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _DTYPES:
            return _Storage(name)
        if module == "torch.jit._pickle" and name.startswith(("build_", "restore_type_tag")):
            return _first
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no weight file needs")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage, key, _device, size = pid
        if kind != "storage" or storage.dtype is None:
            raise pickle.UnpicklingError(f"it contains a storage of an unknown kind {pid[:2]}")
        content = bytearray(self._archive.read(f"{self._folder}/data/{key}"))
        return torch.frombuffer(content, dtype=storage.dtype) if size else torch.empty(0, dtype=storage.dtype)


def _rebuild(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    needed = offset + 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or min((*stride, 0)) < 0 or (0 not in size and needed > len(storage)):
        raise pickle.UnpicklingError(f"a tensor of shape {size} exceeds its storage of {len(storage)} numbers")
    return storage.as_strided(size, stride, offset)


def _first(value: Any, *_: Any) -> Any:
    return value


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a ZIP file that holds code and data."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # corrupt or not a ZIP file
        return False
    return any("/code/" in name for name in names) and any(name.endswith("/data.pkl") for name in names)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All parameters and buffers of the archive's module by name, on the CPU.

    Raises:
        ValueError: the archive is corrupt, or holds something that no weight file needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            data = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            module = _Reader(archive, data.removesuffix("/data.pkl")).load()
        return _tensors(module)
    except Exception as error:  # a corrupt pickle can raise any exception
        raise ValueError(f"{path} cannot be read as a TorchScript archive: {str(error)[:500]}.") from error


def _tensors(module: Any) -> dict[str, Tensor]:
    """The tensors in nested modules and dictionaries; a malicious archive may nest them without end."""
    found: dict[str, Tensor] = {}
    todo = [("", module)]
    for _ in range(_MAX_PARTS):
        if not todo:
            return found
        prefix, part = todo.pop()
        state = part.state if isinstance(part, _Module) else part
        for name, value in reversed(state.items()) if isinstance(state, dict) else ():
            if isinstance(value, Tensor):
                found[f"{prefix}{name}"] = value
            elif isinstance(value, (_Module, dict)):
                todo.append((f"{prefix}{name}.", value))
    raise ValueError(f"it has more than {_MAX_PARTS} parts")
