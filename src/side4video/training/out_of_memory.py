"""Telling that memory ran out from other errors: PyTorch says it in several ways."""

import re

import torch

# What PyTorch's allocators for CPU and MPS, and cuDNN and cuBLAS, say in a plain RuntimeError.
_PHRASES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


class TrainingMemoryError(RuntimeError):
    """A training step for which the memory did not suffice.

    Args:
        reason: what the allocator said.
        num_classes: C, of the model.
    """

    def __init__(self, reason: str, *, num_classes: int) -> None:
        super().__init__(
            f"Memory ran out in a training step: {reason} Smaller: --train.memory exact or tight, "
            "--train.micro-batch; `side4video memory` says what fits."
        )
        self.reason, self.num_classes = reason, num_classes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def what_was_said(error: BaseException) -> str:
    """The first two sentences of an error, without where in PyTorch it arose; some go on for many lines."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    sentences = re.sub(r"^\[enforce fail.*?\] .*?\. ", "", lines[0]).rstrip(".").split(". ")
    return ". ".join(sentences[:2]) + "."
