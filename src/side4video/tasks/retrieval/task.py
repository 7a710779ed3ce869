"""The retrieval task for the training loop."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from side4video.atomic_files import write_json
from side4video.config import RunConfig
from side4video.data.lists.segments import describe_parts
from side4video.data.loading.balanced_draws import BalancedDraws
from side4video.data.loading.batch import Batch
from side4video.data.loading.order import TrainOrder
from side4video.distributed.processes import is_main_process, num_processes, print_once
from side4video.models.backbones.autocast import without_autocast
from side4video.models.retrieval_model import RetrievalModel, build_retrieval_model
from side4video.models.similarity import Similarity, TextFeatures, VideoFeatures, channel_decorrelation, similarity
from side4video.tasks.clip_batches import ClipBatches
from side4video.tasks.clips import autocast, check_resize, train_clips, videos_per_batch
from side4video.tasks.data_identity import identify_videos
from side4video.tasks.retrieval.contrastive import (
    MAX_LOGIT_SCALE,
    backward_with_gradient_cache,
    contrastive_loss,
    gather,
    sigmoid_loss,
)
from side4video.tasks.retrieval.data import (
    caption_clips,
    mirrored_captions_warning,
    print_unread_text,
    read_caption_data,
)
from side4video.tasks.retrieval.evaluate import evaluate_retrieval
from side4video.tasks.retrieval.scores import RetrievalEvaluation
from side4video.tasks.task import ZERO_SHOT, Backward, Scores, StepResult
from side4video.tasks.token_cache import CACHE_SEED
from side4video.video.decoding import VideoCache

CAPTION_STREAM = 2  # number of a random stream, distinct from the streams of sampling and augmentation


class RetrievalTask:
    """Data, model, loss and evaluation of a retrieval run; see `Task`.

    Args:
        config: all settings.
        device: device of the model.
        video_cache: tables of the video files. Default: those of this process.

    >>> from side4video.adapters.adapter import read_adapter
    >>> config = read_adapter(Path("retrieval")).config
    >>> config = config.model_copy(update={"data": config.data.model_copy(update={"test": None})})
    >>> task = RetrievalTask(config, torch.device("cpu"))  # doctest: +ELLIPSIS
    warning: captions.csv: 2 captions are shared by several videos, ...
    >>> len(task.train_set), task.captions[0]
    (4, ('a shape moves anticlockwise',))
    """

    class_names: tuple[str, ...] = ()
    draws: BalancedDraws | None = None

    def __init__(self, config: RunConfig, device: torch.device, video_cache: VideoCache | None = None) -> None:
        self.config, self.device, self.video_cache = config, device, video_cache
        check_resize(config)
        self.data = read_caption_data(config.data, seed=config.seed)
        for note in self.data.notes:
            print_once(note)
        for warning in self.data.warnings:
            print_once(f"warning: {warning}")
        if self.data.choice:
            print_once(self.data.choice)
        for name, captioned in (("training", self.data.train), ("evaluation", self.data.test)):
            if captioned is not None and (parts := describe_parts(captioned.videos)):
                print_once(f"{name}: {parts}")
        if self.data.train is None:
            raise ValueError("No training set: give --data.train.")
        if mirrored := mirrored_captions_warning(self.data.train, config.augment.flip):
            print_once(f"warning: {mirrored}")
        print_unread_text(self.data.train, self.data.test, config=config.text)
        self.model: RetrievalModel = build_retrieval_model(config, device=device)
        if config.data.cache is not None and self.model.read_blocks != self.model.side.taps:
            raise ValueError(
                "data.cache stores only the blocks that the side network taps, but retrieval also reads the last one: "
                "tap it too, or turn data.cache off."
            )
        videos, captions = self.data.train.videos, self.data.train.captions
        if config.text.captions_per_video == "all":
            videos = tuple(video for video, own in zip(videos, captions, strict=True) for _ in own)
            captions = tuple((caption,) for own in captions for caption in own)
        self.captions = captions
        augmented = config if config.data.cache is None else config.model_copy(update={"seed": CACHE_SEED})
        labelled = [replace(video, label=index) for index, video in enumerate(videos)]
        self.train_set = train_clips(labelled, config=augmented, backbone=self.model.backbone, video_cache=video_cache)
        self.has_test_set = self.data.test is not None
        self.batches = ClipBatches(config, self.model, pooled=False)

    def prepare(self, out: Path, *, resumed: bool, from_adapter: bool = False) -> None:
        """Score the frozen model alone if `eval.probe` is set and there is a test set.

        Only an untrained model has its scores: later the text tower and the image tower's last layers are trained.
        A new run reads videos again that a token cache lacks.
        """
        self.batches.try_again = not resumed
        if not self.config.eval.probe or not self.has_test_set or resumed:
            return
        if from_adapter:
            print_once(
                "eval.probe: the frozen model alone is not scored, because this run starts from the trained weights of "
                "an adapter. A run without --init-from scores it."
            )
            return
        evaluation = self._evaluate("mean-pool")
        if is_main_process():
            write_json(out / ZERO_SHOT, evaluation.to_json())

    def train_batches(self, order: TrainOrder) -> Iterator[Batch]:
        """The remaining micro-batches of a run."""
        return self.batches.train(self.train_set, order)

    def step(self, batches: Iterator[Batch], backward: Backward, *, views: int, epoch: int) -> StepResult:  # noqa: ARG002
        """Forward and backward pass: every caption of the step is compared with every video, for any micro-batch."""
        read = list(batches)
        names = [name for batch in read for name in batch.names]
        if not read and num_processes() == 1:
            return StepResult(0.0, 0, 0)
        if self.config.text.loss == "softmax":  # SigLIP's scales are above CLIP's bound
            with torch.no_grad():
                self.model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        with autocast(self.device, self.config.train.precision):
            texts, videos, loss = backward_with_gradient_cache(
                self.model,
                [partial(self._embed, batch, epoch) for batch in read] or [self._embed_nothing],
                self._loss,
                lambda loss: backward(loss / num_processes(), read),  # gradients are summed over processes
            )
        if not read:
            return StepResult(0.0, 0, 0)
        with torch.no_grad():
            best = similarity(texts, videos, self.config.text.similarity).argmax(dim=1)
        right = int((best == torch.arange(len(best), device=best.device)).sum())
        return StepResult(loss.item() * len(names), right, len(names))

    def evaluate(self) -> RetrievalEvaluation:
        """Score the test set."""
        return self._evaluate(self.config.text.similarity)

    def identity(self) -> dict[str, Any]:
        """The captioned videos of both sets."""
        sets = {"train": self.data.train, "test": self.data.test}
        return {name: identify_videos(one.videos, one.captions) for name, one in sets.items() if one is not None}

    def thresholds(self, evaluation: Scores | None) -> None:
        """None: there are no classes."""

    def read_scores(self, content: dict[str, Any]) -> RetrievalEvaluation:
        """The scores of an evaluation that was read from JSON."""
        return RetrievalEvaluation.from_json(content)

    def _embed(self, batch: Batch, epoch: int) -> tuple[TextFeatures, VideoFeatures]:
        captions = [self._caption(index, epoch) for index in batch.indices]
        ids, mask = (x.to(self.device) for x in self.model.tokenise(captions))
        texts = self.model.embed_texts(ids, mask, padded=self.config.text.decorrelation > 0)
        return texts, self.model.embed_videos(batch.clips.to(self.device, non_blocking=True))

    def _embed_nothing(self) -> tuple[TextFeatures, VideoFeatures]:
        """Empty features, for a process without readable videos while other processes have some."""
        embed_dim, words = self.model.text.embed_dim, self.model.max_words
        empty = torch.zeros(0, words, device=self.device)
        texts = TextFeatures(
            empty.unsqueeze(-1).expand(0, words, embed_dim), empty.bool(), empty, empty[:, :1].expand(0, embed_dim)
        )
        frames = torch.zeros(0, self.config.data.num_frames, embed_dim, device=self.device)
        return texts, VideoFeatures(frames, frames[..., 0])

    def _caption(self, index: int, epoch: int) -> str:
        """The caption of a training sample in an epoch, determined by the run's seed, the epoch and the sample."""
        own = self.captions[index]
        generator = np.random.default_rng((self.config.seed, epoch, index, CAPTION_STREAM))
        return own[int(generator.integers(len(own)))]

    def _loss(self, texts: TextFeatures, videos: VideoFeatures) -> Tensor:
        """The loss in 32 bits: in bf16, logits of up to 100 would be wrong by up to 0.25."""
        settings = self.config.text
        self.model.backbone.finish_passes()
        texts, videos = gather(texts), gather(videos)
        with without_autocast(self.device.type):
            similarities, scale = similarity(texts, videos, settings.similarity), self.model.logit_scale
            if settings.loss == "sigmoid":
                assert self.model.logit_bias is not None  # the text tower of the settings has one
                loss = sigmoid_loss(similarities, scale, self.model.logit_bias)
            else:
                loss = contrastive_loss(similarities, scale)
            if settings.decorrelation:
                loss = loss + settings.decorrelation * channel_decorrelation(texts, videos)
        return loss

    def _evaluate(self, kind: Similarity) -> RetrievalEvaluation:
        assert self.data.test is not None
        clips = caption_clips(self.data.test, config=self.config, model=self.model, video_cache=self.video_cache)
        batches: Iterable[Batch] = self.batches.test(clips, videos_per_batch=videos_per_batch(self.config.eval))
        return evaluate_retrieval(
            self.model, self.data.test, batches, similarity=kind, settings=self.config.eval, device=self.device
        )
