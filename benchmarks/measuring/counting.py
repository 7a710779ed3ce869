"""Counts what a method's training step allocates, with tensors that have no memory (FakeTensorMode): no GPU is needed.

Number types are those of a step on a GPU: bfloat16 autocast, the frozen weights in bfloat16, trained ones in float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from measuring.saved_bytes import SavedBytes
from measuring.step import Step, build_model
from methods import Method, Size
from side4video.memory.advice import usable_bytes
from side4video.memory.tracking import AllocationTracker
from side4video.models.backbones.loading import load_backbone

FROZEN_WEIGHTS, TRAINED_WEIGHTS, OPTIMIZER, CLIPS = "frozen weights", "trained weights", "optimizer", "clips"
PARTS = (FROZEN_WEIGHTS, TRAINED_WEIGHTS, OPTIMIZER, CLIPS)
"""Of a peak; what is left are activations, gradients and temporary tensors."""
CARD_BYTES = 24 * 10**9


@contextmanager
def gpu_norms() -> Iterator[None]:
    """LayerNorm under autocast as on a GPU, in 32 bits; on a CPU autocast leaves it in 16.

    The function itself is replaced for a while: modes that watch calls are not told of blocks run again in a backward
    pass.
    """
    layer_norm = F.layer_norm

    def as_on_a_gpu(*args: Any, **named: Any) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            args = tuple(to_32_bits(value) for value in args)
            named = {name: to_32_bits(value) for name, value in named.items()}
        return layer_norm(*args, **named)

    F.layer_norm = as_on_a_gpu
    try:
        yield
    finally:
        F.layer_norm = layer_norm


def to_32_bits(value: Any) -> Any:
    """A tensor in float32, anything else unchanged."""
    return value.float() if torch.is_tensor(value) else value


class CountedMethod:
    """A method whose steps are counted.

    Args:
        method: which one.
        name: of the size, a key of `method.options`.
        size: the image model.
        model_args, image_size: for a smaller image model in tests.

    Attributes:
        trained_parameters: how many numbers are trained.
        input_frames: frames of a clip.
    """

    def __init__(
        self,
        method: Method,
        name: str,
        size: Size,
        *,
        image_size: int = 224,
        model_args: dict[str, Any] | None = None,
    ) -> None:
        with torch.device("meta"):  # spares the random values
            backbone = load_backbone(
                size.backbone, weights="random", image_size=image_size, dtype=torch.bfloat16, model_args=model_args
            )
            model = build_model(method, name, backbone, num_frames=size.num_frames)
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.input_frames = size.num_frames * method.frame_ratio
        with self._fake:
            self._step = Step(
                method,
                size,
                model.to_empty(device="cpu"),
                device=torch.device("cpu"),
                image_size=image_size,
                bf16=True,
                foreach=True,
            )
            self._count_update()  # makes the optimizer's state
            self._update = self._count_update()
        self.trained_parameters = sum(parameter.numel() for parameter in self._step.trained)
        self._peaks: dict[int, dict[str, int]] = {}

    def saved_bytes(self, batch: int) -> int:
        """What autograd saves for the backward pass of so many clips, parameters and the clips themselves left out."""
        step = self._step
        with self._fake, gpu_norms():
            inputs = step.inputs(batch)
            with SavedBytes([*step.model.parameters(), *step.model.buffers(), *inputs]) as saved:
                step.loss(*inputs)
        return saved.total

    def peak(self, batch: int) -> dict[str, int]:
        """Bytes by part when most are allocated in a step; the optimizer's state is there from the start."""
        if batch not in self._peaks:
            passes, clips = self._count_passes(batch)
            # The optimizer's part is the same for every batch; the training loop still holds the clips then.
            self._peaks[batch] = max(passes, self._update | {CLIPS: clips}, key=lambda peak: sum(peak.values()))
        return self._peaks[batch]

    def largest_batch(self, start: int) -> int:
        """Most clips in a step on a card of 24 GB with some memory left free.

        Peaks lie on a straight line: it is drawn through those at `start` and near the result, and the result counted.
        """
        budget = usable_bytes(CARD_BYTES)
        fixed = sum(self._update.get(part, 0) for part in (FROZEN_WEIGHTS, TRAINED_WEIGHTS, OPTIMIZER))
        known = {0: fixed, start: sum(self.peak(start).values())}
        first, second = 0, start
        while True:
            slope = (known[second] - known[first]) / (second - first)
            batch = max(1, second + int((budget - known[second]) // slope))
            if batch in known:
                return max((batch for batch, peak in known.items() if peak <= budget), default=0)
            known[batch] = sum(self.peak(batch).values())
            first, second = start, batch

    def _count_passes(self, batch: int) -> tuple[dict[str, int], int]:
        step = self._step
        with self._fake, gpu_norms(), self._tracker() as tracker:
            inputs = step.inputs(batch)
            tracker.count(inputs, CLIPS)
            step.backward(step.loss(*inputs))
            step.optimizer.zero_grad(set_to_none=True)
        return tracker.peak, sum(tensor.nbytes for tensor in inputs)

    def _count_update(self) -> dict[str, int]:
        with self._tracker() as tracker:
            for parameter in self._step.trained:
                parameter.grad = torch.zeros_like(parameter)
            self._step.update()
        return tracker.peak

    def _tracker(self) -> AllocationTracker:
        tracker, step = AllocationTracker(), self._step
        trained = {id(parameter) for parameter in step.trained}
        everything = [*step.model.parameters(), *step.model.buffers()]
        tracker.count([tensor for tensor in everything if id(tensor) not in trained], FROZEN_WEIGHTS)
        tracker.count(step.trained, TRAINED_WEIGHTS)
        tracker.count(step.optimizer_tensors(), OPTIMIZER)
        return tracker


def count(method: Method, name: str, size: Size) -> dict[str, Any]:
    """Everything that is counted of a method, in bytes."""
    counted = CountedMethod(method, name, size)
    one, two = counted.saved_bytes(1), counted.saved_bytes(2)
    peak = counted.peak(size.batch)
    return {
        "trained_parameters": counted.trained_parameters,
        "input_frames": counted.input_frames,
        "batch": size.batch,
        "saved_bytes_of_one_clip": one,
        "saved_bytes_per_further_clip": two - one,
        "peak_bytes": sum(peak.values()),
        "peak_bytes_by_part": {part: peak.get(part, 0) for part in PARTS}
        | {"rest": sum(size for part, size in peak.items() if part not in PARTS)},
        "largest_batch_24gb": counted.largest_batch(size.batch),
    }
