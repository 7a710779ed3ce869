"""Plans the memory of a training step by running it with tensors that allocate nothing (FakeTensorMode).

The plan uses no formula: the model itself runs on tensors that have only a shape and a number type, and the storages
that are alive are counted. Nothing is loaded or computed. Planning takes seconds for any model, on any machine:
identical blocks run once, and one step gives the numbers for every batch size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from side4video.config import RunConfig
from side4video.memory.repeated_blocks import allocate_what_runs, find_repeated_blocks, run_repeated_blocks_once
from side4video.memory.step_history import StepHistory
from side4video.memory.training_step import (
    BACKBONE_TRANSIENT,
    BACKBONE_WEIGHTS,
    CATEGORIES,
    CLIPS,
    OPTIMIZER,
    TRAINED_WEIGHTS,
    StepSize,
    TrainingStep,
    step_size,
    views_per_video,
)
from side4video.models.backbones.quantisation import QuantisedLinear
from side4video.models.build import build_model
from side4video.models.side.taps import Memory
from side4video.models.video_model import backbone_dtype

Target = Literal["gpu", "cpu"]
"""The kind of device that a run is planned for; it determines the number types."""

GPU_LIBRARIES = "GPU libraries"
GPU_LIBRARY_BYTES = 64 * 2**20
"""Workspaces of cuBLAS and cuBLASLt in PyTorch's memory, up to 32 MiB each (8 MiB on cards before the H100). The CUDA
context, several hundred MB that PyTorch does not count, is part of the card's reserve instead."""

PRIMES = (1_000_003, 1_000_033, 1_000_037)
"""Candidates for the number of clips of the step that is run; the planner takes one that divides no size of the model,
and derives all other numbers of clips from that step."""

BATCH_LIMIT = 65536
"""Largest batch that the planner tries."""


@dataclass(frozen=True)
class StepMemory:
    """The memory of a step.

    Attributes:
        size: clips and passes of the step.
        peak: bytes by category at the moment when their sum is largest.
        backbone_transient: largest number of bytes that the frozen model uses at any moment. They are often free again
            at the peak, which is usually in the backward pass.

    >>> StepMemory(StepSize(clips=8), {"gradients": 10 * 10**6, "workspace": 5 * 10**6}, backbone_transient=0).total
    15000000
    """

    size: StepSize
    peak: dict[str, int]
    backbone_transient: int

    @property
    def total(self) -> int:
        """Bytes at the peak."""
        return sum(self.peak.values())


def target_of(config: RunConfig) -> Target:
    """The kind of device that `train.device` selects; "auto" counts as a GPU."""
    return "gpu" if config.train.device.partition(":")[0] in {"auto", "cuda"} else "cpu"


