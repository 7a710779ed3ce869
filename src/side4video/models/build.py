"""Builds the model that the settings of a run ask for, whatever its task."""

import torch

from side4video.config import RunConfig
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import build_video_model


def build_model(config: RunConfig, *, num_classes: int, device: torch.device) -> SideTunedModel:
    """A `VideoModel` for recognition, a `RetrievalModel` for retrieval, where `num_classes` plays no part.

    Raises:
        ValueError: the settings do not make a model.
    """
    if config.task == "recognition":
        return build_video_model(config, num_classes=num_classes, device=device)
    from side4video.models.retrieval_model import build_retrieval_model  # spares others the text tower's library

    return build_retrieval_model(config, device=device)
