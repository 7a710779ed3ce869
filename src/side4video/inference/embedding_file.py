"""Files of embeddings and feature vectors: .npz and .safetensors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from side4video.atomic_files import replacing, write_tensors

SUFFIXES = (".npz", ".safetensors")


def check_embedding_file(path: Path) -> None:
    """Check the suffix of an output file. Call this before you compute embeddings.

    >>> check_embedding_file(Path("videos.npz"))

    Raises:
        ValueError: the suffix is not supported.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"--out {path}: embeddings are written to {' or '.join(SUFFIXES)} files.")


def write_arrays(path: Path, arrays: dict[str, Any], names: dict[str, Sequence[str]]) -> None:
    """Write tensors and lists of names to a .npz or .safetensors file, atomically."""
    check_embedding_file(path)
    if path.suffix == ".safetensors":
        write_tensors(path, arrays, {name: json.dumps(values) for name, values in names.items()})
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        arrays = {name: tensor.numpy() for name, tensor in arrays.items()}
        np.savez(file, allow_pickle=False, **arrays, **{name: np.array(values) for name, values in names.items()})
