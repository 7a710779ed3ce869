"""One training step on random clips whose bytes are all counted; with fake tensors it takes no memory.

It uses memory as a step of the training loop does: it makes the clips, runs forward and backward pass of each
micro-batch, clips the gradient and runs the optimizer.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from side4video.config import RunConfig
from side4video.memory.random_clips import RandomClips
from side4video.memory.repeated_blocks import RepeatedBlocks, counting_repeats
from side4video.memory.step_history import StepHistory
from side4video.memory.tracking import WORKSPACE, AllocationTracker
from side4video.models.backbones.loading import BlockTokens
from side4video.models.side_tuned_model import SideTunedModel
from side4video.shapes import Clips
from side4video.tasks.clips import autocast
from side4video.tasks.recognition.loss import RecognitionLoss
from side4video.training.optimizer import build_optimizer

BACKBONE_WEIGHTS = "backbone weights"
TRAINED_WEIGHTS = "trained weights"
CLIPS = "input clips"
BACKBONE_TRANSIENT = "backbone transient"
"""Tensors that the frozen model computes and the backward pass does not need."""
ACTIVATIONS = "side activations"
"""Tensors that autograd keeps for the backward pass; with autocast also its 16-bit copies of the trained weights."""
GRADIENTS = "gradients"
OPTIMIZER = "optimizer"

CATEGORIES = (
    BACKBONE_WEIGHTS,
    TRAINED_WEIGHTS,
    OPTIMIZER,
    GRADIENTS,
    CLIPS,
    BACKBONE_TRANSIENT,
    ACTIVATIONS,
    WORKSPACE,
)
"""All categories of memory in a step; workspace is short-lived, such as the tensors of a block that is recomputed."""


@dataclass(frozen=True)
class StepSize:
    """Clips per forward pass, and forward passes per step.

    >>> StepSize(clips=16, passes=2).clips
    16
    """

    clips: int
    """Clips of the largest forward pass; repeats and arrow_of_time make several of each video."""
    passes: int = 1
    """Forward and backward passes whose gradients are accumulated before the optimizer runs."""


def views_per_video(config: RunConfig) -> int:
    """Number of clips of each video in a training batch."""
    return config.data.repeats * (2 if config.data.arrow_of_time else 1)


def step_size(config: RunConfig) -> StepSize:
    """Size of a step with these settings, in one process; a batch is split into micro-batches of nearly equal size.

    >>> from side4video.config import TrainConfig
    >>> step_size(RunConfig(train=TrainConfig(batch=32, micro_batch=20)))
    StepSize(clips=16, passes=2)
    """
    train = config.train
    passes = -(-train.batch // (train.micro_batch or train.batch))
    return StepSize(-(-train.batch // passes) * views_per_video(config), passes)


class MemoryOnlyContrastiveLoss:
    """Reads all features of a retrieval model as the contrastive loss does, without the table of their similarities.

    The table grows with the square of the batch and is not counted, see `similarity_bytes`.
    All captions have the maximum length.

    >>> MemoryOnlyContrastiveLoss(RunConfig(task="retrieval")).max_words
    32
    """

    def __init__(self, config: RunConfig) -> None:
        self.max_words = config.text.max_words

    def __call__(self, model: Any, clips: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A placeholder for the loss, and one for the number of correct answers; only their memory is meaningful."""
        ids = labels.new_zeros(len(labels), self.max_words)
        texts, videos = model.embed_texts(ids, ids == 0, padded=True), model.embed_videos(clips)
        features = (texts.words, texts.weights, texts.sentence, videos.frames, videos.weights)
        return torch.stack([tensor.mean() for tensor in features]).sum() * model.logit_scale.exp(), labels.sum()


def similarity_bytes(config: RunConfig) -> int:
    """Bytes of the similarities that a retrieval step keeps: of all words and frames in the batch of all processes.

    They are not part of the plan. At the peak, four tables of 32-bit numbers are alive, two of them gradients.

    >>> similarity_bytes(RunConfig(task="retrieval", train={"batch": 128}, data={"num_frames": 12})) / 1e6
    100.663296
    """
    pairs = config.train.batch**2
    if config.text.similarity == "wti":
        pairs *= config.text.max_words * config.data.num_frames
    return 4 * 4 * pairs


