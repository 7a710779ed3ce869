"""Builds the task that the settings of a run ask for."""

import torch

from side4video.config import RunConfig
from side4video.tasks.task import Task


def build_task(config: RunConfig, device: torch.device) -> Task:
    """Read and check the data, load the model.

    Raises:
        DataError, ValueError: the data or the model cannot be used.
    """
    if config.task == "retrieval":
        from side4video.tasks.retrieval.task import RetrievalTask

        return RetrievalTask(config, device)
    from side4video.tasks.recognition.task import RecognitionTask

    return RecognitionTask(config, device)
