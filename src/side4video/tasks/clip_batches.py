"""Batches of clips for training and evaluation, read from videos or from a cache of frozen tokens."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from side4video.config import RunConfig
from side4video.data.datasets import TestClips, TrainClips
from side4video.data.loading.batch import Batch
from side4video.data.loading.loader import test_loader, train_loader
from side4video.data.loading.order import TrainOrder
from side4video.distributed.processes import is_main_process, main_process_first, num_processes, process_rank
from side4video.models.side_tuned_model import SideTunedModel
from side4video.tasks.clips import choose_workers, videos_per_batch
from side4video.tasks.token_cache import TokenCache


def shared_test_batches(clips: TestClips, config: RunConfig) -> Iterable[Batch]:
    """Return this process's share of an evaluation set, in order, each clip once."""
    return test_loader(
        clips,
        batch_clips=videos_per_batch(config.eval),
        workers=choose_workers(config.data.workers),
        timeout_seconds=config.data.timeout_seconds,
        world=num_processes(),
        rank=process_rank(),
    )


class ClipBatches:
    """Provides the batches of a run.

    Args:
        config: settings of the run; with `data.cache`, videos are decoded and pass through the backbone only once.
        model: its backbone computes the cached tokens.
        pooled: also cache the frozen model's pooled summary of each frame.
        also_blocks: further backbone blocks to cache, for other models that then read the same file.

    Attributes:
        try_again: read the videos again that a cached file lacks, see `TokenCache`; off unless a new run sets it.

    >>> from pathlib import Path
    >>> import torch
    >>> from side4video import load_adapter
    >>> from side4video.tasks.clips import evaluation_clips
    >>> from side4video.tasks.recognition.data import read_data
    >>> model, adapter = load_adapter(Path("adapter"), device=torch.device("cpu"))
    >>> videos = read_data(adapter.config.data).test.videos
    >>> clips = evaluation_clips(videos, config=adapter.config, backbone=model.backbone)
    >>> batches = ClipBatches(adapter.config, model, pooled=False).test(clips, videos_per_batch=2)
    >>> [batch.names for batch in batches]
    [['anticlockwise/0.mp4', 'clockwise/0.mp4']]
    """

    def __init__(
        self, config: RunConfig, model: SideTunedModel, *, pooled: bool, also_blocks: Sequence[int] = ()
    ) -> None:
        self._config, self._model, self._pooled, self._also_blocks = config, model, pooled, also_blocks
        self.try_again = False
        self._workers, self._timeout = choose_workers(config.data.workers), config.data.timeout_seconds

    def train(self, clips: TrainClips, order: TrainOrder) -> Iterator[Batch]:
        """The remaining micro-batches of a run, in the given order."""
        if self._config.data.cache is None:
            return iter(train_loader(clips, order, workers=self._workers, timeout_seconds=self._timeout))
        augment = self._config.augment.model_dump(mode="json")
        return self._cache(clips, augment, copies=self._config.data.cache_copies).train_batches(order)

    def test(self, clips: TestClips, *, videos_per_batch: int, shared: bool = True) -> Iterable[Batch]:
        """Videos in the order of their list: this process's share, or all of them if not `shared`."""
        world, rank = (num_processes(), process_rank()) if shared else (1, 0)
        if self._config.data.cache is None:
            return test_loader(
                clips,
                batch_clips=videos_per_batch,
                workers=self._workers,
                timeout_seconds=self._timeout,
                world=world,
                rank=rank,
            )
        transform = {
            "crops": clips.transform.num_crops,  # type: ignore[attr-defined]
            "style": self._config.eval.crop_style,
            "resize": self._config.test_resize,
        }
        return self._cache(clips, transform).test_batches(videos_per_batch, world=world, rank=rank)

    def _cache(self, clips: TrainClips | TestClips, transform: dict[str, Any], *, copies: int = 1) -> TokenCache:
        assert self._config.data.cache is not None
        with main_process_first():
            return TokenCache(
                self._config.data.cache,
                clips,
                self._model,
                transform=transform,
                pooled=self._pooled,
                copies=copies,
                also_blocks=self._also_blocks,
                limit_gb=self._config.data.cache_limit_gb,
                try_again=self.try_again and is_main_process(),
                chunk=self._config.eval.batch,
                workers=self._workers,
                timeout_seconds=self._timeout,
            )