class TrainingStep:
    """A model with its loss and its optimizer, whose steps can be counted in bytes.

    Args:
        config: settings; `train.precision` and the dtypes must not be "auto".
        model: the model, on `device`.
        num_classes: C.
        device: device of the clips; "cpu" for fake tensors.
        fake: clips are fake tensors, which have no values: mixup and cutmix are then replaced by a copy of the clips.
        gpu: the optimizer updates all tensors at once, as it does by default on a GPU.

    >>> from pathlib import Path
    >>> from side4video.adapters.adapter import load_adapter
    >>> model, adapter = load_adapter(Path("adapter"), device=torch.device("cpu"))
    >>> train = adapter.config.train.model_copy(update={"precision": "fp32"})
    >>> config = adapter.config.model_copy(update={"train": train})
    >>> step = TrainingStep(config, model, num_classes=2, device=torch.device("cpu"))
    >>> step.clip_bytes(StepSize(clips=1))  # 4 frames of 3 x 32 x 32 numbers of 4 bytes, and the label
    49160
    """

    def __init__(
        self,
        config: RunConfig,
        model: SideTunedModel,
        *,
        num_classes: int,
        device: torch.device,
        fake: bool = False,
        gpu: bool = False,
    ) -> None:
        self.config, self.model, self.num_classes, self.device = config, model, num_classes, device
        copied = fake and bool(config.augment.mixup or config.augment.cutmix)
        self.clips = RandomClips(config=config, model=model, num_classes=num_classes, device=device, copied=copied)
        if copied:
            augment = config.augment.model_copy(update={"mixup": 0.0, "cutmix": 0.0})
            config = config.model_copy(update={"augment": augment})
        retrieval = config.task == "retrieval"
        self.loss: Any = (
            MemoryOnlyContrastiveLoss(config) if retrieval else RecognitionLoss(config, num_classes=num_classes)
        )
        self.optimizer = build_optimizer(model, config.train, finetuned=model.finetuned_parameters())
        for group in self.optimizer.param_groups if gpu else ():
            group["foreach"] = True
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def clip_bytes(self, size: StepSize) -> int:
        """Bytes of the clips of a forward pass on the device, labels included."""
        return size.clips * sum(tensor.nbytes for tensor in self.clips.draw(1).tensors())

    def run(self, size: StepSize) -> None:
        """Run a step."""
        self._passes(size)
        self._update()

    def count(self, size: StepSize) -> AllocationTracker:
        """Run a step and count it; weights and other tensors that exist before are counted as well."""
        with AllocationTracker() as tracker, self._labelled(tracker):
            self._passes(size, tracker)
            self._update()
        return tracker

    def count_passes(self, size: StepSize) -> AllocationTracker:
        """Run a step without the optimizer, and count it."""
        with AllocationTracker() as tracker, self._labelled(tracker):
            self._passes(size, tracker)
            self.optimizer.zero_grad(set_to_none=True)
        return tracker

    def record_passes(self, size: StepSize, repeated: RepeatedBlocks) -> StepHistory:
        """Run a step without the optimizer, and record its history; identical blocks run once and are counted for all.

        The history is valid for any number of clips if `size.clips` is a large prime number, see `StepHistory`.
        """
        history = StepHistory(size.clips)
        with history, self._labelled(history), counting_repeats(self.model, repeated, history):
            self._passes(size, history)
            self.optimizer.zero_grad(set_to_none=True)
        return history

    def update(self, tracker: AllocationTracker | None = None) -> None:
        """Clip a zero gradient and run the optimizer."""
        for parameter in self.trained:
            parameter.grad = torch.zeros_like(parameter)
            if tracker is not None:
                tracker.count([parameter.grad], GRADIENTS)
        self._update()

    def count_update(self) -> AllocationTracker:
        """Clip a zero gradient and run the optimizer, and count the bytes."""
        with AllocationTracker() as tracker, self._labelled(tracker):
            self.update(tracker)
        return tracker

    def _passes(self, size: StepSize, tracker: AllocationTracker | None = None) -> None:
        """Forward and backward passes; more than two need as much memory as two."""
        self.model.train()
        for _ in range(min(size.passes, 2)):
            batch = self.clips.draw(size.clips)
            if tracker is not None:
                tracker.count(batch.tensors(), CLIPS)
            keeping = nullcontext() if tracker is None else _counting_activations(tracker)
            with keeping, self._autocast(tracker):
                loss, _ = self.loss(self.model, batch.seen, batch.labels)
            (loss / size.clips).backward()

    @contextmanager
    def _autocast(self, tracker: AllocationTracker | None) -> Iterator[None]:
        """Autocast of the step; at its end the 16-bit copies of the weights of all blocks are freed at once."""
        with ExitStack() as leaving:
            leaving.enter_context(autocast(self.device, self.config.train.precision))
            yield
            freeing = tracker.freeing_repeats() if isinstance(tracker, StepHistory) else nullcontext()
            with freeing:
                leaving.close()

    def _update(self) -> None:
        if self.config.train.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.trained, self.config.train.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def _labelled(self, tracker: AllocationTracker) -> Iterator[None]:
        """Assign a category to each tensor: now, or when a gradient or backbone tensor is created."""
        model = self.model
        tracker.count_module(model.backbone, BACKBONE_WEIGHTS)
        for name, part in model.named_children():
            if name != "backbone":
                tracker.count_module(part, TRAINED_WEIGHTS)
        tracker.count(self._optimizer_tensors(), OPTIMIZER)

        def count_gradient(parameter: Tensor) -> None:
            assert parameter.grad is not None
            tracker.count([parameter.grad], GRADIENTS)

        iterate = model.backbone.iterate

        def count_backbone(frames: Clips, taps: Iterable[int]) -> Iterator[BlockTokens]:
            blocks = iterate(frames, taps)
            while True:
                with tracker.labelling(BACKBONE_TRANSIENT):
                    tokens = next(blocks, None)
                if tokens is None:
                    return
                yield tokens
                del tokens  # the model has released them by now

        with ExitStack() as stack:
            for parameter in self.trained:
                stack.callback(parameter.register_post_accumulate_grad_hook(count_gradient).remove)
            vars(model.backbone)["iterate"] = count_backbone
            stack.callback(vars(model.backbone).pop, "iterate")
            yield

    def _optimizer_tensors(self) -> list[Tensor]:
        states: Any = self.optimizer.state.values()
        return [value for state in states for value in state.values() if isinstance(value, Tensor)]


def _counting_activations(tracker: AllocationTracker) -> torch.autograd.graph.saved_tensors_hooks:
    """Count tensors that autograd saves as activations; saved weights and clips keep their category."""

    def pack(tensor: Tensor) -> Tensor:
        tracker.count([tensor], ACTIVATIONS, out_of=(WORKSPACE, BACKBONE_TRANSIENT))
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
