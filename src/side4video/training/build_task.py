"""Builds the task of a run from its settings."""

import torch

from side4video.config import RunConfig
from side4video.tasks.task import Task


def build_task(config: RunConfig, device: torch.device) -> Task:
    """Read and check the data, and load the model.

    Raises:
        DataError, ValueError: invalid data or model settings.
    """
    if config.task == "retrieval":
        from side4video.tasks.retrieval.task import RetrievalTask

        return RetrievalTask(config, device)
    from side4video.tasks.recognition.task import RecognitionTask

    return RecognitionTask(config, device)
