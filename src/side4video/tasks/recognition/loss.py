"""The loss of recognition: cross-entropy with label smoothing, mixup and cutmix."""

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

    The loss of a clip is weighted by its class; the part of the target that label smoothing spreads, and the parts that
    mixup mixes, by their own classes.

    Args:
        config: settings of the run.
        num_classes: C.
        class_weights: weight of each class; None: all are 1.

    >>> import torch
    >>> model = lambda clips: torch.zeros(len(clips), 4)  # a model of four classes that only guesses
    >>> loss, _ = RecognitionLoss(RunConfig(), num_classes=4)(model, torch.zeros(1, 8, 3, 32, 32), torch.tensor([0]))
    >>> round(loss.item(), 2)  # log 4
    1.39
    """

    def __init__(
        self, config: RunConfig, *, num_classes: int, class_weights: Float[ndarray, " C"] | None = None
    ) -> None:
        self.num_classes = num_classes
        self.label_smoothing = config.train.label_smoothing
        self.mixup, self.cutmix = config.augment.mixup, config.augment.cutmix
        self.weights = None if class_weights is None else torch.from_numpy(class_weights.astype(np.float32))

    def __call__(self, model: VideoModel, clips: Float[Tensor, "B T 3 H W"], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses over the clips, and the number of clips whose label has the best logit."""
        targets = labels
        if (self.mixup or self.cutmix) and len(clips) > 1:
            clips, targets = mix_clips(
                clips, labels, num_classes=self.num_classes, mixup_alpha=self.mixup, cutmix_alpha=self.cutmix
            )
        logits = model(clips).float()
        weights = None if self.weights is None else self.weights.to(logits.device)
        loss = F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing, reduction="sum")
        return loss, (logits.detach().argmax(dim=1) == labels).sum()
