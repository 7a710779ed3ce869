"""Measures the memory of a method's training step on a GPU, as PyTorch's allocator reports it."""

from typing import Any

import torch

from measuring.counting import CARD_BYTES
from measuring.saved_bytes import SavedBytes
from measuring.step import Step, build_model
from methods import Method, Size
from side4video.memory.advice import usable_bytes
from side4video.memory.planning import largest_within
from side4video.models.backbones.loading import FrozenBackbone

WARM_UPS, STEPS = 3, 5


def build_step(method: Method, name: str, size: Size, backbone: FrozenBackbone, device: torch.device) -> Step:
    """A step on `device` with bfloat16 autocast there, in float32 on a CPU."""
    model = build_model(method, name, backbone, num_frames=size.num_frames)
    on_gpu = device.type == "cuda"
    return Step(method, size, model, device=device, image_size=backbone.image_size, bf16=on_gpu, foreach=on_gpu)


def measure(method: Method, name: str, size: Size, backbone: FrozenBackbone, device: torch.device) -> dict[str, Any]:
    """Largest allocated and reserved bytes of real steps, what autograd saves, and the largest batch on 24 GB.

    Where a step does not fit on the GPU its numbers are None.
    """
    step = build_step(method, name, size, backbone, device)
    step.move(device)
    try:
        saved = [_saved_bytes(step, batch) for batch in (1, 2)]
        peak = _peak(step, size.batch, device)
        return {
            "trained_parameters": sum(parameter.numel() for parameter in step.trained),
            "input_frames": size.num_frames * method.frame_ratio,
            "batch": size.batch,
            "saved_bytes_of_one_clip": saved[0],
            "saved_bytes_per_further_clip": saved[1] - saved[0],
            **peak,
            "largest_batch_24gb": _largest_batch(step, size.batch, peak["peak_bytes"], device),
        }
    finally:
        step.move(torch.device("cpu"))
        torch.cuda.empty_cache()


def _saved_bytes(step: Step, batch: int) -> int:
    inputs = step.inputs(batch)
    with SavedBytes([*step.model.parameters(), *step.model.buffers(), *inputs]) as saved:
        step.loss(*inputs)
    return saved.total


def _peak(step: Step, batch: int, device: torch.device) -> dict[str, int | None]:
    """Bytes at most in `STEPS` steps after `WARM_UPS`, and before them: weights and the optimizer's state."""
    torch.cuda.empty_cache()
    try:
        for _ in range(WARM_UPS):
            step.run(batch)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(STEPS):
            step.run(batch)
    except torch.OutOfMemoryError:
        step.optimizer.zero_grad(set_to_none=True)
        return {"peak_bytes": None, "reserved_bytes": None, "before_bytes": None}
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return {"peak_bytes": allocated, "reserved_bytes": reserved, "before_bytes": before}


def _largest_batch(step: Step, start: int, peak: int | None, device: torch.device) -> int:
    known = {start: peak}

    def needed(batch: int) -> int:
        if batch not in known:
            known[batch] = _peak(step, batch, device)["peak_bytes"]
        return known[batch] or CARD_BYTES * batch  # what does not fit on this GPU needs more than it has

    return largest_within(needed, usable_bytes(CARD_BYTES), start=start)
