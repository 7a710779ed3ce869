"""Skips steps whose loss or gradient is not finite, and records their clips so that you can inspect them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from side4video.atomic_files import write_json
from side4video.config import RunConfig
from side4video.data.datasets import ClipKey, TrainClips
from side4video.data.loading.batch import Batch, collate
from side4video.distributed.processes import gather_objects, is_main_process
from side4video.training.checkpoint import Progress
from side4video.training.run_log import RunLog

MAX_CONSECUTIVE_STEPS = 10
"""Steps that may be skipped in a row; if there are more, the weights are the cause and not the clips."""
SHOWN_NAMES = 8


@dataclass
class NonfiniteClips:
    """The clips of a non-finite step in one process.

    >>> NonfiniteClips(losses=["nan"], indices=[7], names=["a.mp4"]).names
    ['a.mp4']
    """

    losses: list[str] = field(default_factory=list)
    """The losses that were not finite, as text, since JSON has no NaN. Empty if only the gradient was not finite."""
    indices: list[int] = field(default_factory=list)
    """Indices of the clips in the training set."""
    names: list[str] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    """The epoch of each clip's augmentation; with data.sampling_weights it differs from that of the step."""

    def add(self, batches: Sequence[Batch]) -> None:
        """Record the clips of some batches."""
        self.indices += [index for batch in batches for index in batch.indices]
        self.names += [name for batch in batches for name in batch.names]
        self.epochs += [epoch for batch in batches for epoch in batch.epochs]


class NonfiniteSteps:
    """Checks losses and gradients, and skips a step or stops the run, as set by `train.on_nonfinite`.

    Args:
        config: all settings.
        seed: seed of the training clips.

    >>> from side4video.config import RunConfig
    >>> steps = NonfiniteSteps(RunConfig(), seed=0)
    >>> steps.check_loss(float("nan"), [])
    >>> steps.count
    1
    """

    def __init__(self, config: RunConfig, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self._consecutive = self._last_skipped = 0
        self.start_step(0, 0)

    def start_step(self, step: int, epoch: int) -> None:
        """Start a new step: forget the losses and clips of the previous one."""
        copies = self._config.data.cache_copies if self._config.data.cache is not None else None
        self._step, self._epoch = step, epoch if copies is None else epoch % copies
        self._bad, self._all = NonfiniteClips(), NonfiniteClips()

    @property
    def count(self) -> int:
        """Number of non-finite losses of this step in this process."""
        return len(self._bad.losses)

    def check_loss(self, loss: float, batches: Sequence[Batch]) -> None:
        """Record a loss and its clips."""
        self._all.add(batches)
        if not math.isfinite(loss):
            self._bad.losses.append(str(loss))
            self._bad.add(batches)

    def check_gradients(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Whether the gradient of the step is not finite; any of its clips may be the cause."""
        if has_finite_gradients(parameters):
            return False
        self._bad = self._all
        return True

    def skip_step(self, out: Path, log: RunLog, progress: Progress) -> None:
        """Record the clips of a non-finite step, then skip it or stop the run. All processes must call this.

        Raises:
            FloatingPointError: `train.on_nonfinite` is "stop", or too many steps in a row were skipped.
        """
        parts = gather_objects(self._bad)
        path = out / f"nonfinite-step-{self._step}.json"
        if is_main_process():
            about = {"step": self._step, "epoch": self._epoch, "seed": self._seed}
            write_json(path, about | {"processes": [asdict(part) for part in parts]})
        what = _describe(self._step, parts)
        if self._config.train.on_nonfinite == "stop":
            raise FloatingPointError(f"{what} {path} lists its clips (--train.on-nonfinite skip skips such steps)")
        self._consecutive = self._consecutive + 1 if self._step == self._last_skipped + 1 else 1
        self._last_skipped = self._step
        if self._consecutive > MAX_CONSECUTIVE_STEPS:
            raise FloatingPointError(
                f"{what} {self._consecutive} steps in a row were not finite: the weights are the cause, not the clips. "
                "Use a lower --train.lr, --train.clip-grad-norm, or --train.precision fp32."
            )
        progress.nonfinite += 1
        log.write("nonfinite", self._step, file=path.name, names=[name for part in parts for name in part.names])
        log.print(f"skipped a step: {what} ({progress.nonfinite} so far; {path})")


def _describe(step: int, parts: Sequence[NonfiniteClips]) -> str:
    """A sentence that names what was not finite and lists the clips."""
    losses = [loss for part in parts for loss in part.losses]
    names = [name for part in parts for name in part.names]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    what = f"loss is {', '.join(sorted(set(losses)))}" if losses else "gradient is not finite"
    return f"The {what} at step {step} on {', '.join(names[:SHOWN_NAMES])}{more}."


def reload_clips(content: dict[str, Any], clips: TrainClips, *, process: int = 0) -> Batch:
    """Load the clips of a skipped step again, bit for bit.

    Args:
        content: content of the `nonfinite-step-N.json` file.
        clips: the training set of the run, with its seed: `RecognitionTask.train_set`.
        process: rank of the process whose clips to load.
    """
    part = content["processes"][process]
    epochs = part.get("epochs") or [content["epoch"]] * len(part["indices"])
    return collate([clips[ClipKey(*key)] for key in zip(epochs, part["indices"], strict=True)])


def has_finite_gradients(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether the norm of the whole gradient is finite."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return not gradients or math.isfinite(torch.nn.utils.get_total_norm(gradients).item())
