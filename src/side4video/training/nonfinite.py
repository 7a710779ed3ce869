"""Steps whose loss or gradient is not finite: left out, their clips named, so that they can be looked at again."""

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
"""Steps that may be left out one after another: more mean that the weights and not the clips are at fault."""
SHOWN_NAMES = 8


@dataclass
class BadClips:
    """What made a step unusable, in one process."""

    losses: list[str] = field(default_factory=list)
    """The losses that were not finite, as text: JSON has no such numbers. Empty: the gradient was not."""
    indices: list[int] = field(default_factory=list)
    """Places of the clips in the training set."""
    names: list[str] = field(default_factory=list)

    def add(self, batches: Sequence[Batch]) -> None:
        """Take note of clips."""
        self.indices += [index for batch in batches for index in batch.indices]
        self.names += [name for batch in batches for name in batch.names]


class NonfiniteSteps:
    """Looks at losses and gradients, and decides what becomes of a step.

    Args:
        config: all settings.
        seed: of the training clips.
    """

    def __init__(self, config: RunConfig, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self._consecutive = self._last_skipped = 0
        self.start_step(0, 0)

    def start_step(self, step: int, epoch: int) -> None:
        """A new step."""
        copies = self._config.data.cache_copies if self._config.data.cache is not None else None
        self._step, self._epoch = step, epoch if copies is None else epoch % copies
        self._bad, self._all = BadClips(), BadClips()

    @property
    def count(self) -> int:
        """Losses of this step, in this process, that were not finite."""
        return len(self._bad.losses)

    def check_loss(self, loss: float, batches: Sequence[Batch]) -> None:
        """Take note of a loss and the clips it is of."""
        self._all.add(batches)
        if not math.isfinite(loss):
            self._bad.losses.append(str(loss))
            self._bad.add(batches)

    def check_gradients(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Whether the gradient of the step is not finite, in which all of its clips may have a part."""
        if has_finite_gradients(parameters):
            return False
        self._bad = self._all
        return True

    def skip_step(self, out: Path, log: RunLog, progress: Progress) -> None:
        """Name the clips of a step that is not finite in any process, and stop or go on; all processes come here.

        Raises:
            FloatingPointError: `train.on_nonfinite` is "stop", or too many steps in a row were left out.
        """
        parts = gather_objects(self._bad)
        path = out / f"nonfinite-step-{self._step}.json"
        if is_main_process():
            about = {"step": self._step, "epoch": self._epoch, "seed": self._seed}
            write_json(path, about | {"processes": [asdict(part) for part in parts]})
        what = _describe(self._step, parts)
        if self._config.train.on_nonfinite == "stop":
            raise FloatingPointError(
                f"{what} {path} has its clips (--train.on-nonfinite skip goes on without the step)"
            )
        self._consecutive = self._consecutive + 1 if self._step == self._last_skipped + 1 else 1
        self._last_skipped = self._step
        if self._consecutive > MAX_CONSECUTIVE_STEPS:
            raise FloatingPointError(
                f"{what} So were {self._consecutive} steps in a row: the weights are at fault, not the clips. Use a "
                "lower --train.lr, --train.clip-grad-norm, or --train.precision fp32."
            )
        progress.nonfinite += 1
        log.write("nonfinite", self._step, file=path.name, names=[name for part in parts for name in part.names])
        log.print(f"left out a step: {what} ({progress.nonfinite} so far; {path})")


def _describe(step: int, parts: Sequence[BadClips]) -> str:
    """A sentence that says what was not finite and names the clips."""
    losses = [loss for part in parts for loss in part.losses]
    names = [name for part in parts for name in part.names]
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    what = f"loss is {', '.join(sorted(set(losses)))}" if losses else "gradient is not finite"
    return f"The {what} at step {step} on {', '.join(names[:SHOWN_NAMES])}{more}."


def reload_clips(content: dict[str, Any], clips: TrainClips, *, process: int = 0) -> Batch:
    """The clips of such a step once more, bit for bit as they were.

    Args:
        content: of the file that was written for it.
        clips: the training set of the run, with its seed: `RecognitionTask.train_set`.
        process: whose clips, where there were several.
    """
    indices = content["processes"][process]["indices"]
    return collate([clips[ClipKey(content["epoch"], index)] for index in indices])


def has_finite_gradients(parameters: Sequence[nn.Parameter]) -> bool:
    """Whether the norm of the whole gradient is a number."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return not gradients or math.isfinite(torch.nn.utils.get_total_norm(gradients).item())
