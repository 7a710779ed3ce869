"""Telling that memory ran out from other errors: PyTorch says it in several ways."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

# What PyTorch's allocators for CPU and MPS, and cuDNN and cuBLAS, say in a plain RuntimeError.
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
"""When memory ran out."""

REMEDIES: dict[Phase, str] = {
    "while the model was built": "--backbone.dtype bfloat16, --backbone.quantise int8, or another backbone",
    "while frozen tokens were computed for the probe or the cache": "--eval.batch, --backbone.chunk-frames",
    "in a training step or an evaluation": "--train.memory exact or tight, --train.micro-batch, --data.num-frames",
}
"""What makes a run smaller there."""


class TrainingMemoryError(RuntimeError):
    """A run for which the memory did not suffice.

    Args:
        reason: what the allocator said.
        phase: when it said so.
        num_classes: C, of the model.
    """

    def __init__(self, reason: str, *, phase: Phase, num_classes: int) -> None:
        super().__init__(
            f"Memory ran out {phase}: {reason} Smaller: {REMEDIES[phase]}; `side4video memory` says what fits."
        )
        self.reason, self.phase, self.num_classes = reason, phase, num_classes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):  # of a file that is mapped, or a process that is started
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def short_message(error: BaseException) -> str:
    """The first two sentences of an error, without where in PyTorch it arose; some go on for many lines."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    sentences = re.sub(r"^\[enforce fail.*?\] .*?\. ", "", lines[0]).rstrip(".").split(". ")
    return ". ".join(sentences[:2]) + "."


@contextmanager
def converting_out_of_memory(phase: Phase, *, num_classes: int) -> Iterator[None]:
    """Turn errors that say that memory ran out in the `with` block into a `TrainingMemoryError`."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingMemoryError(short_message(error), phase=phase, num_classes=num_classes) from None
