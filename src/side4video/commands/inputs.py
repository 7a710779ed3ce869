"""What videos a command is given, as far as the command line says it."""

from collections.abc import Sequence
from pathlib import Path


def is_one_file(inputs: Sequence[str]) -> bool:
    """Whether that is one video, which is read without further processes."""
    return len(inputs) == 1 and Path(inputs[0]).is_file()