def config_of_process(config: RunConfig, processes: int) -> RunConfig:
    """The settings of one of several processes, with its share of the batch.

    Frozen weights are counted in full, also with `train.shard_backbone`.

    Raises:
        ValueError: `processes` is below 1 or larger than the batch.
    """
    batch = config.train.batch
    if not 1 <= processes <= batch:
        raise ValueError(f"processes = {processes} cannot share a batch of {batch} videos. Use 1 to {batch}.")
    return config.model_copy(update={"train": config.train.model_copy(update={"batch": -(-batch // processes)})})


def resolve_types(config: RunConfig, target: Target) -> RunConfig:
    """The settings with "auto" number types replaced by the device's, and with random weights."""
    device = torch.device("cuda" if target == "gpu" else "cpu")
    dtype = str(backbone_dtype(config.backbone.dtype, device)).removeprefix("torch.")
    precision = config.train.precision
    if precision == "auto":
        precision = "bf16" if target == "gpu" else "fp32"
    backbone = config.backbone.model_copy(update={"dtype": dtype, "weights": "random"})
    text = config.text.model_copy(update={"weights": "random"})
    train = config.train.model_copy(update={"precision": precision})
    return config.model_copy(update={"backbone": backbone, "train": train, "text": text})


def largest_within(bytes_for: Callable[[int], int], budget: int, *, start: int = 1, fixed: int = 0) -> int:
    """The largest n from 1 to `BATCH_LIMIT` with `bytes_for(n) <= budget`; 0 if there is none.

    Each value takes a second, and nearly all values are on a straight line. The next n is where the line through the
    last two values meets the budget. If a third value is on the same line, the function does not compute its neighbour.

    >>> largest_within(lambda n: 100 + 7 * n, 1000)
    128

    Args:
        bytes_for: bytes for n; must not decrease with n.
        budget: bytes.
        start: first n to try.
        fixed: bytes that every n needs; improves the second guess.
    """
    if fixed > budget:
        return 0
    low, high = 0, BATCH_LIMIT + 1  # low fits, high does not
    tried: list[tuple[int, int]] = []
    n, expected = start, None
    while high - low > 1:
        needed = bytes_for(n)
        low, high = (n, high) if needed <= budget else (low, n)
        line = tried[-1] if tried else (0, fixed)
        tried.append((n, needed))
        slope = (needed - line[1]) / (n - line[0])
        straight = expected is not None and abs(needed - expected) <= 0.01 * slope
        if straight and low == n and needed + slope > budget:
            break
        if len(tried) < 8 and slope > 0:
            guess = int(n + (budget - needed) // slope)
        else:  # not on a straight line: bisect
            guess = 2 * low if high > BATCH_LIMIT else (low + high) // 2
        n = min(max(guess, low + 1), high - 1)
        expected = needed + slope * (n - tried[-1][0]) if len(tried) > 1 else None
    return low


class StepPlanner:
    """Plans the memory of training steps of any size with the same settings.

    >>> from side4video.config import load_config
    >>> config = load_config("own-clips")
    >>> step = StepPlanner(config, num_classes=10, target="cpu").estimate()
    >>> 100 < step.total / 10**6 < 250  # MB
    True

    Args:
        config: all settings; nothing is loaded or downloaded.
        num_classes: C.
        target: "gpu" or "cpu"; by default the result of `target_of`.

    Attributes:
        config: the settings, with the number types resolved.
        target, num_classes: the arguments of the same names.
        num_backbone_parameters, num_trained_parameters: parameters of the frozen and of the trained part.
        num_side_blocks: tapped blocks.
        weight_bytes: bytes of all weights and of the optimizer's state; the same for every batch and memory mode.

    Raises:
        ValueError: the settings do not describe a valid model.
    """

    def __init__(self, config: RunConfig, *, num_classes: int, target: Target | None = None) -> None:
        self.target: Target = target or target_of(config)
        self.config, self.num_classes = resolve_types(config, self.target), num_classes
        gpu, meta = self.target == "gpu", torch.device("meta")
        with meta:  # draws no random values
            model = build_model(self.config, num_classes=num_classes, device=meta)
        step = TrainingStep(self.config, model, num_classes=num_classes, device=meta, fake=True, gpu=gpu)
        step.update()  # creates the optimizer's state
        self._update = step.count_update().peak
        self._clip_bytes = step.clip_bytes(StepSize(1))
        packed = [layer for layer in model.backbone.modules() if isinstance(layer, QuantisedLinear)]
        self.num_backbone_parameters = sum(parameter.numel() for parameter in model.backbone.parameters()) + sum(
            layer.in_features * layer.out_features for layer in packed
        )
        self.num_trained_parameters = sum(
            parameter.numel() for parameter in model.parameters() if parameter.requires_grad
        )
        self.num_side_blocks = len(model.side.blocks)
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._histories: dict[tuple[Memory, int, bool, bool], StepHistory] = {}
        self._repeated = repeated = find_repeated_blocks(model)
        sizes = [tensor.nbytes for tensor in (*model.parameters(), *model.buffers()) if tensor.nbytes]
        self._prime = next(prime for prime in PRIMES if all(size % prime for size in sizes))
        with self._fake:
            run_repeated_blocks_once(model, repeated)
            # On a CPU, attention uses a kernel without an N x N matrix, as on a GPU.
            allocate_what_runs(model, repeated, device=torch.device("cpu"))
            self._step = TrainingStep(
                self.config, model, num_classes=num_classes, device=torch.device("cpu"), fake=True, gpu=gpu
            )
        fixed = (BACKBONE_WEIGHTS, TRAINED_WEIGHTS, OPTIMIZER)
        self.weight_bytes = sum(self._update.get(category, 0) for category in fixed)

    def estimate(self, size: StepSize | None = None, *, memory: Memory | None = None) -> StepMemory:
        """The memory of a step; by default with the size and the memory mode of the settings."""
        size, memory = size or step_size(self.config), memory or self.config.train.memory
        history = self.history(size, memory=memory)
        passes = history.peak_of(size.clips) | {OPTIMIZER: self._update.get(OPTIMIZER, 0)}
        # The optimizer needs the same memory for every size; only the clips differ, which the loop still holds.
        update = self._update | {CLIPS: size.clips * self._clip_bytes}
        highest = max(passes, update, key=lambda peak: sum(peak.values()))
        peak = {category: highest.get(category, 0) for category in CATEGORIES}
        if self.target == "gpu":
            peak[GPU_LIBRARIES] = GPU_LIBRARY_BYTES
        return StepMemory(size, peak, history.highest_of(size.clips).get(BACKBONE_TRANSIENT, 0))

    def history(self, size: StepSize, *, memory: Memory | None = None) -> StepHistory:
        """Bytes at every moment of a step of this size, without the optimizer and its state.

        Three histories are kept: for one clip, for several clips whose frames fit one chunk, and for all other sizes.
        """
        memory = memory or self.config.train.memory
        backbone, limit = self._step.model.backbone, self.config.backbone.chunk_frames
        one, fits = size.clips == 1, size.clips * self.config.data.num_frames <= limit
        key = memory, min(size.passes, 2), one, fits
        if key not in self._histories:
            self._step.model.side.set_memory(memory)
            clips = 1 if one else self._prime
            backbone.chunk_frames = clips * self.config.data.num_frames if fits else limit
            with self._fake:
                self._histories[key] = self._step.record_passes(StepSize(clips, key[1]), self._repeated)
        return self._histories[key]

    def largest(self, budget: int, *, memory: Memory | None = None, passes: int = 1) -> int:
        """The largest number of videos in a forward pass that fits a budget; 0: not even one video fits.

        Args:
            budget: bytes.
            memory: memory mode; by default the mode in the settings.
            passes: 1: the whole batch at once; 2: micro-batches, with the gradients of an earlier one in memory.
        """
        views = views_per_video(self.config)

        def needed(videos: int) -> int:
            return self.estimate(StepSize(videos * views, passes), memory=memory).total

        start = max(1, step_size(self.config).clips // views)
        return largest_within(needed, budget, start=start, fixed=self.weight_bytes)
