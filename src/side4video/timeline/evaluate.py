"""Scores an adapter's timelines against labelled segments."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from side4video.adapters.adapter import Adapter, load_adapter, read_adapter_for
from side4video.config import DataConfig
from side4video.data.lists.annotations import DataError, LabelledVideo, check_video_list
from side4video.data.lists.configured_lists import read_configured_list
from side4video.distributed.processes import WAIT_MINUTES, distribute, joined_processes, print_once
from side4video.models.video_model import VideoModel, choose_device
from side4video.moments.moment import Moment
from side4video.tasks.recognition.data import read_data
from side4video.tasks.trained_videos import print_trained_videos
from side4video.tasks.unread import NoReadableVideosError, UnreadVideo
from side4video.timeline.detection import THRESHOLDS, detection_scores
from side4video.timeline.find import find_timeline
from side4video.timeline.timeline import Timeline, TimelineSettings
from side4video.video.decoding import VideoError


@dataclass(frozen=True)
class TimelineEvaluation:
    """Scores of timelines: mean average precision (mAP) at thresholds of temporal intersection over union (tIoU).

    Attributes:
        average_precision: class -> threshold -> average precision, 0 to 1; only labelled classes.
        timelines: of each readable video.
        num_segments: labelled segments of the readable videos.
        unread: unreadable videos; they are not in the scores.

    >>> run, jump = dict.fromkeys(THRESHOLDS, 1.0), dict.fromkeys(THRESHOLDS, 0.5)
    >>> TimelineEvaluation({"run": run, "jump": jump}, timelines=(), num_segments=2, unread=()).score
    0.75
    """

    average_precision: dict[str, dict[float, float]]
    timelines: tuple[Timeline, ...]
    num_segments: int
    unread: tuple[UnreadVideo, ...]

    @property
    def num_videos(self) -> int:
        """Number of videos that were read and scored."""
        return len(self.timelines)

    @property
    def mean_average_precision(self) -> dict[float, float]:
        """mAP at each threshold: the mean over the labelled classes."""
        rows = self.average_precision.values()
        return {threshold: sum(row[threshold] for row in rows) / len(rows) for threshold in THRESHOLDS}

    @property
    def score(self) -> float:
        """The mean of mAP over the thresholds."""
        return sum(self.mean_average_precision.values()) / len(THRESHOLDS)

    def metric(self, name: str | None) -> float | None:  # noqa: ARG002 - a run is never selected by timelines
        """The mean of mAP over the thresholds."""
        return self.score

    def warnings(self) -> list[str]:
        """None: mAP has no simple confidence interval."""
        return []

    def headline(self) -> dict[str, float | int]:
        """The main numbers, for a log line."""
        at = {f"mAP@{threshold:g}": value for threshold, value in self.mean_average_precision.items()}
        return {**at, "mAP": self.score, "videos": self.num_videos, "unread": len(self.unread)}

    def conditions(self) -> dict[str, Any]:
        """The windows and thresholds of the timelines."""
        first = self.timelines[0]
        names = ("window_seconds", "stride_seconds", "min_score", "min_seconds")
        return {name: getattr(first, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        return {
            **self.headline(),
            "segments": self.num_segments,
            "average_precision": {
                name: {f"{threshold:g}": value for threshold, value in row.items()}
                for name, row in self.average_precision.items()
            },
            "timelines": [timeline.to_json() for timeline in self.timelines],
            "unread_videos": [asdict(video) for video in self.unread],
        }

    def table(self, *, max_classes: int | None = None) -> Table:
        """A printable table: a row per class unless there are more than `max_classes`, and the mean."""
        title = f"{self.num_videos} videos, {self.num_segments} segments: average precision by tIoU"
        table = Table("class", *(f"{threshold:g}" for threshold in THRESHOLDS), "mean", title=title)
        for column in table.columns[1:]:
            column.justify = "right"
        if max_classes is None or len(self.average_precision) <= max_classes:
            for name, row in self.average_precision.items():
                table.add_row(name, *_percents(list(row.values())))
            table.add_section()
        table.add_row("mAP", *_percents(list(self.mean_average_precision.values())))
        return table


def _percents(values: Sequence[float]) -> list[str]:
    return [f"{value:.1%}" for value in (*values, sum(values) / len(values))]


def evaluate_timelines(
    folder: Path,
    *,
    data: DataConfig,
    settings: TimelineSettings,
    device: str = "auto",
    backbone_weights: str | None = None,
    timeout_minutes: float = WAIT_MINUTES,
) -> TimelineEvaluation:
    """Find the timelines of all videos of `data.test` and compare them with its segments.

    Processes started by torchrun or SLURM share the videos, and all return the same result.

    Args:
        folder: an adapter folder, a run folder, or a name on the Hugging Face hub.
        data: names the list; each row is a segment with start, end and class.
        settings: windows and thresholds.
        device: "auto", "cpu", "cuda", ...
        backbone_weights: local weights of the backbone; by default the weights used in training.
        timeout_minutes: maximum time that a process waits for the others.

    Raises:
        DataError: the list cannot be used, has unknown classes, or a row has no times.
        NoReadableVideosError: no video could be read.
        ValueError, FileNotFoundError: the adapter cannot be used.
    """
    settings.check()
    adapter = read_adapter_for("recognition", folder)
    place = choose_device(device)
    with joined_processes(place, timeout_minutes=timeout_minutes):
        labelled = read_segments(data.model_copy(update={"multi_label": adapter.multi_label}), adapter)
        model, _ = load_adapter(folder, device=place, backbone_weights=backbone_weights)
        assert isinstance(model, VideoModel)

        def find(path: Path) -> Timeline | UnreadVideo:
            try:
                return find_timeline(path, model=model, adapter=adapter, device=place, settings=settings)
            except VideoError as error:
                return UnreadVideo(str(path), error.reason)

        found = list(distribute(list(dict.fromkeys(segment.path for segment in labelled)), find))
    return score_timelines(
        [timeline for timeline in found if isinstance(timeline, Timeline)],
        labelled,
        unread=tuple(video for video in found if isinstance(video, UnreadVideo)),
    )


def score_timelines(
    timelines: Sequence[Timeline], labelled: Sequence[Moment], *, unread: tuple[UnreadVideo, ...] = ()
) -> TimelineEvaluation:
    """Compare timelines with the labelled segments of their videos; segments of other videos are ignored.

    Raises:
        NoReadableVideosError: there is no timeline.
    """
    if not timelines:
        raise NoReadableVideosError(unread)
    paths = {timeline.path for timeline in timelines}
    segments = [segment for segment in labelled if segment.path in paths]
    moments = [moment for timeline in timelines for moment in timeline.moments]
    return TimelineEvaluation(detection_scores(moments, segments), tuple(timelines), len(segments), unread)


def read_segments(data: DataConfig, adapter: Adapter) -> list[Moment]:
    """Read the labelled segments of `data.test`, with score 1, and print what is notable about them.

    Raises:
        DataError: the list cannot be used, has unknown classes, or a row has no times.
        ValueError: no list is given.
    """
    if data.test is None and not data.is_divided:
        raise ValueError("No labelled segments: give --data.test, a list with the columns path, label, start and end.")
    listed = read_configured_list(data, "test", class_names=adapter.class_names)
    assert listed is not None
    for note in listed.notes:
        print_once(f"{listed.source}: {note}")
    checked = check_video_list(listed, allow_missing=data.allow_missing)
    for warning in checked.warnings:
        print_once(f"warning: {listed.source}: {warning}")
    trained_on, seed = adapter.config.data, adapter.config.seed
    print_trained_videos(checked.videos.videos, trained_on, lambda data: read_data(data, seed=seed).train)
    segments = (_segments(video, adapter.class_names, listed.source) for video in checked.videos.videos)
    return [moment for of_video in segments for moment in of_video]


def _segments(video: LabelledVideo, class_names: Sequence[str], source: str) -> list[Moment]:
    """One for each label of the segment."""
    start, end = video.start_seconds, video.end_seconds
    if start is None or end is None:
        raise DataError(f"{source}: {video.name} has no start or end. Give both, in seconds, in columns start and end.")
    return [Moment(video.path, start, end, class_names[label], 1.0) for label in video.all_labels]
