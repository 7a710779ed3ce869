"""The tensors of a TorchScript archive, such as OpenAI's CLIP files, read without running anything in it.

The archive is a ZIP file: `data.pkl` describes the module as objects whose classes are TorchScript code, and `data/0`,
`data/1`, ... hold the numbers. Here every such object becomes a plain dictionary of what it holds; its code is not
looked at.
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

_MAX_PARTS = 100_000  # modules in an archive; large models have some thousands


class _Module:
    """What stands for an object of the archive: its state, by name."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Storage:
    """A kind of storage, by name; never made."""

    def __init__(self, name: str) -> None:
        self.dtype = _DTYPES.get(name)


class _Reader(pickle._Unpickler):
    # The unpickler in Python: a large memo index alone makes the one in C take gigabytes.
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
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no archive of weights needs")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage, key, _device, size = pid
        if kind != "storage" or storage.dtype is None:
            raise pickle.UnpicklingError(f"it holds a storage of unknown kind {pid[:2]}")
        content = bytearray(self._archive.read(f"{self._folder}/data/{key}"))
        return torch.frombuffer(content, dtype=storage.dtype) if size else torch.empty(0, dtype=storage.dtype)


def _rebuild(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    needed = offset + 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if offset < 0 or min((*stride, 0)) < 0 or (0 not in size and needed > len(storage)):
        raise pickle.UnpicklingError(f"a tensor of {size} lies outside of its {len(storage)} numbers")
    return storage.as_strided(size, stride, offset)


def _first(value: Any, *_: Any) -> Any:
    return value


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a ZIP file with code beside its data."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # a damaged one is nobody's
        return False
    return any("/code/" in name for name in names) and any(name.endswith("/data.pkl") for name in names)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors of the archive's module by name, parameters and buffers, on the CPU.

    Raises:
        ValueError: the archive is damaged, or holds something that no archive of weights needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            data = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            module = _Reader(archive, data.removesuffix("/data.pkl")).load()
        return _tensors(module)
    except Exception as error:  # a damaged pickle can end in any exception
        raise ValueError(f"{path} cannot be read as a TorchScript archive: {str(error)[:500]}.") from error


def _tensors(module: Any) -> dict[str, Tensor]:
    """The tensors in nested modules and dictionaries; a forged archive may nest them without end."""
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
