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
from side4video.processes import (
    broadcast_buffers,
    gather_objects,
    is_main_process,
    joined_processes,
    num_processes,
    process_rank,
    say,
    sum_gradients,
    sum_over_processes,
)
from side4video.tasks.task import Scores, Task, build_task
from side4video.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from side4video.training.optimizer import build_optimizer, learning_rate
from side4video.training.out_of_memory import noting_out_of_memory
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
        TrainingMemoryError: it needs more memory than there is; what was trained before can be resumed.
    """
    check_run_folder(out, config, resume=resume)
    device = choose_device(config.train.device)
    with joined_processes(device, timeout_minutes=config.train.timeout_minutes):
        return _train(config, out, device, resume=resume, init_from=init_from)


def _train(config: RunConfig, out: Path, device: torch.device, *, resume: bool, init_from: Path | None) -> TrainResult:
    with noting_out_of_memory("while the model was built", num_classes=1):  # how many is not known, nor matters there
        task = build_task(config, device)
        if init_from is not None:
            say(take_over(task.model, init_from, class_names=task.class_names))
        if is_main_process():
            claim_run_folder(out, config)
        run = _Run(config, out, device, task, resume=resume)
    return run.go()


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
        if config.train.sync_bn:
            self.model.sync_batch_norm()
        if config.train.shard_backbone and num_processes() > 1:
            self.model.shard_backbone()
        self.order = self._order()
        self.failures: list[Failure] = []
        self.last_checkpoint = self.last_count = time.monotonic()

    def go(self) -> TrainResult:
        num_classes = len(self.task.class_names)
        with noting_out_of_memory(
            "while frozen tokens were computed for the probe or the cache", num_classes=num_classes
        ):
            self.task.prepare(self.out, resumed=self.resumed)
            batches = iter(()) if self.progress.stopped_early else self.task.train_batches(self.order)
        self.log = RunLog(
            self.out,
            total_steps=self.order.total_steps,
            start_step=self.progress.step,
            tensorboard=self.config.train.tensorboard,
            silent=not is_main_process(),
        )
        try:
            with noting_out_of_memory("in a training step or an evaluation", num_classes=num_classes):
                self._steps(batches)
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
            world=num_processes(),
            rank=process_rank(),
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
        with seeded(self.config.seed, step, process_rank()):  # dropout and mixup depend on nothing else
            if self.device.type == "cuda":
                torch.cuda.manual_seed(torch.initial_seed())
            found = self.task.step(
                self._readable(step, batches),
                self._backward,
                views=self.order.step_size(step) * self.task.train_set.views,
                epoch=self.order.epoch(step),
            )
        sums = torch.tensor([found.loss_sum, found.right, found.views, len(self.failures)], dtype=torch.float64)
        loss_sum, right, seen, failed = sum_over_processes(sums.to(self.device)).tolist()
        self._report(step, anywhere=failed > 0)
        if not seen:
            raise RuntimeError(f"None of the clips of step {step} could be read; {self.out / 'log.jsonl'} names them.")
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        sum_gradients(trained)
        if settings.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(trained, settings.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss_sum": loss_sum, "right": int(right), "views": int(seen), "lr": rate}

    def _readable(self, step: int, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The micro-batches of a step, but those of which nothing could be read."""
        for _ in range(self.order.num_micro_batches(step)):
            batch = next(batches)
            self.failures += batch.failures
            if batch.failures and self.config.data.on_error == "stop":
                first = batch.failures[0]
                raise RuntimeError(f"{first.path}: {first.reason} (--data.on-error skip goes on without it)")
            if len(batch):
                yield batch
            elif self.config.train.sync_bn and num_processes() > 1:
                raise RuntimeError(
                    f"Process {process_rank()} could read none of its clips of step {step} ({self.failures[-1].path}): "
                    "train.sync_bn needs one of each process. Remove what cannot be read, or leave it out."
                )

    def _backward(self, loss: Tensor, names: Sequence[str]) -> None:
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"The loss is {loss.item()} at step {self.progress.step} on {', '.join(names)}.")
        self.scaler.scale(loss).backward()

    def _report(self, step: int, *, anywhere: bool) -> None:
        """Say what could not be read in a step, in whatever process."""
        if not anywhere:
            return
        for failure in (failure for part in gather_objects(self.failures) for failure in part):
            self.progress.skipped += 1
            self.log.write("failure", step, name=failure.name, path=str(failure.path), reason=failure.reason)
            self.log.say(f"skipped {failure.path}: {failure.reason} ({self.progress.skipped} so far)")
        self.failures = []

    def _end_epoch(self, epoch: int, seconds: float) -> None:
        settings = self.config
        last = epoch == settings.train.epochs
        broadcast_buffers(self.model)  # BatchNorm's running statistics: those of the main process count
        if self.task.has_test_set and (last or epoch % settings.eval.every == 0):
            evaluation = self.task.evaluate()
            self.log.write(
                "evaluation", self.progress.step, epoch=epoch, epoch_seconds=seconds, **evaluation.headline()
            )
            if evaluation.score > self.progress.best_score:
                self.progress.best_score, self.progress.evaluations_since_best = evaluation.score, 0
                self._save_adapter("best", evaluation)
                if is_main_process():
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
        if not is_main_process():
            return
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
        if not is_main_process():
            return
        self._count_time_and_memory()
        self.progress.scaler = self.scaler.state_dict()
        save_checkpoint(self.out / CHECKPOINT, model=self.model, optimizer=self.optimizer, progress=self.progress)
        self.last_checkpoint = time.monotonic()

    def _best_evaluation(self) -> Scores | None:
        path = self.out / "evaluation.json"
        return self.task.read_scores(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
