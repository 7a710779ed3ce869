"""The training loop: steps, evaluations, checkpoints."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from side4video.adapters.initial_weights import load_from
from side4video.config import RunConfig
from side4video.data.datasets import Failure
from side4video.data.loading.batch import Batch
from side4video.data.loading.order import TrainOrder
from side4video.data.transforms import seeded
from side4video.distributed.processes import (
    gather_objects,
    is_main_process,
    joined_processes,
    main_process_first,
    num_processes,
    print_once,
    process_rank,
    sum_gradients,
    sum_over_processes,
    wait_for_others,
)
from side4video.models.video_model import choose_device
from side4video.system.devices import seed_device, sum_dtype
from side4video.tasks.clips import video_cache_in
from side4video.tasks.task import Scores, Task
from side4video.training.build_task import build_task
from side4video.training.epoch_evaluation import EpochEvaluator, read_best_evaluation
from side4video.training.final_evaluation import evaluate_best
from side4video.training.nonfinite import NonfiniteSteps
from side4video.training.optimizer import learning_rate
from side4video.training.out_of_memory import converting_out_of_memory
from side4video.training.run_folder import (
    check_run_folder,
    check_same_weights,
    claim_run_folder,
    earlier_epochs,
    flat_settings,
    has_adapter,
    has_begun,
)
from side4video.training.run_inputs import check_same_inputs, write_inputs
from side4video.training.run_log import Meter, RunLog
from side4video.training.stopping import StopSignals, TrainingStopped
from side4video.training.trackers import Tracker, check_trackers, open_trackers
from side4video.training.training_state import TrainingState


@dataclass(frozen=True)
class TrainResult:
    """The result of a run.

    >>> result = TrainResult(folder=Path("runs/mine"), evaluation=None)
    >>> result.folder / "last"  # without an evaluation set there is no best adapter
    PosixPath('runs/mine/last')
    """

    folder: Path
    """The run folder; `best` and `last` in it are adapters."""
    evaluation: Scores | None
    """Scores of the best adapter, by which it was selected; None without an evaluation set."""
    final: Scores | None = None
    """Scores of the best adapter with `eval.final_clips` and `eval.final_crops`; None if these are not set."""


def train(config: RunConfig, *, out: Path, resume: bool = False, init_from: Path | None = None) -> TrainResult:
    """Train a side network; write adapters, logs and scores to the folder `out`.

    Args:
        config: all settings.
        out: run folder; must not contain a run yet, unless `resume`.
        resume: continue the run in `out` from its last checkpoint, bit for bit on the CPU; without a checkpoint, start
            from the beginning. Data and weights may have moved. With more epochs than before, the learning rate follows
            the schedule of the new number from the next step on.
        init_from: adapter to initialise the trained tensors from; a head that does not fit is discarded with a message.

    Raises:
        ConfigError: `out` contains another run, or the settings differ from those it was started with.
        DataError, ValueError: invalid data or model settings.
        OSError: `out` cannot be written, or its disk is full; the last checkpoint is unchanged.
        FloatingPointError: a loss or gradient is not finite, and `train.on_nonfinite` is "stop".
        TrainingMemoryError: the run is out of memory; it can be resumed from its last completed step.
        TrainingStopped: SIGINT, SIGTERM or SIGUSR1 was received, and the state was saved.

    If a run ends early, it saves the state after the last completed step, if that is possible.
    """
    if config.search != "off" or config.probe.name != "none":
        raise ValueError("The training loop does not run searches or probes. Call side4video.train instead.")
    check_run_folder(out, config, resume=resume)
    check_trackers(config.train.trackers)
    epochs_before = earlier_epochs(out, config) if resume else None
    device = choose_device(config.train.device)
    with StopSignals() as stop, joined_processes(device, timeout_minutes=config.train.timeout_minutes):
        result = _train(config, out, device, stop, resume=resume, init_from=init_from, epochs_before=epochs_before)
        with stop.raising_immediately("Training is complete; --resume repeats the last scoring."):
            return replace(result, final=evaluate_best(config, out, result.evaluation))


def _train(
    config: RunConfig,
    out: Path,
    device: torch.device,
    stop: StopSignals,
    *,
    resume: bool,
    init_from: Path | None,
    epochs_before: int | None,
) -> TrainResult:
    with (
        stop.raising_immediately("No step was taken."),
        converting_out_of_memory("while the model was built", num_classes=1),  # not known yet, and does not matter
    ):
        task = build_task(config, device, video_cache_in(out, config.data))
        unused = [name for name in ("patience", "best_by") if getattr(config.train, name) is not None]
        if unused and not task.has_test_set:
            print_once(
                f"warning: {' and '.join(f'train.{name}' for name in unused)} without effect: there is no evaluation "
                "set. Give --data.test."
            )
        if resume and has_begun(out):
            check_same_weights(out, task.model.backbone)
            remedy = f" and start from this run's adapter with --init-from {out}" if has_adapter(out) else ""
            check_same_inputs(out, task.model.backbone, task.identity(), remedy=remedy)
        if init_from is not None:
            print_once(load_from(task.model, init_from, config=config, class_names=task.class_names))
        if is_main_process():
            claim_run_folder(out, config)
            write_inputs(out, task.model.backbone, task.identity())
        run = _Run(config, out, device, stop, task, resume=resume, from_adapter=init_from is not None)
        before = run.progress.epochs or epochs_before  # config.yaml has the new number before a checkpoint has it
        if before is not None and before < config.train.epochs:
            run.go_on(before)
        trackers = _open_trackers(config, out, start_step=run.progress.step, resume=resume)
    return run.run(trackers)


def _open_trackers(config: RunConfig, out: Path, *, start_step: int, resume: bool) -> dict[str, Tracker]:
    """In the main process, before the work of minutes."""
    if not is_main_process():
        return {}
    settings = flat_settings(config)
    return open_trackers(config.train.trackers, out, settings=settings, start_step=start_step, resumed=resume)


class _Run:
    """One run: its parts and its steps."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        device: torch.device,
        stop: StopSignals,
        task: Task,
        *,
        resume: bool,
        from_adapter: bool,
    ) -> None:
        self.config, self.out, self.device, self.stop, self.from_adapter = config, out, device, stop, from_adapter
        self.task, self.model = task, task.model
        self.state = TrainingState(config, out, device, task, resume=resume)
        self.progress, self.trained = self.state.progress, self.state.trained
        self.optimizer, self.scaler = self.state.optimizer, self.state.scaler
        if config.train.sync_bn:
            self.model.sync_batch_norm()
        if config.train.shard_backbone and num_processes() > 1:
            wait_for_others()
            self.model.backbone.shard()
        self.order = self._order()
        self.failures: list[Failure] = []
        self.nonfinite = NonfiniteSteps(config, seed=task.train_set.seed)
        self.weights_unchanged = True
        self.stop_signal: int | None = None

    def go_on(self, epochs_before: int) -> None:
        """Print what more epochs do to the learning rate, and start waiting for better scores again."""
        settings, step = self.config.train, self.progress.step
        per_epoch = self.order.steps_per_epoch
        before = settings.model_copy(update={"epochs": epochs_before})
        last = learning_rate(max(step - 1, 0), steps_per_epoch=per_epoch, config=before)
        following = learning_rate(step, steps_per_epoch=per_epoch, config=settings)
        print_once(
            f"train.epochs: {epochs_before} -> {settings.epochs}. The learning rate follows the schedule of "
            f"{settings.epochs} epochs from here on: it was {last:.3g} in step {step} and is {following:.3g} in the "
            f"next one. A run of {settings.epochs} epochs from the beginning would have had other rates until now."
        )
        self.progress.stopped_early, self.progress.evaluations_since_best = False, 0

    def run(self, trackers: dict[str, Tracker]) -> TrainResult:
        num_classes, data = len(self.task.class_names), self.config.data
        if data.cache is not None:
            print_once(
                f"Augmentation is limited to {data.cache_copies} versions of each clip (data.cache_copies), kept in "
                f"{data.cache}."
            )
        with (
            self.stop.raising_immediately("No step was running. --resume continues the last checkpoint."),
            converting_out_of_memory(
                "while frozen tokens were computed for the probe or the cache", num_classes=num_classes
            ),
        ):
            self.task.prepare(self.out, resumed=self.state.resumed, from_adapter=self.from_adapter)
            self.model.backbone.finish_passes()
            batches = iter(()) if self.progress.stopped_early else self.task.train_batches(self.order)
        self.log = RunLog(
            self.out,
            total_steps=self.order.total_steps,
            start_step=self.progress.step,
            evaluation_due=self.progress.evaluation_due,
            trackers=trackers,
            silent=not is_main_process(),
        )
        self.evaluator = EpochEvaluator(self.state, self.log, self.stop)
        try:
            with converting_out_of_memory("in a training step or an evaluation", num_classes=num_classes):
                self._steps(batches)
        except BaseException:
            self.log.close(failed=True)
            raise
        self.log.close()
        with main_process_first():  # it writes the evaluation
            return TrainResult(self.out, read_best_evaluation(self.out, self.task))

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
            draws=self.task.draws,
        )
        if settings.sync_bn and order.has_empty_micro_batches:
            raise ValueError(
                f"train.sync_bn needs clips in all {order.world} processes at a time, but with train.micro_batch = 1 "
                f"some steps have {order.step_size(order.steps_per_epoch - 1)} clips, which are not a multiple of "
                "that. Use a train.micro_batch of 2 or more, or turn train.sync_bn off."
            )
        total_steps = settings.epochs * order.steps_per_epoch
        return replace(order, total_steps=total_steps, start_step=self.progress.step)

    def _steps(self, batches: Iterator[Batch]) -> None:
        if self.progress.stopped_early:
            return
        meter = Meter()
        epoch_started = time.monotonic()
        if self.progress.evaluation_due:
            self.evaluator.end_epoch(self.order.epoch(self.progress.step - 1) + 1, 0.0)
        for step in range(self.progress.step, self.order.total_steps):
            if self.progress.stopped_early:
                break
            meter.add(self._atomic_step(step, batches))
            self.log.update_progress(**meter.progress_values(self.device))
            if self.progress.step % self.config.train.log_every == 0 and (values := meter.flush(self.device)):
                self.log.write("train", self.progress.step, **values)
            self.progress.evaluation_due = self.progress.step % self.order.steps_per_epoch == 0
            self._stop_if_signalled()
            if self.progress.evaluation_due:
                self.evaluator.end_epoch(self.order.epoch(step) + 1, time.monotonic() - epoch_started)
                epoch_started = time.monotonic()
            self.state.checkpoint_if_due()

    def _atomic_step(self, step: int, batches: Iterator[Batch]) -> dict[str, Any]:
        """Do a step completely or not at all: on any error, roll back and save the state before it."""
        buffers, skipped = self.state.buffers(), self.progress.skipped
        self.weights_unchanged = True
        wait_for_others()
        try:
            result = self._step(step, batches)
        except Exception:
            if self.weights_unchanged:
                self.state.roll_back(buffers)
                self.progress.skipped = skipped
                self.state.save_after_error()
            raise
        if not result["views"]:
            self.state.roll_back(buffers)
        self.progress.step = step + 1
        return result

    def _stop_if_signalled(self) -> None:
        """End the run between two steps if any process received a signal."""
        if self.stop_signal is None:
            return
        self.state.checkpoint()
        raise TrainingStopped(
            self.stop_signal, f"The state of step {self.progress.step} was saved. Continue it with --resume."
        )

    def _step(self, step: int, batches: Iterator[Batch]) -> dict[str, Any]:
        """One optimizer step: the task's forward and backward passes, gradient clipping, update."""
        settings = self.config.train
        self.nonfinite.start_step(step, self.order.epoch(step))
        rate = learning_rate(step, steps_per_epoch=self.order.steps_per_epoch, config=settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        self.model.train()
        with seeded(self.config.seed, step, process_rank()):  # dropout and mixup depend on nothing else
            seed_device(self.device, torch.initial_seed())
            found = self.task.step(
                self._readable_batches(step, batches),
                self._backward,
                views=self.order.step_size(step) * self.task.train_set.views,
                epoch=self.order.epoch(step),
            )
        self.model.backbone.finish_passes()
        counted = [found.loss_sum, found.right, found.views, len(self.failures), self.nonfinite.count]
        sums = torch.tensor(counted + self.stop.counts(), dtype=sum_dtype(self.device))
        loss_sum, right, seen, failed, nonfinite, *stops = sum_over_processes(sums.to(self.device)).tolist()
        self.stop_signal = self.stop.first_received(stops)
        self._report_failures(step, any_failed=failed > 0)
        if not seen:
            raise RuntimeError(f"None of the clips of step {step} could be read; {self.out / 'log.jsonl'} names them.")
        if not nonfinite:
            sum_gradients(self.trained)
            # The fp16 scaler skips such steps itself and halves its scale; below 1, the scale is not the cause.
            if not self.scaler.is_enabled() or self.scaler.get_scale() < 1:
                nonfinite = self.nonfinite.check_gradients(self.trained)
        if nonfinite:
            self.nonfinite.skip_step(self.out, self.log, self.progress)
            return {"loss_sum": 0.0, "right": 0, "views": 0, "lr": rate}
        self.weights_unchanged = False
        if settings.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.trained, settings.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss_sum": loss_sum, "right": int(right), "views": int(seen), "lr": rate}

    def _readable_batches(self, step: int, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The micro-batches of a step, without those whose clips are all unreadable."""
        for _ in range(self.order.num_micro_batches(step)):
            batch = next(batches)
            self.failures += batch.failures
            if batch.failures and self.config.data.on_error == "stop":
                first = batch.failures[0]
                raise RuntimeError(f"{first.path}: {first.reason} (--data.on-error skip skips such videos)")
            if len(batch):
                yield batch
            elif self.config.train.sync_bn and num_processes() > 1:
                raise RuntimeError(
                    f"Process {process_rank()} could read none of its clips of step {step} ({self.failures[-1].path}): "
                    "train.sync_bn needs a clip in each process. Remove unreadable videos, or turn train.sync_bn off."
                )

    def _backward(self, loss: Tensor, batches: Sequence[Batch]) -> None:
        self.nonfinite.check_loss(loss.item(), batches)
        self.scaler.scale(loss).backward()  # even of a non-finite loss: other processes wait for its communication

    def _report_failures(self, step: int, *, any_failed: bool) -> None:
        """Log the unreadable clips of a step, of all processes."""
        if not any_failed:
            return
        for failure in (failure for part in gather_objects(self.failures) for failure in part):
            self.progress.skipped += 1
            self.log.write("failure", step, name=failure.name, path=str(failure.path), reason=failure.reason)
            self.log.print(f"skipped {failure.path}: {failure.reason} ({self.progress.skipped} so far)")
        self.failures = []
