"""Classifies videos with a trained adapter.

`Predictor("runs/mine").predict("clip.mp4")` returns the best classes with their scores.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from side4video.adapters.adapter import load_adapter, read_adapter_for
from side4video.data.datasets import Failure, TestClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading.batch import Batch
from side4video.data.loading.engine import Engine, LocalEngine, in_order
from side4video.data.transforms import check_views
from side4video.inference.clip_features import ClipFeatures, FeatureBatches, Part, check_part, join_features
from side4video.inference.explanation import Explanation
from side4video.inference.prediction import ClassScore, VideoPrediction
from side4video.inference.video_explanation import explain_video
from side4video.models.video_model import VideoModel, choose_device
from side4video.parameters import as_list, check_count
from side4video.tasks.clips import choose_workers, evaluation_clips, pool_views
from side4video.tasks.recognition.evaluate import score_views
from side4video.tasks.unread import UnreadVideo
from side4video.timeline.find import build_scorer, find_timeline, trained_seconds
from side4video.timeline.grid import choose_grid
from side4video.timeline.live import LivePrediction, watch
from side4video.timeline.timeline import DEFAULT_MIN_SCORE, Timeline, TimelineSettings
from side4video.video.decoding import VideoError
from side4video.video.live_reader import RECONNECT_SECONDS, LiveEnd, LiveReader
from side4video.video.remote import video_path
from side4video.video.stored_input import VideoSource, as_path, name_of

TOP_K = 5
"""Default number of classes, if a video shows one class."""


class Predictor:
    """A trained model that classifies videos.

    Args:
        folder: an adapter folder, a run folder, or a name on the Hugging Face hub: `user/name`, `user/name@revision`.
        backbone_weights: local weights file of the backbone. Default: the weights used in training.
        device: "auto", "cpu", "cuda", ...
        dtype: number type of the backbone, such as "float32". Default: the type used in training.
        num_clips: clips per video. The model averages their scores.
        num_crops: crops per clip: 1, 3, 5 or 10.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: the adapter is corrupt or for retrieval, or the backbone weights differ from those in training.

    >>> predictor = Predictor("adapter", device="cpu")
    >>> predictor.class_names
    ('anticlockwise', 'clockwise')
    >>> best, second = predictor.predict("clip.mp4", top_k=2)
    >>> best.score > second.score, round(best.score + second.score, 3)
    (True, 1.0)
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        backbone_weights: str | None = None,
        device: str = "auto",
        dtype: str | None = None,
        num_clips: int = 1,
        num_crops: int = 1,
    ) -> None:
        check_views(num_clips, num_crops)
        self.device = choose_device(device)
        read_adapter_for("recognition", Path(folder))
        model, self.adapter = load_adapter(
            Path(folder), device=self.device, backbone_weights=backbone_weights, dtype=dtype
        )
        assert isinstance(model, VideoModel)
        self.model = model
        self._views: dict[str, Any] = {"num_clips": num_clips, "num_crops": num_crops}

    def on_device(self, name: str) -> "Predictor":
        """A predictor with the same model, which moves to another device."""
        moved = copy(self)
        moved.device = choose_device(name)
        moved.model.to(moved.device)
        return moved

    @property
    def class_names(self) -> tuple[str, ...]:
        """All classes, in the order of the model's outputs."""
        return self.adapter.class_names

    @property
    def multi_label(self) -> bool:
        """Whether a video can show several classes, each with a threshold: `adapter.thresholds`."""
        return self.adapter.multi_label

    @property
    def knows_window(self) -> bool:
        """Whether the adapter states how long its training clips are, see `timeline`."""
        return self.adapter.clip_seconds is not None or self.adapter.config.data.sampling == "dense"

    def least_scores(self, min_score: float | None) -> dict[str, float]:
        """The score from which on each class is shown in timelines and streams.

        Args:
            min_score: the same for all. Default: 0.3; if videos can show several classes, the threshold of each class.
        """
        if min_score is None and self.adapter.thresholds is not None:
            return dict(zip(self.class_names, self.adapter.thresholds.values, strict=True))
        return dict.fromkeys(self.class_names, DEFAULT_MIN_SCORE if min_score is None else min_score)

    def predict(self, path: VideoSource, *, top_k: int | None = None) -> list[ClassScore]:
        """The best classes of a video, best first.

        Args:
            path: path of a video file or frame folder, or the content of a video file: bytes or a binary file object.
            top_k: number of classes. Default: 5; if videos can show several classes, all that reach their threshold.

        Raises:
            VideoError: the video cannot be read.
        """
        return list(self.predict_video(path, top_k=top_k).classes)

    def predict_frames(self, frames: Any, *, top_k: int | None = None) -> list[ClassScore]:
        """The best classes of a video whose frames you have decoded, equal to those of a file with them.

        >>> predictor, frames = Predictor("adapter", device="cpu"), np.zeros((24, 32, 32, 3), np.uint8)
        >>> len(predictor.predict_frames(frames, top_k=2))
        2

        Args:
            frames: all frames of one video, RGB, 0 to 255: numpy uint8 (T, H, W, 3), a uint8 tensor (T, 3, H, W), or a
                list of PIL images or arrays (H, W, 3). The model takes the frames it needs from them.
            top_k: as in `predict`.

        Raises:
            TypeError, ValueError: the frames have another type, shape, order of dimensions or number type.
        """
        _check_top_k(top_k)
        views = self._clips([]).views_of(frames)
        return list(self._best_classes(views, top_k))

    def predict_video(self, path: VideoSource, *, top_k: int | None = None) -> VideoPrediction:
        """Like `predict`, with the path and the time taken."""
        (found,) = self.predict_videos([path], top_k=top_k, workers=0)
        if isinstance(found, UnreadVideo):
            raise VideoError(name_of(path), found.reason)
        return found

    def predict_videos(
        self,
        paths: VideoSource | Sequence[VideoSource],
        *,
        top_k: int | None = None,
        workers: int | None = None,
        engine: Engine | None = None,
    ) -> Iterator[VideoPrediction | UnreadVideo]:
        """Predict many videos, in order; yields an `UnreadVideo` with the reason for each unreadable one.

        Args:
            paths: paths of the videos, or contents of video files (bytes or binary file objects), which are kept in
                temporary files until the last prediction. One of them is a list of one.
            top_k: as in `predict`.
            workers: processes that decode videos while the model computes. Default: one per core minus one, at most 8,
                and 0 for one video. With workers, a script needs `if __name__ == "__main__":`, and a video that hangs
                or crashes its decoder counts as unreadable.
            engine: where the videos are read and classified. Default: in this process, with `workers`.

        Raises:
            ValueError: `top_k` is below 1, or `workers` below 0.
        """
        _check_top_k(top_k)
        sources: list[VideoSource] = as_list(paths)
        return self._predict_videos(sources, top_k, engine or _local_engine(sources, workers))

    def _predict_videos(
        self, paths: list[VideoSource], top_k: int | None, engine: Engine
    ) -> Iterator[VideoPrediction | UnreadVideo]:
        with ExitStack() as stack:
            files = [stack.enter_context(as_path(path)) for path in paths]
            results = engine.run(
                self._clips(files),
                _ClassifyBatches(self, top_k),
                batch_clips=1,
                timeout_seconds=self.adapter.config.data.timeout_seconds,
            )
            for name, found in zip(map(name_of, paths), in_order(results), strict=True):
                if isinstance(found, Failure):
                    yield UnreadVideo(name, found.reason)
                else:
                    yield replace(found, path=video_path(name))

    def features(
        self,
        paths: VideoSource | Sequence[VideoSource],
        *,
        part: Part = "side",
        workers: int | None = None,
        engine: Engine | None = None,
    ) -> ClipFeatures:
        """Feature vectors of videos, averaged over their clips and crops; see `side4video.inference.clip_features`.

        Args:
            paths: as in `predict_videos`.
            part: "side": what the classifier reads; "frozen": the image model alone; or "both".
            workers, engine: as in `predict_videos`.

        Raises:
            ValueError: no video can be read, or the adapter is a probe without a side network and `part` needs one.
        """
        check_part(self.model, part)
        sources: list[VideoSource] = as_list(paths)
        with ExitStack() as stack:
            results = (engine or _local_engine(sources, workers)).run(
                self._clips([stack.enter_context(as_path(source)) for source in sources]),
                FeatureBatches(self.model, self.device, self.adapter.config.eval.batch),
                batch_clips=1,
                timeout_seconds=self.adapter.config.data.timeout_seconds,
            )
            return join_features(dict(results), list(map(name_of, sources)), part=part)

    def timeline(
        self,
        path: str | Path,
        *,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        min_score: float | None = None,
        min_seconds: float | None = None,
    ) -> Timeline:
        """Find which classes a long video shows, and when.

        Overlapping windows are classified, and the scores of all windows that see a moment are averaged. Each frame
        passes the frozen model once, however many windows see it. `num_clips` and `num_crops` are ignored.

        Args:
            path: a video file.
            window_seconds: length of a window. Default: the median length of the training clips, or what a clip of
                dense frames spans; 4 seconds if the adapter does not state it.
            stride_seconds: from one window to the next. Default: a quarter of the window.
            min_score: below it, the best class is background. 0 to 1. Default: 0.3; if videos can show several classes,
                the threshold of each class.
            min_seconds: shorter moments are dropped, and shorter gaps inside a class closed. Default: the stride.

        Raises:
            VideoError: the video cannot be read.
            ValueError: a setting is out of range, or the windows leave gaps.
        """
        settings = TimelineSettings(window_seconds, stride_seconds, min_score, min_seconds)
        return find_timeline(
            video_path(path), model=self.model, adapter=self.adapter, device=self.device, settings=settings
        )

    def watch(
        self,
        address: str,
        *,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        top_k: int = 5,
        reconnect_seconds: float = RECONNECT_SECONDS,
        report: Callable[[str], None] = print,
    ) -> Iterator[LivePrediction | LiveEnd]:
        """Classify the newest window of a live stream, once a stride, until it ends. The last item is a `LiveEnd`.

        A thread decodes the stream into a ring of the newest frames. If the model is slower than the stream, frames are
        dropped and counted, so that the lag does not grow. A stream that breaks is opened again.

        Args:
            address: `rtsp://...`, `http://...`, a device such as `/dev/video0`, or `-` for standard input.
            window_seconds, stride_seconds: as in `timeline`.
            top_k: number of classes.
            reconnect_seconds: how long to try again when a network stream breaks. 0: it ends then.
            report: called with sentences about the stream: lost, back, its size changed.

        Raises:
            VideoError: nothing answers at this address, or it sends no video.
            ValueError: the windows leave gaps.
        """
        check_count(top_k, "top_k")
        with LiveReader(address, reconnect_seconds=reconnect_seconds, report=report) as reader:
            grid = choose_grid(
                self.adapter.config.data.num_frames,
                window_seconds=window_seconds or trained_seconds(self.adapter, reader.fps),
                stride_seconds=stride_seconds,
            )
            reader.start(num_frames=grid.num_frames, spacing_seconds=grid.spacing_seconds)
            scorer = build_scorer(self.model, self.adapter, self.device)
            yield from watch(reader, grid, scorer, class_names=self.class_names, top_k=top_k)

    def explain(self, video: str | Path | LabelledVideo, *, classes: str | Sequence[str] = ()) -> Explanation:
        """Compute which places and frames of a video support a class.

        Explains the centre crop of one clip from the middle of the video. `num_clips` and `num_crops` are ignored.

        Args:
            video: a video file, a frame folder, or a part of either from a list.
            classes: names of the classes to explain. Default: the best class of this clip.

        Raises:
            VideoError: the video cannot be read.
            ValueError: a class is unknown, or the model has only one class.
        """
        return explain_video(video, classes, model=self.model, adapter=self.adapter, device=self.device)

    def _clips(self, paths: Sequence[Path]) -> TestClips:
        videos = [LabelledVideo(path=path, label=0, name=str(path)) for path in paths]
        return evaluation_clips(videos, config=self.adapter.config, backbone=self.model.backbone, **self._views)

    def _best_classes(self, views: Tensor, top_k: int | None) -> tuple[ClassScore, ...]:
        settings, thresholds = self.adapter.config.eval, self.adapter.thresholds
        by_view = score_views(self.model, views, device=self.device, chunk=settings.batch, multi_label=self.multi_label)
        crops = self._views["num_crops"]
        scores = pool_views(by_view, settings, class_names=self.class_names, num_crops=crops).cpu().numpy()
        least = [None] * len(scores) if thresholds is None else list(thresholds.values)
        order = np.argsort(-scores, kind="stable")
        if top_k is None and thresholds is not None:
            order = order[scores[order] >= np.array(thresholds.values)[order]]
        else:
            order = order[: top_k or TOP_K]
        return tuple(ClassScore(self.class_names[index], float(scores[index]), least[index]) for index in order)


@dataclass(frozen=True)
class _ClassifyBatches:
    """Classifies batches of one video each: yields the index and the prediction, or the failure."""

    predictor: Predictor
    top_k: int | None

    def on_device(self, name: str) -> "_ClassifyBatches":
        return replace(self, predictor=self.predictor.on_device(name))

    def __call__(self, batches: Iterable[Batch]) -> Iterator[tuple[int, VideoPrediction | Failure]]:
        started = time.perf_counter()
        for batch in batches:
            yield from ((failure.index, failure) for failure in batch.failures)
            if len(batch):
                classes = self.predictor._best_classes(batch.clips, self.top_k)
                seconds = time.perf_counter() - started
                yield batch.indices[0], VideoPrediction(path=Path(batch.names[0]), classes=classes, seconds=seconds)
            started = time.perf_counter()


def _local_engine(sources: Sequence[VideoSource], workers: int | None) -> LocalEngine:
    """The engine of this process; a single video is read without a loader process unless `workers` asks for one."""
    chosen = choose_workers(workers)
    return LocalEngine(chosen if len(sources) > 1 or workers else 0)


def _check_top_k(top_k: int | None) -> None:
    if top_k is not None:
        check_count(top_k, "top_k")
