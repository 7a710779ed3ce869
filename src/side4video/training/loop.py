"""The training loop. Read it downwards: it is in the order in which things happen."""

import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from side4video.adapter import Adapter, save_adapter, take_over
from side4video.config import RunConfig
from side4video.files import write_json
from side4video.models.video_model import VideoModel, build_video_model, choose_device
from side4video.tasks.evaluation import Evaluation
from side4video.tasks.linear_probe import probe_accuracy
from side4video.tasks.recognition import (
    RecognitionData,
    RecognitionLoss,
    as_evaluated,
    autocast,
    choose_workers,
    evaluate,
    evaluation_clips,
    read_data,
    training_clips,
    videos_per_batch,
)
from side4video.tasks.token_cache import CACHE_SEED, TokenCache
from side4video.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from side4video.training.optimizer import build_optimizer, learning_rate
from side4video.training.out_of_memory import TrainingMemoryError, is_out_of_memory, what_was_said
from side4video.training.run_folder import CHECKPOINT, check_run_folder, claim_run_folder
from side4video.training.run_log import Meter, RunLog
from side4video.video.annotations import VideoList
from side4video.video.datasets import Failure, TestClips, TrainClips
from side4video.video.loading import Batch, TrainOrder, test_loader, train_loader
from side4video.video.transforms import seeded


@dataclass(frozen=True)
class TrainResult:
    """How a run ended."""

    folder: Path
    """The run folder; `best` and `last` in it are adapters."""
    evaluation: Evaluation | None
    """Of the best adapter; None without an evaluation set."""
    probe_top1: float | None
    """Top-1 of a linear probe on the frozen features, 0..1, if it was asked for."""


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
    data = read_data(config.data)
    for warning in data.warnings:
        print(f"warning: {warning}")
    model = build_video_model(config, num_classes=len(data.class_names), device=device)
    if init_from is not None:
        print(take_over(model, init_from, class_names=data.class_names))
    claim_run_folder(out, config)
    return _Run(config, out, device, data, model, resume=resume).go()


