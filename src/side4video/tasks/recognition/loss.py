"""The loss of recognition: cross-entropy with label smoothing, mixup and cutmix."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from side4video.config import RunConfig
from side4video.data.transforms import mix_clips
from side4video.models.video_model import VideoModel


class RecognitionLoss:
    """Cross-entropy with label smoothing, mixup and cutmix, as the training settings say.

    Args:
        config: settings of the run.
        num_classes: C.
    """

    def __init__(self, config: RunConfig, *, num_classes: int) -> None:
        self.num_classes = num_classes
        self.label_smoothing = config.train.label_smoothing
        self.mixup, self.cutmix = config.augment.mixup, config.augment.cutmix

    def __call__(self, model: VideoModel, clips: Float[Tensor, "B T 3 H W"], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the losses over the clips, and the number of clips whose label has the best logit."""
        targets = labels
        if (self.mixup or self.cutmix) and len(clips) > 1:
            clips, targets = mix_clips(
                clips, labels, num_classes=self.num_classes, mixup_alpha=self.mixup, cutmix_alpha=self.cutmix
            )
        logits = model(clips).float()
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum")
        return loss, (logits.detach().argmax(dim=1) == labels).sum()
