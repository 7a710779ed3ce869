"""Builds the model of a run from its settings, for either task."""

import torch

from side4video.config import RunConfig
from side4video.models.probe_model import build_probe_model
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import build_video_model


def build_model(config: RunConfig, *, num_classes: int, device: torch.device) -> SideTunedModel:
    """Build a `VideoModel` for recognition, or a `RetrievalModel` for retrieval.

    If the settings name a probe, the `VideoModel` is a `ProbeModel`.

    Args:
        config: settings of the run.
        num_classes: C, outputs of a recognition model; ignored for retrieval.
        device: device of the model.

    Raises:
        ValueError: the settings are invalid together.

    >>> backbone = {"name": "vit_tiny_patch16_224", "weights": "random", "model_args": {"depth": 2}}
    >>> config = RunConfig.model_validate({"backbone": backbone, "side": {"width": 32}})
    >>> build_model(config, num_classes=5, device=torch.device("cpu"))(torch.zeros(1, 4, 3, 224, 224)).shape
    torch.Size([1, 5])
    """
    if config.probe.name != "none":
        return build_probe_model(config, num_classes=num_classes, device=device)
    if config.task == "recognition":
        return build_video_model(config, num_classes=num_classes, device=device)
    from side4video.models.retrieval_model import build_retrieval_model  # imports open_clip, which takes seconds

    return build_retrieval_model(config, device=device)
