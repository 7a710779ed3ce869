"""Trains a side network on the cached tokens of some clips and tests it on others, without files of a run."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy import ndarray

from side4video.config import RunConfig
from side4video.data.loading.order import TrainOrder
from side4video.data.transforms import seeded
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.video_model import VideoModel, build_video_model
from side4video.tasks.clip_batches import ClipBatches
from side4video.tasks.clips import autocast, evaluation_clips, pool_views
from side4video.tasks.recognition.data import RecognitionData, as_evaluated, training_clips
from side4video.tasks.recognition.evaluate import score_views
from side4video.tasks.recognition.folds import make_folds
from side4video.tasks.recognition.linear_probe import LinearProbe, frozen_features
from side4video.tasks.recognition.loss import RecognitionLoss
from side4video.tasks.token_cache import CACHE_SEED
from side4video.training.optimizer import build_optimizer, learning_rate


class SideFolds:
    """Trains the side network of a candidate once for each fold.

    Args:
        config: settings of the candidate, with a folder for cached tokens.
        data: the training clips.
        backbone: the frozen model, loaded once for all candidates.
        device: device of the backbone.
        cached_blocks: backbone blocks to cache, so that all candidates read the same file.

    >>> from pathlib import Path
    >>> from side4video.adapters.adapter import read_adapter
    >>> from side4video.models.video_model import build_backbone
    >>> from side4video.tasks.recognition.data import read_data
    >>> config, device = read_adapter(Path("adapter")).config, torch.device("cpu")
    >>> sides = SideFolds(config, read_data(config.data), build_backbone(config, device=device), device)
    >>> len(sides.train_clips), len(sides.test_clips)
    (4, 4)
    """

    def __init__(
        self,
        config: RunConfig,
        data: RecognitionData,
        backbone: FrozenBackbone,
        device: torch.device,
        *,
        cached_blocks: Sequence[int] = (),
    ) -> None:
        assert data.train is not None
        self.config, self.data, self.backbone, self.device = config, data, backbone, device
        self.cached_blocks = cached_blocks
        cached = config.model_copy(update={"seed": CACHE_SEED})
        self.train_clips = training_clips(data, config=cached, backbone=backbone)
        videos = as_evaluated(data.train, config.data)
        self.test_clips = evaluation_clips(videos, config=config, backbone=backbone)

    def scores(self, train: ndarray, held: ndarray, groups: Mapping[int, int]) -> dict[int, tuple[ndarray, int]]:
        """Train on some clips of the list; return probabilities (C,) and label of each readable held-out clip.

        Args:
            train: indices of the training clips; with arrow_of_time every video has two.
            held: indices of the held-out clips.
            groups: number of the group of each clip, to choose the strength of a fused head's probe.
        """
        model = self._model(train, groups)
        self._train(model, train)
        return dict(self._predictions(model, set(held.tolist())))

    def _model(self, train: ndarray, groups: Mapping[int, int]) -> VideoModel:
        model = build_video_model(
            self.config, num_classes=len(self.data.class_names), device=self.device, backbone=self.backbone
        )
        self.batches = ClipBatches(self.config, model, pooled=True, also_blocks=self.cached_blocks)
        if model.head.has_unset_probe:
            batches = self.batches.test(self.test_clips, videos_per_batch=8, shared=False)
            features, labels, places = frozen_features(
                self.backbone, batches, device=self.device, description="features"
            )
            rows = np.flatnonzero(np.isin(places, train))
            own = [str(groups[places[row]]) for row in rows]
            folds = make_folds(labels[rows].tolist(), own, class_names=self.data.class_names)
            probe = LinearProbe(features[rows], labels[rows], num_classes=len(self.data.class_names), folds=folds)
            model.head.load_probe(torch.from_numpy(probe.weight), torch.from_numpy(probe.bias))
        return model

    def _train(self, model: VideoModel, train: ndarray) -> None:
        config, settings = self.config, self.config.train
        videos = np.unique(train // 2) if config.data.arrow_of_time else train
        micro = settings.micro_batch or settings.batch
        order = TrainOrder(
            num_samples=len(videos), global_batch=settings.batch, micro_batch=micro, seed=config.seed, total_steps=0
        )
        total = settings.epochs * order.steps_per_epoch
        batches = self.batches.train(self.train_clips, _Places(order, videos, total))  # type: ignore[arg-type]
        optimizer = build_optimizer(model, settings, finetuned=model.finetuned_parameters())
        scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        loss_of = RecognitionLoss(config, num_classes=len(self.data.class_names))
        for step in range(total):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps_per_epoch=order.steps_per_epoch, config=settings)
                group["lr"] *= group["lr_scale"]
            model.train()
            with seeded(config.seed, step, 0):
                for _ in range(order.num_micro_batches(step)):
                    batch = next(batches)
                    if not len(batch):
                        continue
                    with autocast(self.device, settings.precision):
                        loss, _ = loss_of(model, batch.clips.to(self.device), batch.labels.to(self.device))
                    scaler.scale(loss / (order.step_size(step) * self.train_clips.views)).backward()
            if settings.clip_grad_norm is not None:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _predictions(self, model: VideoModel, held: set[int]) -> Iterator[tuple[int, tuple[ndarray, int]]]:
        for batch in self.batches.test(self.test_clips, videos_per_batch=1, shared=False):
            if batch.indices and batch.indices[0] in held:
                settings = self.config.eval
                by_view = score_views(
                    model, batch.clips, device=self.device, chunk=settings.batch, precision=settings.precision
                )
                pooled = pool_views(by_view, settings, class_names=self.data.class_names)
                yield batch.indices[0], (pooled.cpu().numpy(), int(batch.labels[0]))


class _Places:
    """A training order of some clips: its clip i is the i-th of them."""

    def __init__(self, order: TrainOrder, places: ndarray, total_steps: int) -> None:
        self.order, self.places, self.total_steps = order, places, total_steps

    def __iter__(self) -> Iterator[list]:
        for step in range(self.total_steps):
            for keys in self.order.step_batches(step):
                yield [key._replace(index=int(self.places[key.index])) for key in keys]
