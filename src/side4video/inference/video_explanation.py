"""Explains a video: reads its middle clip and computes the evidence for classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from side4video.adapters.adapter import Adapter
from side4video.config import RunConfig
from side4video.data.datasets import Failure
from side4video.data.lists.annotations import LabelledVideo
from side4video.inference.explanation import Explanation, attention_weights, explain_clip
from side4video.models.stored_clips import denormalise_pixels
from side4video.models.video_model import VideoModel
from side4video.parameters import as_list
from side4video.tasks.clips import build_sampling, evaluation_clips
from side4video.video.decoding import VideoError, open_video
from side4video.video.remote import video_path


def explain_video(
    video: str | Path | LabelledVideo,
    classes: str | Sequence[str],
    *,
    model: VideoModel,
    adapter: Adapter,
    device: torch.device,
) -> Explanation:
    """Compute which places and frames support a class; see `Predictor.explain`."""
    labels = _labels(as_list(classes), adapter.class_names)
    if not isinstance(video, LabelledVideo):
        video = LabelledVideo(path=video_path(video), label=None, name=str(video))
    config, backbone = adapter.config, model.backbone
    clip = evaluation_clips([video], config=config, backbone=backbone, num_clips=1, num_crops=1)[0]
    if isinstance(clip, Failure):
        raise VideoError(video.path, clip.reason)
    frames = clip.frames[0].to(device)
    return Explanation(
        path=video.path,
        pictures=denormalise_pixels(clip.frames, backbone.mean, backbone.std)[0].permute(0, 2, 3, 1).numpy(),
        frame_seconds=_frame_seconds(video, config),
        classes=explain_clip(
            model, frames, labels=labels, class_names=adapter.class_names, multi_label=adapter.multi_label
        ),
        attention=attention_weights(model, frames),
    )


def _labels(classes: Sequence[str], class_names: Sequence[str]) -> list[int] | None:
    if len(class_names) < 2:
        raise ValueError(f"The model has only {len(class_names)} class. An explanation compares two or more.")
    if unknown := [name for name in classes if name not in class_names]:
        raise ValueError(f"The model has no class {unknown[0]!r}. Use some of {', '.join(class_names)}.")
    return [class_names.index(name) for name in classes] or None


def _frame_seconds(video: LabelledVideo, config: RunConfig) -> tuple[float, ...] | None:
    """Times of the frames of a video's middle clip, in seconds; None for a frame folder."""
    span: dict[str, Any] = {"start_seconds": video.start_seconds, "end_seconds": video.end_seconds}
    with open_video(video.path, frame_template=config.data.frame_template, fps=config.data.fps, **span) as file:
        (frames,) = build_sampling(config.data).test(file.num_frames, 1)
        seconds = file.frame_seconds
    if seconds is None:
        return None
    return tuple(float(seconds[frame]) for frame in (reversed(frames) if video.reverse else frames))
