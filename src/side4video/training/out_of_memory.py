"""Detects out-of-memory errors, which PyTorch raises in several forms, and suggests remedies."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

# Phrases in the plain RuntimeErrors of PyTorch's allocators for CPU and MPS, and of cuDNN and cuBLAS.
_PHRASES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


Phase = Literal[
    "while the model was built",
    "while frozen tokens were computed for the probe or the cache",
    "in a training step or an evaluation",
]
"""The phase of a run in which memory ran out."""

REMEDIES: dict[Phase, str] = {
    "while the model was built": "--backbone.dtype bfloat16, --backbone.quantise int8, or another backbone",
    "while frozen tokens were computed for the probe or the cache": "--eval.batch, --backbone.chunk-frames",
    "in a training step or an evaluation": "--train.memory exact or tight, --train.micro-batch, --data.num-frames",
}
"""Settings that reduce memory in each phase."""


class TrainingMemoryError(RuntimeError):
    """A run ran out of memory.

    Args:
        reason: message of the allocator.
        phase: phase of the run.
        num_classes: C, classes of the model.

    >>> error = TrainingMemoryError("Tried to allocate 2 GiB.", phase="while the model was built", num_classes=5)
    >>> "--backbone.quantise int8" in str(error)
    True
    """

    def __init__(self, reason: str, *, phase: Phase, num_classes: int) -> None:
        super().__init__(
            f"Memory ran out {phase}: {reason} Try {REMEDIES[phase]}; `side4video memory` estimates what fits."
        )
        self.reason, self.phase, self.num_classes = reason, phase, num_classes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):  # from mapping a file or starting a process
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def short_message(error: BaseException) -> str:
    """The first two sentences of an error, without its location in PyTorch; some messages have many lines."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    sentences = re.sub(r"^\[enforce fail.*?\] .*?\. ", "", lines[0]).rstrip(".").split(". ")
    return ". ".join(sentences[:2]) + "."


@contextmanager
def converting_out_of_memory(phase: Phase, *, num_classes: int) -> Iterator[None]:
    """Convert out-of-memory errors in the `with` block into a `TrainingMemoryError`."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingMemoryError(short_message(error), phase=phase, num_classes=num_classes) from None
