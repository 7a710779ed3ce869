"""Seconds per training step of several methods, in turn, so that what else the machine does falls on all alike."""

import time
from collections.abc import Mapping
from statistics import median

import torch

from measuring.step import Step

GPU_WARM_UPS, GPU_STEPS = 2, 5
"""In each round: after a model has come back to the GPU its first steps are slow. On a CPU a round is one step."""


def time_steps(steps: Mapping[str, Step], *, batch: int, rounds: int) -> dict[str, float | None]:
    """Median seconds of a step on ready-made clips; None where memory does not suffice.

    Args:
        steps: by name, their models on the CPU; on a GPU only the one whose turn it is takes memory.
        batch: clips in a step.
        rounds: how often each has its turn; a further one before is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    failed: set[str] = set()
    for number in range(rounds + 1):
        for name, step in steps.items():
            if name in failed:
                continue
            try:
                taken = _turn(step, batch)
            except torch.OutOfMemoryError:
                failed.add(name)
            else:
                seconds[name] += taken if number else []
    return {name: None if name in failed else median(seconds[name]) for name in steps}


def _turn(step: Step, batch: int) -> list[float]:
    on_gpu = step.device.type == "cuda"
    step.move(step.device)
    try:
        inputs = step.inputs(batch)
        taken = []
        for number in range(GPU_WARM_UPS + GPU_STEPS if on_gpu else 1):
            start = time.perf_counter()
            step.backward(step.loss(*inputs))
            step.update()
            if on_gpu:
                torch.cuda.synchronize(step.device)
            taken += [time.perf_counter() - start] if number >= GPU_WARM_UPS or not on_gpu else []
        return taken
    finally:
        step.optimizer.zero_grad(set_to_none=True)
        step.move(torch.device("cpu"))
