"""Builds the task of a run from its settings."""

import torch

from side4video.config import RunConfig
from side4video.tasks.task import Task
from side4video.video.decoding import VideoCache


def build_task(config: RunConfig, device: torch.device, video_cache: VideoCache | None = None) -> Task:
    """Read and check the data, and load the model; the tables of video files are kept in `video_cache`.

    Raises:
        DataError, ValueError: invalid data or model settings.
    """
    if config.task == "retrieval":
        from side4video.tasks.retrieval.task import RetrievalTask

        return RetrievalTask(config, device, video_cache)
    from side4video.tasks.recognition.task import RecognitionTask

    return RecognitionTask(config, device, video_cache)
