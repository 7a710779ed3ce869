"""The training loop. Read it downwards: it is in the order in which things happen."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from side4video.adapter import Adapter, save_adapter, take_over
from side4video.config import RunConfig
from side4video.files import write_json
from side4video.models.video_model import choose_device
from side4video.tasks.task import Scores, Task, build_task
from side4video.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from side4video.training.optimizer import build_optimizer, learning_rate
from side4video.training.out_of_memory import TrainingMemoryError, is_out_of_memory, what_was_said
from side4video.training.run_folder import CHECKPOINT, check_run_folder, claim_run_folder
from side4video.training.run_log import Meter, RunLog, device_name, peak_memory_mb
from side4video.video.datasets import Failure
from side4video.video.loading import Batch, TrainOrder
from side4video.video.transforms import seeded


@dataclass(frozen=True)
class TrainResult:
    """How a run ended."""

    folder: Path
    """The run folder; `best` and `last` in it are adapters."""
    evaluation: Scores | None
    """Of the best adapter; None without an evaluation set."""


def train(config: RunConfig, *, out: Path, resume: bool = False, init_from: Path | None = None) -> TrainResult:
    """Train a side network and leave adapters, logs and scores in the folder `out`.

    Args:
        config: all settings.
        out: run folder; must not hold a run yet, unless `resume`.
        resume: continue the run in `out` where its last checkpoint was written, bit for bit on the CPU; starts from
            the beginning where there is none.
        init_from: adapter whose trained tensors are taken over; a head that does not fit is dropped and reported.

    Raises:
        ConfigError: `out` holds another run, or the settings differ from those it was started with.
        DataError, ValueError: the data or the model cannot be used.
        TrainingMemoryError: a step needs more memory than there is; what was trained before can be resumed.
    """
    check_run_folder(out, config, resume=resume)
    device = choose_device(config.train.device)
    task = build_task(config, device)
    if init_from is not None:
        print(take_over(task.model, init_from, class_names=task.class_names))
    claim_run_folder(out, config)
    return _Run(config, out, device, task, resume=resume).go()


class _Run:
    """One run: its parts, and the steps it goes through."""

    def __init__(self, config: RunConfig, out: Path, device: torch.device, task: Task, *, resume: bool) -> None:
        self.config, self.out, self.device, self.task, self.model = config, out, device, task, task.model
        self.optimizer = build_optimizer(self.model, config.train, finetuned=self.model.finetuned_parameters())
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.train.precision == "fp16")
        self.progress = Progress()
        self.resumed = resume and (out / CHECKPOINT).is_file()
        if self.resumed:
            self.progress = load_checkpoint(out / CHECKPOINT, model=self.model, optimizer=self.optimizer)
            if self.progress.scaler:
                self.scaler.load_state_dict(self.progress.scaler)
        self.order = self._order()
        self.last_checkpoint = self.last_count = time.monotonic()

    def go(self) -> TrainResult:
        self.task.prepare(self.out, resumed=self.resumed)
        batches = iter(()) if self.progress.stopped_early else self.task.train_batches(self.order)
        self.log = RunLog(
            self.out,
            total_steps=self.order.total_steps,
            start_step=self.progress.step,
            tensorboard=self.config.train.tensorboard,
        )
        try:
            self._steps(batches)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingMemoryError(what_was_said(error), num_classes=len(self.task.class_names)) from None
        finally:
            self.log.close()
        return TrainResult(self.out, self._best_evaluation())

    def _order(self) -> TrainOrder:
        settings = self.config.train
        order = TrainOrder(
            num_samples=len(self.task.train_set),
            global_batch=settings.batch,
            micro_batch=settings.micro_batch or settings.batch,
            seed=self.config.seed,
            total_steps=0,
        )
        total_steps = settings.epochs * order.steps_per_epoch
        return replace(order, total_steps=total_steps, start_step=self.progress.step)

    def _steps(self, batches: Iterator[Batch]) -> None:
        if self.progress.stopped_early:
            return
        meter = Meter()
        epoch_started = time.monotonic()
        for step in range(self.progress.step, self.order.total_steps):
            meter.add(self._step(step, batches))
            self.progress.step = step + 1
            self.log.advance(**meter.shown(self.device))
            if self.progress.step % self.config.train.log_every == 0:
                self.log.write("train", self.progress.step, **meter.flush(self.device))
            if self.progress.step % self.order.steps_per_epoch == 0:
                self._end_epoch(self.order.epoch(step) + 1, time.monotonic() - epoch_started)
                epoch_started = time.monotonic()
            if self.progress.stopped_early:
                break
            self._checkpoint_if_due()

    def _step(self, step: int, batches: Iterator[Batch]) -> dict[str, Any]:
        """One optimizer step: the task's forward and backward passes, then clip and update."""
        settings = self.config.train
        rate = learning_rate(step, steps_per_epoch=self.order.steps_per_epoch, config=settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        self.model.train()
        with seeded(self.config.seed, step):  # dropout and mixup depend on the step alone
            if self.device.type == "cuda":
                torch.cuda.manual_seed(torch.initial_seed())
            found = self.task.step(
                self._readable(step, batches),
                self._backward,
                views=self.order.step_size(step) * self.task.train_set.views,
                epoch=self.order.epoch(step),
            )
        if not found.views:
            raise RuntimeError(f"None of the clips of step {step} could be read; {self.out / 'log.jsonl'} names them.")
        if settings.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            torch.nn.utils.clip_grad_norm_(trained, settings.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss_sum": found.loss_sum, "right": found.right, "views": found.views, "lr": rate}

    def _readable(self, step: int, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The micro-batches of a step, but those of which nothing could be read."""
        for _ in range(self.order.num_micro_batches(step)):
            batch = next(batches)
            self._report(batch.failures, step)
            if len(batch):
                yield batch

    def _backward(self, loss: Tensor, names: Sequence[str]) -> None:
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"The loss is {loss.item()} at step {self.progress.step} on {', '.join(names)}.")
        self.scaler.scale(loss).backward()

    def _report(self, failures: list[Failure], step: int) -> None:
        for failure in failures:
            if self.config.data.on_error == "stop":
                raise RuntimeError(f"{failure.path}: {failure.reason} (--data.on-error skip goes on without it)")
            self.progress.skipped += 1
            self.log.write("failure", step, name=failure.name, path=str(failure.path), reason=failure.reason)
            self.log.say(f"skipped {failure.path}: {failure.reason} ({self.progress.skipped} so far)")

    def _end_epoch(self, epoch: int, seconds: float) -> None:
        settings = self.config
        last = epoch == settings.train.epochs
        if self.task.has_test_set and (last or epoch % settings.eval.every == 0):
            evaluation = self.task.evaluate()
            self.log.write(
                "evaluation", self.progress.step, epoch=epoch, epoch_seconds=seconds, **evaluation.headline()
            )
            if evaluation.score > self.progress.best_score:
                self.progress.best_score, self.progress.evaluations_since_best = evaluation.score, 0
                self._save_adapter("best", evaluation)
                write_json(self.out / "evaluation.json", evaluation.to_json())
            else:
                self.progress.evaluations_since_best += 1
                patience = settings.train.patience
                self.progress.stopped_early = patience is not None and self.progress.evaluations_since_best >= patience
            self._save_adapter("last", evaluation)
        elif not self.task.has_test_set:
            self._save_adapter("last", None)
        self._checkpoint()

    def _count_time_and_memory(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self.last_count
        self.progress.peak_memory_mb = max(self.progress.peak_memory_mb, peak_memory_mb(self.device))
        self.last_count = now

    def _save_adapter(self, name: str, evaluation: Scores | None) -> None:
        self._count_time_and_memory()
        adapter = Adapter(
            config=self.config,
            class_names=self.task.class_names,
            fingerprint=self.model.backbone.fingerprint,
            scores=evaluation.headline() | evaluation.conditions() if evaluation else {},
            run={
                "train_samples": len(self.task.train_set),
                "steps": self.progress.step,
                "epochs": self.progress.step / self.order.steps_per_epoch,
                "seconds": self.progress.seconds,
                "peak_memory_mb": self.progress.peak_memory_mb,
                "device": device_name(self.device),
            },
        )
        save_adapter(self.out / name, self.model, adapter)

    def _checkpoint_if_due(self) -> None:
        if time.monotonic() - self.last_checkpoint >= 60 * self.config.train.checkpoint_minutes:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._count_time_and_memory()
        self.progress.scaler = self.scaler.state_dict()
        save_checkpoint(self.out / CHECKPOINT, model=self.model, optimizer=self.optimizer, progress=self.progress)
        self.last_checkpoint = time.monotonic()

    def _best_evaluation(self) -> Scores | None:
        path = self.out / "evaluation.json"
        return self.task.read_scores(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
