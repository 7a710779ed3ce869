"""The videos that a command is given on the command line."""

from collections.abc import Sequence
from pathlib import Path


def is_one_file(inputs: Sequence[str]) -> bool:
    """Whether the inputs are a single video file, which needs no loader processes."""
    return len(inputs) == 1 and Path(inputs[0]).is_file()
