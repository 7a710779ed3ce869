"""The report of a run folder: what the run logged and scored, with frames of right and wrong clips."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from side4video.config import RunConfig, load_config
from side4video.report import Chart, ClipExample, write_report
from side4video.tasks.evaluation import Evaluation, Prediction
from side4video.tasks.clips import sampling_from
from side4video.tasks.recognition import as_evaluated, read_data
from side4video.training.run_log import read_log
from side4video.video.annotations import LabelledVideo
from side4video.video.decoding import VideoError, open_video
from side4video.video.sampling import FrameSampling

SHOWN_RIGHT, SHOWN_WRONG = 8, 12


def write_run_report(folder: Path) -> Path:
    """Write `report.html` in a run folder that has been evaluated; returns its path.

    Raises:
        FileNotFoundError: the folder holds no evaluated run.
    """
    if not (folder / "evaluation.json").is_file():
        raise FileNotFoundError(f"{folder} holds no evaluation.json. Train with --data.test first.")
    config = load_config(folder / "config.yaml")
    evaluation = Evaluation.from_json(json.loads((folder / "evaluation.json").read_text(encoding="utf-8")))
    probe = folder / "probe.json"
    scores = {"linear probe on the frozen features": json.loads(probe.read_text())["top1"]} if probe.is_file() else {}
    path = folder / "report.html"
    write_report(
        path,
        title=f"Run {folder.name}",
        summary=_summary(config, evaluation),
        scores={name: score for name, score in scores.items() if score is not None}
        | {"with the side network: top-1": evaluation.top1, "mean of classes": evaluation.mean_class_accuracy},
        settings=_settings(config),
        charts=_charts(read_log(folder)),
        confusion=np.array(evaluation.confusion),
        class_names=evaluation.class_names,
        examples=_examples(config, evaluation),
    )
    return path


def _summary(config: RunConfig, evaluation: Evaluation) -> str:
    unread = f" {len(evaluation.unread)} more could not be read." if evaluation.unread else ""
    return (
        f"{config.about} Evaluated on {evaluation.num_videos} videos of {config.data.test}, {evaluation.views} "
        f"view{'s' if evaluation.views > 1 else ''} each.{unread}"
    ).strip()


def _settings(config: RunConfig) -> dict[str, Any]:
    """The settings that differ from the defaults, by their flags' names."""
    changed = config.model_dump(mode="json", exclude_defaults=True, exclude={"about"})
    flat: dict[str, Any] = {}
    for name, value in changed.items():
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _charts(log: Sequence[dict[str, Any]]) -> list[Chart]:
    def line(kind: str, name: str) -> tuple[list[float], list[float]]:
        entries = [entry for entry in log if entry["kind"] == kind]
        return [entry["step"] for entry in entries], [entry[name] for entry in entries]

    charts = [
        Chart(title="Loss", lines={"training": line("train", "loss")}, x_label="step", y_label="cross-entropy"),
        Chart(
            title="Top-1",
            lines={"training": line("train", "train_top1"), "evaluation": line("evaluation", "top1")},
            x_label="step",
            y_label="share of clips",
        ),
        Chart(title="Learning rate", lines={"rate": line("train", "lr")}, x_label="step", y_label="learning rate"),
    ]
    return [chart for chart in charts if any(x for x, _ in chart.lines.values())]


def _examples(config: RunConfig, evaluation: Evaluation) -> list[ClipExample]:
    data = read_data(config.data)
    videos = {video.name: video for video in as_evaluated(data.test, config.data)} if data.test else {}
    sampling = sampling_from(config.data)
    wrong = [prediction for prediction in evaluation.predictions if not prediction.right]
    right = _spread(prediction for prediction in evaluation.predictions if prediction.right)
    shown = [*wrong[:SHOWN_WRONG], *islice(right, SHOWN_RIGHT)]
    examples = (_example(prediction, videos.get(prediction.name), sampling, config) for prediction in shown)
    return [example for example in examples if example is not None]


def _spread(predictions: Iterable[Prediction]) -> Iterable[Prediction]:
    """One prediction of each class before the second of any."""
    by_class = [list(group) for _, group in groupby(sorted(predictions, key=lambda p: str(p.label)), lambda p: p.label)]
    for place in range(max(map(len, by_class), default=0)):
        yield from (group[place] for group in by_class if place < len(group))


def _example(
    prediction: Prediction, video: LabelledVideo | None, sampling: FrameSampling, config: RunConfig
) -> ClipExample | None:
    if video is None:
        return None
    span = {"start_seconds": video.start_seconds, "end_seconds": video.end_seconds}
    try:
        with open_video(video.path, frame_template=config.data.frame_template, **span) as file:
            frames = file.read(sampling.test(file.num_frames, 1)[0])
    except VideoError:
        return None  # it was readable when it was scored; its file is gone since
    return ClipExample(
        name=prediction.name,
        frames=(frames.flip(0) if video.reverse else frames).permute(0, 2, 3, 1).numpy(),
        predicted_class=prediction.classes[0],
        score=prediction.scores[0],
        true_class=prediction.label,
    )
