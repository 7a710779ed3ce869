"""The loss of recognition: cross-entropy, binary for several labels, with label smoothing, mixup and cutmix."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from side4video.config import RunConfig
from side4video.data.mixing import mix_clips
from side4video.models.video_model import VideoModel


class RecognitionLoss:
    """Cross-entropy with label smoothing, mixup and cutmix, according to the training settings.

    With several labels per clip it is the binary cross-entropy of each class's sigmoid, averaged over the classes; the
    target of a class is label_smoothing / C, and 1 - label_smoothing more for labels of the clip.

    The loss of a clip, smoothed or not, is multiplied by the weight of its class. Weights on the smoothed target itself
    would train the model to predict rare classes. A mixed clip counts like its two clips in their shares. With several
    labels, the weight of a class multiplies its loss in the clips that have the label.

    Args:
        config: settings of the run.
        num_classes: C.
        class_weights: weight of each class; None: all are 1.
        multi_label: whether clips have several labels, given as vectors (B, C) of 0 and 1.

    >>> import torch
    >>> model = lambda clips: torch.zeros(len(clips), 4)  # a model of four classes that only guesses
    >>> loss, _ = RecognitionLoss(RunConfig(), num_classes=4)(model, torch.zeros(1, 8, 3, 32, 32), torch.tensor([0]))
    >>> round(loss.item(), 2)  # log 4
    1.39
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        num_classes: int,
        class_weights: Float[ndarray, " C"] | None = None,
        multi_label: bool = False,
    ) -> None:
        self.num_classes, self.multi_label = num_classes, multi_label
        self.label_smoothing = config.train.label_smoothing
        self.mixup, self.cutmix = config.augment.mixup, config.augment.cutmix
        self.copies = 1 if config.data.arrow_of_time else config.data.repeats
        self.weights = None if class_weights is None else torch.from_numpy(class_weights.astype(np.float32))

    def __call__(self, model: VideoModel, clips: Float[Tensor, "B T 3 H W"], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses over the clips, and the number of clips whose best class is their label.

        With several labels: one of their labels.
        """
        targets = labels
        if (self.mixup or self.cutmix) and len(clips) > 1:
            if self.copies > 1:  # neighbours are mixed: all first copies, then all second ones
                order = torch.arange(len(clips), device=labels.device).unflatten(0, (-1, self.copies)).T.flatten()
                clips, labels = clips[order], labels[order]
            clips, targets = mix_clips(
                clips, labels, num_classes=self.num_classes, mixup_alpha=self.mixup, cutmix_alpha=self.cutmix
            )
        logits = model(clips).float()
        best = logits.detach().argmax(dim=1)
        targets, weights = self._weigh(targets, logits)
        if self.multi_label:
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes
            loss = F.binary_cross_entropy_with_logits(logits, targets, weight=weights, reduction="sum")
            return loss / self.num_classes, labels.gather(1, best[:, None]).sum()
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="none")
        return (loss * weights).sum(), (best == labels).sum()

    def _weigh(self, targets: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Targets, and the weight of each loss: of clips (B,), or with several labels of classes in clips (B, C).

        Classes (B,) do not change. In the probabilities (B, C) of mixed clips, classes have their weighted shares.
        """
        weights = logits.new_ones(self.num_classes) if self.weights is None else self.weights.to(logits.device)
        if targets.ndim == 1:
            return targets, weights[targets]
        weighted = targets.float() * weights
        if self.multi_label:
            totals = weighted + 1 - targets
            return weighted / totals, totals
        totals = weighted.sum(dim=1)
        return weighted / totals[:, None], totals
