"""Finds the weight files of a path: a single file, the parts of a sharded model, or a folder as on the hub."""

import json
import re
from pathlib import Path

_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)")
_INDEX_SUFFIX = ".index.json"
_SINGLE = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
"""Names on the hub; where a folder has several, they hold the same weights, and the first one is read."""
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_MAX_INDEX_BYTES = 2**28


def local_path(path: str | Path) -> Path:
    """The path with `~` replaced by the home folder."""
    return Path(path).expanduser()


def weight_parts(path: Path) -> list[Path]:
    """The files that hold the weights of a path, in a fixed order.

    Args:
        path: a weight file; one part of a sharded model (all of its parts are found); a `.index.json` of a sharded
            model; or a folder with one model.

    Raises:
        FileNotFoundError: there is no such path, the folder has no weights, or parts are missing.
        ValueError: the folder holds several models, or an index is corrupt.
    """
    if path.is_dir():
        return _parts_of_folder(path)
    if not path.is_file():
        raise FileNotFoundError(_missing_message(path))
    if path.name.endswith(_INDEX_SUFFIX):
        return _parts_of_index(path)
    if part := _PART.fullmatch(path.name):
        return _numbered_parts(path.parent, part)
    return [path]


def _missing_message(path: Path) -> str:
    message = f"There is no weight file {str(path)!r}. Weights are 'hub', 'random' or a file's or folder's path."
    if len(path.parts) == 2 and not path.is_absolute() and not path.suffix:
        message += (
            f" To use weights from the hub, download them first: hf download {path.as_posix()} --local-dir FOLDER."
        )
    return message


def _parts_of_folder(folder: Path) -> list[Path]:
    snapshots = sorted(folder.glob("snapshots/*/"))
    if len(snapshots) == 1:  # a model in the cache of the hub
        return _parts_of_folder(snapshots[0])
    files = sorted(entry for entry in folder.iterdir() if entry.is_file())
    if any(file.suffix == ".distcp" for file in files):
        raise ValueError(
            f"{folder} is a distributed checkpoint of PyTorch. Convert it to one file first: python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE"
        )
    names = {file.name: file for file in files}
    for suffix in (".safetensors", ".bin"):
        single = [name for name in _SINGLE if name in names and name.endswith(suffix)]
        indexes = [file for file in files if file.name.endswith(f"{suffix}{_INDEX_SUFFIX}")]
        if single or len(indexes) == 1:
            return [names[single[0]]] if single else _parts_of_index(indexes[0])
    return _only_model(folder, [file for file in files if file.suffix in _SUFFIXES])


def _only_model(folder: Path, files: list[Path]) -> list[Path]:
    """The files of the only model in a folder without a usual name."""
    models: dict[str, list[Path]] = {}
    for file in files:
        part = _PART.fullmatch(file.name)
        models.setdefault(part["name"] + part["suffix"] if part else file.name, []).append(file)
    if len(models) == 1:
        return weight_parts(files[0])
    if not models:
        present = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
        raise FileNotFoundError(
            f"The folder {str(folder)!r} has no weights ({', '.join(_SUFFIXES)}), only: {present}. Give the folder or "
            "the file of a model for PyTorch."
        )
    raise ValueError(f"The folder {str(folder)!r} has several models: {', '.join(sorted(models)[:10])}. Give one file.")


def _parts_of_index(index: Path) -> list[Path]:
    """The files that an index names. They must be in its folder."""
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise ValueError("it is too large")
        names = sorted(set(json.loads(index.read_text(encoding="utf-8-sig"))["weight_map"].values()))
        if not all(names) or not names or any(Path(name).name != name or "\\" in name for name in names):
            raise ValueError("its parts are not file names")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{index} is not the index of a sharded model ({type(error).__name__}: {str(error)[:200]}). Download it "
            "again."
        ) from error
    return _existing([index.parent / name for name in names], f"{index} lists")


def _numbered_parts(folder: Path, part: re.Match[str]) -> list[Path]:
    """All parts of a model from the name of one; numbers begin at 1, or at 0 in some files."""
    count, first = int(part["count"]), 1
    name = "{}-{:05}-of-{:05}{}"
    if (folder / name.format(part["name"], 0, count, part["suffix"])).is_file():
        first = 0
    paths = [
        folder / name.format(part["name"], number, count, part["suffix"]) for number in range(first, first + count)
    ]
    return _existing(paths, f"{part.string} is one of")


def _existing(paths: list[Path], what: str) -> list[Path]:
    if missing := [path.name for path in paths if not path.is_file()]:
        raise FileNotFoundError(
            f"{what} {len(paths)} parts, and {len(missing)} of them are missing in {str(paths[0].parent)!r}: "
            f"{', '.join(missing[:5])}. Download the whole folder."
        )
    return paths
