"""The state of a run, which checkpoints and adapters save, even if the run ends early."""

import sys
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from side4video.adapters.adapter import Adapter, save_adapter
from side4video.atomic_files import check_space, remove_abandoned
from side4video.config import RunConfig
from side4video.distributed.processes import is_main_process, print_once
from side4video.system.devices import device_name
from side4video.tasks.clip_length import median_clip_seconds
from side4video.tasks.task import Scores, Task
from side4video.tasks.unread import reported_headline
from side4video.training.checkpoint import Progress, has_checkpoint, load_checkpoint, save_checkpoint
from side4video.training.optimizer import build_optimizer
from side4video.training.run_log import peak_memory_mb
from side4video.training.run_mirror import mirror_of, shown_place


class TrainingState:
    """Model, optimizer and progress of a run, new or from the last checkpoint. Only the main process writes files.

    Args:
        config: all settings.
        out: the run folder. It must exist.
        device: device of the model.
        task: the task with the model to train.
        resume: continue from the last checkpoint, if one exists.

    Raises:
        ValueError: all checkpoints are corrupt, or they belong to another model.
        OSError: the disk has too little space for checkpoints and adapters.

    >>> from side4video.training.build_task import build_task
    >>> backbone = {"name": "vit_tiny_patch16_224", "weights": "random", "model_args": {"depth": 1}}
    >>> settings = {"data": {"train": "clips/train", "test": "clips/test"}, "augment": {"flip": 0.0}}
    >>> config, device = RunConfig.model_validate(settings | {"backbone": backbone}), torch.device("cpu")
    >>> Path("run").mkdir()
    >>> task = build_task(config, device)  # doctest: +ELLIPSIS
    train: clips/train: Read as folder. 4 videos, ...
    >>> state = TrainingState(config, Path("run"), device, task, resume=False)
    >>> state.progress.step, state.resumed
    (0, False)
    """

    def __init__(self, config: RunConfig, out: Path, device: torch.device, task: Task, *, resume: bool) -> None:
        self.config, self.out, self.device, self.task, self.model = config, out, device, task, task.model
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(self.model, config.train, finetuned=self.model.finetuned_parameters())
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.train.precision == "fp16")
        self.progress = Progress()
        self.resumed = resume and has_checkpoint(out)
        self._newest_is_corrupt = False
        if self.resumed:
            self._load()
        if is_main_process():
            self._check_disk_space()
        self._last_checkpoint = self._last_count = time.monotonic()
        self._saved_step = -1

    def _load(self) -> None:
        self.progress, refused = load_checkpoint(self.out, model=self.model, optimizer=self.optimizer)
        self._newest_is_corrupt = bool(refused)
        if refused:
            print_once(f"warning: {refused}")
        if self.progress.scaler:
            self.scaler.load_state_dict(self.progress.scaler)

    def _check_disk_space(self) -> None:
        """Remove incomplete files of killed processes. Check that checkpoints and adapters fit on the disk."""
        for folder in (self.out, self.out / "best", self.out / "last"):
            for path in remove_abandoned(folder, "*"):
                print_once(f"Removed {path}, an incomplete file of a killed process.")
        trained = sum(parameter.nbytes for parameter in self.trained)
        there = sum(path.stat().st_size for path in self.out.glob("checkpoint*.safetensors"))
        checkpoints = 3 * 3 * trained  # (weights, two moments) x (newest, previous, and the one being written)
        check_space(self.out, max(checkpoints - there, 0) + 2 * trained, "checkpoints and adapters")

    def buffers(self) -> dict[str, Tensor]:
        """Copies of BatchNorm's running statistics, which a forward pass changes."""
        return {name: buffer.clone() for name, buffer in self._trained_buffers()}

    def roll_back(self, buffers: dict[str, Tensor]) -> None:
        """Undo the changes of all forward and backward passes since `buffers` were copied."""
        self.optimizer.zero_grad(set_to_none=True)
        for name, buffer in self._trained_buffers():
            buffer.copy_(buffers[name])

    def _trained_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, buffer) for name, buffer in self.model.named_buffers() if not name.startswith("backbone."))

    def checkpoint(self) -> None:
        """Write a checkpoint. Call this only between two steps."""
        if not is_main_process():
            return
        self._update_usage()
        self.progress.scaler = self.scaler.state_dict()
        self.progress.epochs = self.config.train.epochs
        save_checkpoint(
            self.out,
            model=self.model,
            optimizer=self.optimizer,
            progress=self.progress,
            keep_previous=self._newest_is_corrupt,
        )
        if (mirror := mirror_of(self.out)) is not None:
            mirror.upload(newest_is_corrupt=self._newest_is_corrupt)
        self._newest_is_corrupt = False
        self._last_checkpoint, self._saved_step = time.monotonic(), self.progress.step

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint if `train.checkpoint_minutes` have passed and there was a step since the last one."""
        if self._saved_step == self.progress.step:
            return
        if time.monotonic() - self._last_checkpoint >= 60 * self.config.train.checkpoint_minutes:
            self.checkpoint()

    def save_after_error(self) -> None:
        """Write a checkpoint while an error propagates. A second error is printed and does not hide the first."""
        if not self.progress.step:
            return
        try:
            if self._saved_step != self.progress.step:
                self.checkpoint()
        except Exception as error:
            print(f"The state of step {self.progress.step} could not be saved: {error}", file=sys.stderr)
        else:
            place = shown_place(self.out)
            print_once(f"The state of step {self.progress.step} was saved in {place}. Continue it with --resume.")

    def save_adapter(self, name: str, evaluation: Scores | None, *, epochs: float) -> None:
        """Write the trained weights with their scores as the adapter `name` of the run folder."""
        if not is_main_process():
            return
        self._update_usage()
        adapter = Adapter(
            config=self.config,
            class_names=self.task.class_names,
            fingerprint=self.model.backbone.fingerprint,
            scores=self._reported_scores(evaluation) if evaluation else {},
            run={
                "train_samples": len(self.task.train_set),
                "steps": self.progress.step,
                "epochs": float(epochs),
                "seconds": self.progress.seconds,
                "peak_memory_mb": self.progress.peak_memory_mb,
                "device": device_name(self.device),
            },
            clip_seconds=self._clip_seconds,
            thresholds=self.task.thresholds(evaluation),
        )
        save_adapter(self.out / name, self.model, adapter)

    @cached_property
    def _clip_seconds(self) -> float | None:
        return median_clip_seconds(self.task.train_set.videos)

    def _reported_scores(self, evaluation: Scores) -> dict[str, Any]:
        headline = reported_headline(evaluation.headline(), max_unread=self.config.eval.max_unread)
        return {**headline, **evaluation.conditions()}

    def _update_usage(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._last_count
        self.progress.peak_memory_mb = max(self.progress.peak_memory_mb, peak_memory_mb(self.device))
        self._last_count = now
