"""Action recognition as a task of the training loop."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from side4video.adapters.adapter import Thresholds
from side4video.atomic_files import write_json
from side4video.config import RunConfig
from side4video.data.datasets import TestClips
from side4video.data.lists.annotations import VideoList
from side4video.data.loading.balanced_draws import BalancedDraws
from side4video.data.loading.batch import Batch
from side4video.data.loading.order import TrainOrder
from side4video.distributed.processes import is_main_process, print_once
from side4video.models.video_model import VideoModel, build_video_model
from side4video.system.paths import list_name
from side4video.system.tables import Console
from side4video.tasks.clip_batches import ClipBatches
from side4video.tasks.clips import autocast, check_resize, evaluation_clips, videos_per_batch
from side4video.tasks.recognition.baselines import BASELINES, measure_baselines
from side4video.tasks.recognition.class_weights import class_weights, describe_weights
from side4video.tasks.recognition.data import (
    announce,
    as_evaluated,
    check_metric,
    check_several_labels,
    evaluated_groups,
    read_data,
    training_clips,
)
from side4video.tasks.recognition.evaluate import ThresholdsFrom, evaluate, read_evaluation
from side4video.tasks.recognition.linear_probe import probe_accuracy
from side4video.tasks.recognition.loss import RecognitionLoss
from side4video.tasks.recognition.multi_label_scores import MultiLabelEvaluation
from side4video.tasks.recognition.scores import Evaluation
from side4video.tasks.recognition.thresholds import unchosen_thresholds
from side4video.tasks.task import Backward, Scores, StepResult
from side4video.tasks.token_cache import CACHE_SEED
from side4video.video.decoding import VideoCache

PROBE = "probe.json"


class RecognitionTask:
    """Data, model, loss and evaluation of a recognition run; see `Task`.

    Args:
        config: all settings.
        device: device of the model.
        video_cache: tables of the video files. Default: those of this process.

    >>> from side4video.adapters.adapter import read_adapter
    >>> task = RecognitionTask(read_adapter(Path("adapter")).config, torch.device("cpu"))  # doctest: +ELLIPSIS
    train: clips/train: Read as folder. 4 videos, ...
    >>> len(task.train_set), task.class_names
    (4, ('anticlockwise', 'clockwise'))
    """

    def __init__(self, config: RunConfig, device: torch.device, video_cache: VideoCache | None = None) -> None:
        self.config, self.device, self.video_cache = config, device, video_cache
        check_resize(config)
        self.data = read_data(config.data, seed=config.seed)
        announce(self.data, config)
        self.class_names = self.data.class_names
        check_metric(config.train.best_by, self.data)
        check_several_labels(self.data, config)
        self.model: VideoModel = build_video_model(config, num_classes=len(self.class_names), device=device)
        augmented = config if config.data.cache is None else config.model_copy(update={"seed": CACHE_SEED})
        self.train_set = training_clips(
            self.data, config=augmented, backbone=self.model.backbone, video_cache=video_cache
        )
        self.test_set = self._evaluation_clips(self.data.test) if self.data.test else None
        self.has_test_set = self.test_set is not None
        self.draws = self._balanced_draws()
        self.weights = self._class_weights()
        self.loss = RecognitionLoss(
            config,
            num_classes=len(self.class_names),
            class_weights=self.weights,
            multi_label=self.data.multi_label,
        )
        self.batches = ClipBatches(config, self.model, pooled=config.head.fused or bool(config.eval.probe))

    def prepare(self, out: Path, *, resumed: bool, from_adapter: bool = False) -> None:  # noqa: ARG002
        """Fit a linear probe if the settings ask for one: to start a fused head, to report next to the result, or both.

        A fused head that starts from class names gets their embeddings instead. A fused head loaded from an adapter
        does not change. A new run reads videos again that a token cache lacks.
        """
        self.batches.try_again = not resumed
        from_names = self.config.head.init == "text"
        has_unset_probe = self.model.head.has_unset_probe and not resumed
        if has_unset_probe and from_names:
            self._start_from_class_names()
        fits_head = has_unset_probe and not from_names
        if not (self.config.eval.probe or fits_head) or (resumed and (out / PROBE).is_file()):
            return
        assert self.data.train is not None
        train = self._evaluation_clips(self.data.train)
        probe, score = probe_accuracy(
            self.model.backbone,
            train=self._test_batches(train, shared=False),
            test=None if self.test_set is None else self._test_batches(self.test_set, shared=False),
            class_names=self.class_names,
            groups=evaluated_groups(self.data.train, self.config.data).groups,
            device=self.device,
            class_weights=self.weights,
        )
        if fits_head:
            self.model.head.load_probe(torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
        if is_main_process():
            write_json(out / PROBE, {"mAP" if self.data.multi_label else "top1": score})
        if set(self.config.eval.probes) - {"linear"}:
            self._compare_probes(out)

    def _compare_probes(self, out: Path) -> None:
        """Fit every probe of `eval.probe`, print their accuracies and store them in the run folder."""
        found = measure_baselines(self.config, self.data, self.model.backbone, test_clips=self.test_set)
        if is_main_process():
            write_json(out / BASELINES, found.to_json())
            Console().print(found.table())

    def train_batches(self, order: TrainOrder) -> Iterator[Batch]:
        """The remaining micro-batches of a run."""
        return self.batches.train(self.train_set, order)

    def step(self, batches: Iterator[Batch], backward: Backward, *, views: int, epoch: int) -> StepResult:  # noqa: ARG002
        """Forward and backward pass of each micro-batch in turn."""
        loss_sum, right, seen = 0.0, 0, 0
        for batch in batches:
            with autocast(self.device, self.config.train.precision):
                clips, labels = batch.clips.to(self.device, non_blocking=True), batch.labels.to(self.device)
                loss, correct = self.loss(self.model, clips, labels)
            backward(loss / views, [batch])
            loss_sum, right, seen = loss_sum + loss.item(), right + int(correct), seen + len(labels)
        return StepResult(loss_sum, right, seen)

    def evaluate(self) -> Evaluation | MultiLabelEvaluation:
        """Score the test set; thresholds of several labels are chosen on it."""
        assert self.test_set is not None
        assert self.data.test is not None
        return evaluate(
            self.model,
            self._test_batches(self.test_set),
            class_names=self.class_names,
            device=self.device,
            settings=self.config.eval,
            several=ThresholdsFrom(list_name(self.data.test.source)) if self.data.multi_label else None,
        )

    def read_scores(self, content: dict[str, Any]) -> Evaluation | MultiLabelEvaluation:
        """Restore the scores of an evaluation."""
        return read_evaluation(content)

    def identity(self) -> dict[str, Any]:
        """The labelled videos of both sets, and the class weights if there are any."""
        found = self.data.identity()
        return found if self.weights is None else found | {"train.class_weights": self.weights.tolist()}

    def thresholds(self, evaluation: Scores | None) -> Thresholds | None:
        """The thresholds of the classes for an adapter; None if each video has one class."""
        if isinstance(evaluation, MultiLabelEvaluation):
            return evaluation.thresholds
        return unchosen_thresholds(len(self.class_names)) if self.data.multi_label else None

    def _labels(self) -> list[int]:
        assert self.data.train is not None
        return [label for video in self.data.train.videos for label in video.all_labels]

    def _balanced_draws(self) -> BalancedDraws | None:
        """Draws with equal shares of the classes, if the settings ask for them.

        A video with several labels counts for its rarest one; videos without labels are one more class.
        """
        if self.config.data.sampling_weights is None:
            return None
        assert self.data.train is not None
        counts = np.bincount(self._labels(), minlength=len(self.class_names))
        rarest = [min(video.all_labels, key=counts.__getitem__, default=-1) for video in self.data.train.videos]
        draws = BalancedDraws(rarest, seed=self.config.seed)
        print_once(f"data.sampling_weights: {draws.describe()}")
        return draws

    def _class_weights(self) -> ndarray | None:
        counts = np.bincount(self._labels(), minlength=len(self.class_names))
        weights = class_weights(self.config.train, counts, self.class_names)
        if weights is not None:
            print_once(describe_weights(weights, counts, self.class_names, self.config.train.class_weights))
        return weights

    def _test_batches(self, clips: TestClips, *, shared: bool = True) -> Iterable[Batch]:
        return self.batches.test(clips, videos_per_batch=videos_per_batch(self.config.eval), shared=shared)

    def _evaluation_clips(self, videos: VideoList) -> TestClips:
        evaluated = as_evaluated(videos, self.config.data)
        return evaluation_clips(
            evaluated,
            config=self.config,
            backbone=self.model.backbone,
            video_cache=self.video_cache,
            num_labels=self.data.num_labels,
        )

    def _start_from_class_names(self) -> None:
        from side4video.models.text.class_names import embed_classes  # others need no open_clip
        from side4video.models.text.text_tower import load_configured_tower

        text = load_configured_tower(self.config).to(self.device)
        classes = embed_classes(text, self.class_names, self.config.text.prompts)
        self.model.head.load_classes(classes, text.logit_scale)


def read_probe(out: Path) -> float | None:
    """Top-1 accuracy or mAP, 0..1, of a run's linear probe; None without a probe or a test set."""
    path = out / PROBE
    return next(iter(json.loads(path.read_text(encoding="utf-8")).values())) if path.is_file() else None
