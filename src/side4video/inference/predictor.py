"""Classes of videos from a trained adapter.

`Predictor("runs/mine").predict("clip.mp4")` gives the best classes with their scores.
"""

import glob
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from side4video.adapters.adapter import load_adapter, read_adapter_for
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading.loader import test_loader
from side4video.models.video_model import VideoModel, choose_device
from side4video.tasks.clips import choose_workers, evaluation_clips
from side4video.tasks.recognition.evaluate import score_views
from side4video.tasks.unread import UnreadVideo
from side4video.video.decoding import VideoError, find_videos


@dataclass(frozen=True)
class ClassScore:
    """A class and its softmax score, 0..1."""

    name: str
    score: float


@dataclass(frozen=True)
class VideoPrediction:
    """The best classes of one video."""

    path: Path
    classes: tuple[ClassScore, ...]
    """Best first."""
    seconds: float
    """Decoding and inference; where other processes decode, waiting for them and inference."""


class Predictor:
    """A trained model that names what happens in a video.

    Args:
        folder: an adapter folder, a run folder, or a name on the Hugging Face hub: `user/name`, `user/name@revision`.
        backbone_weights: local weights of the backbone; by default what training used.
        device: "auto", "cpu", "cuda", ...
        num_clips: clips per video whose scores are averaged.
        num_crops: crops per clip: 1, 3, 5 or 10.

    Raises:
        FileNotFoundError: no adapter there.
        ValueError: damaged adapter, one for retrieval, or other backbone weights than it was trained on.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        backbone_weights: str | None = None,
        device: str = "auto",
        num_clips: int = 1,
        num_crops: int = 1,
    ) -> None:
        self.device = choose_device(device)
        read_adapter_for("recognition", Path(folder))
        model, self.adapter = load_adapter(Path(folder), device=self.device, backbone_weights=backbone_weights)
        assert isinstance(model, VideoModel)
        self.model = model
        self._views = {"num_clips": num_clips, "num_crops": num_crops}

    @property
    def class_names(self) -> tuple[str, ...]:
        """All classes, in the order of the model's outputs."""
        return self.adapter.class_names

    def predict(self, path: str | Path, *, top_k: int = 5) -> list[ClassScore]:
        """The `top_k` best classes of a video file or frame folder, best first.

        Raises:
            VideoError: the video cannot be read.
        """
        return list(self.predict_video(path, top_k=top_k).classes)

    def predict_video(self, path: str | Path, *, top_k: int = 5) -> VideoPrediction:
        """As `predict`, with the path and the seconds taken."""
        (found,) = self.predict_videos([path], top_k=top_k, workers=0)
        if isinstance(found, UnreadVideo):
            raise VideoError(path, found.reason)
        return found

    def predict_videos(
        self, paths: Sequence[str | Path], *, top_k: int = 5, workers: int | None = None
    ) -> Iterator[VideoPrediction | UnreadVideo]:
        """What `predict_video` gives for each of many videos, in order, or why one cannot be read.

        Args:
            paths: of the videos.
            top_k: classes to name.
            workers: processes that read them while the model computes; by default one per core but one, at most 8, and
                none for a single video. Then a script needs `if __name__ == "__main__":`, and a video that hangs or
                crashes its decoder is one that cannot be read.
        """
        config = self.adapter.config
        videos = [LabelledVideo(path=Path(path), label=0, name=str(path)) for path in paths]
        batches = test_loader(
            evaluation_clips(videos, config=config, backbone=self.model.backbone, **self._views),
            batch_clips=1,
            workers=choose_workers(workers) if len(videos) > 1 or workers else 0,
            timeout_seconds=config.data.timeout_seconds,
        )
        started = time.perf_counter()
        for video, batch in zip(videos, batches, strict=True):
            if batch.failures:
                yield UnreadVideo(video.name, batch.failures[0].reason)
            else:
                classes = self._best_classes(batch.clips, top_k)
                yield VideoPrediction(path=video.path, classes=classes, seconds=time.perf_counter() - started)
            started = time.perf_counter()

    def _best_classes(self, views: Tensor, top_k: int) -> tuple[ClassScore, ...]:
        by_view = score_views(self.model, views, device=self.device, chunk=self.adapter.config.eval.batch)
        scores = by_view.mean(dim=0).cpu().numpy()
        best = np.argsort(-scores, kind="stable")[:top_k]
        return tuple(ClassScore(self.class_names[index], float(scores[index])) for index in best)


def expand_inputs(inputs: Iterable[str]) -> Iterator[Path]:
    """Video files meant by files, folders (searched below) and glob patterns, each once, in order.

    Raises:
        FileNotFoundError: an input stands for no video.
    """
    seen: set[Path] = set()
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            found = find_videos(path) or [path] * any(path.glob("*.[jp][pn]g"))  # else a folder of frames
        elif path.exists():
            found = [path]
        else:
            found = [Path(match) for match in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 (absolute patterns)
        if not found:
            raise FileNotFoundError(f"{given!r} is no video file, no folder with videos and matches no file.")
        yield from (path for path in found if not (path in seen or seen.add(path)))  # type: ignore[func-returns-value]