class _Run:
    """One run: its parts, and the steps it goes through."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        device: torch.device,
        data: RecognitionData,
        model: VideoModel,
        *,
        resume: bool,
    ) -> None:
        self.config, self.out, self.device, self.data, self.model = config, out, device, data, model
        self.workers = choose_workers(config.data.workers)
        augmented = config if config.data.cache is None else config.model_copy(update={"seed": CACHE_SEED})
        self.train_set = training_clips(data, config=augmented, backbone=model.backbone)
        self.test_set = self._evaluation_clips(data.test) if data.test else None
        self.loss = RecognitionLoss(config, num_classes=len(data.class_names))
        self.optimizer = build_optimizer(model, config.train)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.train.precision == "fp16")
        self.progress = Progress()
        self.resumed = resume and (out / CHECKPOINT).is_file()
        if self.resumed:
            self.progress = load_checkpoint(out / CHECKPOINT, model=model, optimizer=self.optimizer)
            if self.progress.scaler:
                self.scaler.load_state_dict(self.progress.scaler)
        self.order = self._order()
        self.last_checkpoint = time.monotonic()

    def go(self) -> TrainResult:
        probe_top1 = self._fit_probe()
        cache = self._train_cache()
        self.log = RunLog(
            self.out,
            total_steps=self.order.total_steps,
            start_step=self.progress.step,
            tensorboard=self.config.train.tensorboard,
        )
        try:
            self._steps(cache)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingMemoryError(what_was_said(error), num_classes=len(self.data.class_names)) from None
        finally:
            self.log.close()
        return TrainResult(self.out, self._best_evaluation(), probe_top1)

    def _evaluation_clips(self, videos: VideoList, **views: int) -> TestClips:
        config = self.config
        return evaluation_clips(as_evaluated(videos, config.data), config=config, backbone=self.model.backbone, **views)

    def _train_cache(self) -> TokenCache | None:
        folder, copies = self.config.data.cache, self.config.data.cache_copies
        if folder is None:
            return None
        print(f"Augmentation is limited to {copies} versions of each clip (data.cache_copies), kept in {folder}.")
        return self._cache(folder, self.train_set, self.config.augment.model_dump(mode="json"), copies=copies)

    def _test_batches(self, clips: TestClips) -> Iterable[Batch]:
        settings, folder = self.config.eval, self.config.data.cache
        if folder is None:
            return test_loader(clips, batch_clips=videos_per_batch(settings), workers=self.workers)
        transform = {"crops": clips.transform.num_crops, "resize": settings.resize}  # type: ignore[attr-defined]
        return self._cache(folder, clips, transform).test_batches(videos_per_batch(settings))

    def _cache(
        self, folder: Path, clips: TrainClips | TestClips, transform: dict[str, Any], *, copies: int = 1
    ) -> TokenCache:
        return TokenCache(
            folder,
            clips,
            self.model,
            transform=transform,
            pooled=self.config.head.fused or self.config.eval.probe,
            copies=copies,
            chunk=self.config.eval.batch,
            workers=self.workers,
        )

    def _order(self) -> TrainOrder:
        settings = self.config.train
        order = TrainOrder(
            num_samples=len(self.train_set),
            global_batch=settings.batch,
            micro_batch=settings.micro_batch or settings.batch,
            seed=self.config.seed,
            total_steps=0,
        )
        total_steps = settings.epochs * order.steps_per_epoch
        return replace(order, total_steps=total_steps, start_step=self.progress.step)

    def _steps(self, cache: TokenCache | None) -> None:
        if self.progress.stopped_early:
            return
        loader = train_loader(self.train_set, self.order, workers=self.workers)
        batches = cache.train_batches(self.order) if cache else iter(loader)
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
        """One optimizer step: forward and backward on each micro-batch, then clip and update."""
        settings = self.config.train
        rate = learning_rate(step, steps_per_epoch=self.order.steps_per_epoch, config=settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        views_expected = self.order.step_size(step) * self.train_set.views
        loss_sum, right, views = 0.0, 0, 0
        with seeded(self.config.seed, step):  # dropout and mixup depend on the step alone
            if self.device.type == "cuda":
                torch.cuda.manual_seed(torch.initial_seed())
            for _ in range(self.order.num_micro_batches(step)):
                batch = next(batches)
                self._report(batch.failures, step)
                if not len(batch):
                    continue
                with autocast(self.device, settings.precision):
                    clips, labels = batch.clips.to(self.device, non_blocking=True), batch.labels.to(self.device)
                    loss, correct = self.loss(self.model, clips, labels)
                if not math.isfinite(loss.item()):
                    raise FloatingPointError(f"The loss is {loss.item()} at step {step} on {', '.join(batch.names)}.")
                self.scaler.scale(loss / views_expected).backward()
                loss_sum, right, views = loss_sum + loss.item(), right + int(correct), views + len(labels)
        if not views:
            raise RuntimeError(f"None of the clips of step {step} could be read; {self.out / 'log.jsonl'} names them.")
        if settings.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            torch.nn.utils.clip_grad_norm_(trained, settings.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss_sum": loss_sum, "right": right, "views": views, "lr": rate}

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
        if self.test_set is not None and (last or epoch % settings.eval.every == 0):
            evaluation = self._evaluate()
            self.log.write(
                "evaluation", self.progress.step, epoch=epoch, epoch_seconds=seconds, **evaluation.headline()
            )
            if evaluation.top1 > self.progress.best_top1:
                self.progress.best_top1, self.progress.evaluations_since_best = evaluation.top1, 0
                self._save_adapter("best", evaluation)
                write_json(self.out / "evaluation.json", evaluation.to_json())
            else:
                self.progress.evaluations_since_best += 1
                patience = settings.train.patience
                self.progress.stopped_early = patience is not None and self.progress.evaluations_since_best >= patience
            self._save_adapter("last", evaluation)
        elif self.test_set is None:
            self._save_adapter("last", None)
        self._checkpoint()

    def _evaluate(self) -> Evaluation:
        assert self.test_set is not None
        settings = self.config.eval
        batches = self._test_batches(self.test_set)
        return evaluate(
            self.model, batches, class_names=self.data.class_names, device=self.device, chunk=settings.batch
        )

    def _save_adapter(self, name: str, evaluation: Evaluation | None) -> None:
        adapter = Adapter(
            config=self.config,
            class_names=self.data.class_names,
            fingerprint=self.model.backbone.fingerprint,
            scores=evaluation.headline() if evaluation else {},
        )
        save_adapter(self.out / name, self.model, adapter)

    def _checkpoint_if_due(self) -> None:
        if time.monotonic() - self.last_checkpoint >= 60 * self.config.train.checkpoint_minutes:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self.progress.scaler = self.scaler.state_dict()
        save_checkpoint(self.out / CHECKPOINT, model=self.model, optimizer=self.optimizer, progress=self.progress)
        self.last_checkpoint = time.monotonic()

    def _fit_probe(self) -> float | None:
        """Fit a linear probe where one is wanted: to start a fused head from, to report beside the result, or both."""
        if not (self.config.eval.probe or self.config.head.fused):
            return None
        saved = self.out / "probe.json"
        if self.resumed and saved.is_file():
            return json.loads(saved.read_text(encoding="utf-8"))["top1"]
        assert self.data.train is not None
        probe, top1 = probe_accuracy(
            self.model.backbone,
            train=self._test_batches(self._evaluation_clips(self.data.train, num_clips=1, num_crops=1)),
            test=None if self.test_set is None else self._test_batches(self.test_set),
            num_classes=len(self.data.class_names),
            device=self.device,
        )
        if self.config.head.fused:
            self.model.head.load_probe(torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
        write_json(saved, {"top1": top1})
        return top1

    def _best_evaluation(self) -> Evaluation | None:
        path = self.out / "evaluation.json"
        return Evaluation.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
