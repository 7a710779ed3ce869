"""Writes the report of a run folder: logs, scores, and frames of correct and wrong clips."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from side4video.config import RunConfig, load_config
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.inference.predictor import Predictor
from side4video.reports.multi_label_report import as_one_class, class_tables, cooccurrence
from side4video.reports.report import Chart, ClipExample, ReportTable, write_report
from side4video.selection.fold_results import HEAD as SEARCH_HEAD
from side4video.selection.fold_results import read_search
from side4video.tasks.clips import build_sampling
from side4video.tasks.recognition.baselines import HEAD as BASELINE_HEAD
from side4video.tasks.recognition.baselines import read_baselines
from side4video.tasks.recognition.data import as_evaluated, read_data
from side4video.tasks.recognition.evaluate import read_evaluation
from side4video.tasks.recognition.multi_label_scores import MultiLabelEvaluation, SeveralPrediction
from side4video.tasks.recognition.scores import Evaluation, Prediction
from side4video.tasks.recognition.task import read_probe
from side4video.tasks.task import ZERO_SHOT
from side4video.tasks.unread import UnreadVideo, withheld_scores_reason
from side4video.training.final_evaluation import read_final
from side4video.training.run_log import read_log
from side4video.video.decoding import VideoError, open_video

SHOWN_RIGHT, SHOWN_WRONG = 8, 12


def write_run_report(folder: Path, *, explain: bool = False) -> Path:
    """Write `report.html` in the folder of an evaluated run and return its path.

    Args:
        folder: the run folder.
        explain: for recognition, show the evidence for the predictions as heatmaps. This loads the best
            adapter with its backbone, and does the work of about 50 training passes for each clip shown.

    Raises:
        FileNotFoundError: the folder contains no evaluated run.
    """
    if not (folder / "evaluation.json").is_file():
        raise FileNotFoundError(f"{folder} contains no evaluation.json. Train with --data.test first.")
    config = load_config(folder / "config.yaml")
    content = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    retrieval = config.task == "retrieval"
    predictor = Predictor(folder, device=config.train.device) if explain and not retrieval else None
    parts = (
        _retrieval_parts(folder, config, content)
        if retrieval
        else _recognition_parts(folder, config, content, predictor)
    )
    path = folder / "report.html"
    write_report(
        path,
        title=f"Training report: {folder.resolve().name}",
        settings=changed_settings(config),
        charts=training_charts(read_log(folder)),
        **parts,
    )
    return path


def compare_frozen_and_trained(folder: Path) -> dict[str, float]:
    """Return the score of the frozen model, if it was measured, and the score with what was trained."""
    probe = load_config(folder / "config.yaml").probe.name
    trained_part = "side network" if probe == "none" else f"{probe} probe"
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    if "top1" in evaluation:
        frozen, trained = read_probe(folder), evaluation["top1"]
        names = ("linear probe on the frozen features: top-1", f"with the {trained_part}: top-1")
    elif "cooccurrence" in evaluation:
        frozen, trained = read_probe(folder), evaluation["mean_average_precision"]
        names = ("linear probe on the frozen features: mAP", f"with the {trained_part}: mAP")
    else:
        path = folder / ZERO_SHOT
        frozen = _recall_at_1(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
        trained = _recall_at_1(evaluation)
        names = ("zero-shot with the frozen model: R@1", f"with the {trained_part}: R@1")
    return ({} if frozen is None else {names[0]: frozen}) | {names[1]: trained}


def _recall_at_1(evaluation: dict[str, Any]) -> float:
    return evaluation["scores"]["text_to_video"]["recall_at_1"]


def _recognition_parts(
    folder: Path, config: RunConfig, content: dict[str, Any], predictor: Predictor | None
) -> dict[str, Any]:
    evaluation = read_evaluation(content)
    withheld = _withheld_reason(config, evaluation.num_videos, evaluation.unread)
    return {
        "summary": (
            f"{withheld}{config.about} Evaluated on {evaluation.num_videos} videos of "
            f"{config.data.train if config.data.is_divided else config.data.test}, "
            f"{evaluation.views} view{'s' if evaluation.views > 1 else ''} each.{_describe_unread(evaluation.unread)} "
            f"{'' if withheld else ' '.join(evaluation.warnings())}"
        ).strip(),
        "scores": {}
        if withheld
        else compare_frozen_and_trained(folder) | _further_scores(evaluation) | read_final(folder),
        "tables": [
            *(class_tables(evaluation) if isinstance(evaluation, MultiLabelEvaluation) else ()),
            *_baseline_tables(folder),
            *_search_tables(folder),
        ],
        "confusion": cooccurrence(evaluation)
        if isinstance(evaluation, MultiLabelEvaluation)
        else np.array(evaluation.confusion),
        "num_clips": evaluation.videos if isinstance(evaluation, MultiLabelEvaluation) else None,
        "class_names": evaluation.class_names,
        "examples": _examples(config, evaluation, predictor),
    }


def _further_scores(evaluation: Evaluation | MultiLabelEvaluation) -> dict[str, float]:
    if isinstance(evaluation, MultiLabelEvaluation):
        further = {"mAP of all labels (micro)": evaluation.micro_average_precision, "micro F1": evaluation.micro_f1}
    else:
        further = {"mean of classes": evaluation.mean_class_accuracy}
    return further | {"macro F1": evaluation.macro_f1}


def _baseline_tables(folder: Path) -> list[ReportTable]:
    found = read_baselines(folder)
    if found is None:
        return []
    note = (
        f"Scores of the frozen model without a side network, with standard errors, on {found.num_videos} test "
        f"videos. The options and regularisation of each probe were chosen by cross-validation. {' '.join(found.notes)}"
    )
    return [ReportTable(title="Baselines", note=note, head=BASELINE_HEAD, rows=found.rows())]


def _search_tables(folder: Path) -> list[ReportTable]:
    found = read_search(folder)
    if found is None:
        return []
    chosen = f"Chosen: {found.reason} The search took {found.seconds:.0f} s and read no test clip."
    note = " ".join(part for part in (chosen, found.warning, *found.notes) if part)
    return [ReportTable(title="Candidates, by cross-validation", note=note, head=SEARCH_HEAD, rows=found.rows())]


def _retrieval_parts(folder: Path, config: RunConfig, content: dict[str, Any]) -> dict[str, Any]:
    from side4video.tasks.retrieval.data import read_caption_data
    from side4video.tasks.retrieval.scores import RetrievalEvaluation

    evaluation = RetrievalEvaluation.from_json(content)
    found = evaluation.scores
    test = read_caption_data(config.data.model_copy(update={"train": None})).test
    videos = {video.name: video for video in test.videos} if test else {}
    sampling = build_sampling(config.data)
    wrong = [query for query in evaluation.queries if query.best[0] != query.video][:SHOWN_WRONG]
    right = [query for query in evaluation.queries if query.best[0] == query.video][:SHOWN_RIGHT]
    examples = []
    for query in (*wrong, *right):
        best = query.best[0]
        examples.append(_example(query.caption, videos.get(best), best, None, query.video, sampling, config))
    split = f" ({evaluation.split})" if evaluation.split else ""
    unread = _describe_unread(evaluation.unread)
    withheld = _withheld_reason(config, evaluation.num_videos, evaluation.unread)
    return {
        "summary": (
            f"{withheld}{config.about} Evaluated on {evaluation.num_videos} videos and {evaluation.num_captions} "
            f"captions of {evaluation.source}{split}.{unread} {' '.join(evaluation.definitions())} "
            "The film strips show the best video for a caption."
        ).strip(),
        "scores": {}
        if withheld
        else compare_frozen_and_trained(folder)
        | {
            "text to video: R@5": found.text_to_video.recall_at_5,
            "text to video: R@10": found.text_to_video.recall_at_10,
            "video to text: R@1": found.video_to_text.recall_at_1,
            "video to text: R@5": found.video_to_text.recall_at_5,
            "video to text: R@10": found.video_to_text.recall_at_10,
        },
        "examples": [example for example in examples if example is not None],
    }


def _withheld_reason(config: RunConfig, num_read: int, unread: Sequence[UnreadVideo]) -> str:
    """Return the reason why no score is shown, as a sentence with a space; empty if scores are shown."""
    withheld = withheld_scores_reason(num_read=num_read, num_unread=len(unread), max_unread=config.eval.max_unread)
    return "" if withheld is None else f"{withheld} "


def _describe_unread(videos: Sequence[UnreadVideo]) -> str:
    return f" {len(videos)} more videos could not be read." if videos else ""


def changed_settings(config: RunConfig) -> dict[str, Any]:
    """Return the settings that differ from the defaults, by flag name."""
    changed = config.model_dump(mode="json", exclude_defaults=True, exclude={"about"})
    flat: dict[str, Any] = {}
    for name, value in changed.items():
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def training_charts(log: Sequence[dict[str, Any]]) -> list[Chart]:
    """Return charts of the logged losses, scores and learning rates over the steps of a run."""

    def line(kind: str, name: str) -> tuple[list[float], list[float]]:
        entries = [entry for entry in log if entry["kind"] == kind]
        entries = [entry for entry in entries if name in entry]
        return [entry["step"] for entry in entries], [entry[name] for entry in entries]

    charts = [
        Chart(title="Loss", lines={"training": line("train", "loss")}, x_label="step", y_label="cross-entropy"),
        Chart(
            title="Top-1",
            lines={"training": line("train", "train_top1"), "evaluation": line("evaluation", "top1")},
            x_label="step",
            y_label="share of clips",
        ),
        Chart(
            title="mAP",
            lines={
                name: line("evaluation", key)
                for name, key in (("mean of classes", "mAP"), ("all labels", "micro_mAP"))
                if line("evaluation", key)[0]
            },
            x_label="step",
            y_label="average precision",
        ),
        Chart(
            title="Recall at 1",
            lines={
                name: line("evaluation", key)
                for name, key in (("text to video", "t2v_r1"), ("video to text", "v2t_r1"))
            },
            x_label="step",
            y_label="share of queries",
        ),
        Chart(title="Learning rate", lines={"rate": line("train", "lr")}, x_label="step", y_label="learning rate"),
    ]
    return [chart for chart in charts if any(x for x, _ in chart.lines.values())]


def _examples(
    config: RunConfig, evaluation: Evaluation | MultiLabelEvaluation, predictor: Predictor | None
) -> list[ClipExample]:
    data = read_data(config.data, seed=config.seed)
    videos = {video.name: video for video in as_evaluated(data.test, config.data)} if data.test else {}
    sampling = build_sampling(config.data)
    wrong = [prediction for prediction in evaluation.predictions if not prediction.right]
    right = _alternate_classes(prediction for prediction in evaluation.predictions if prediction.right)
    shown = [*wrong[:SHOWN_WRONG], *islice(right, SHOWN_RIGHT)]
    examples = []
    for one in shown:
        video = videos.get(one.name)
        if isinstance(one, SeveralPrediction):
            answer, truth = as_one_class(one, evaluation.class_names)
            example = _example(one.name, video, answer, None, truth, sampling, config)
        else:
            example = _example(one.name, video, one.classes[0], one.scores[0], one.label, sampling, config)
        if example is not None:
            assert video is not None
            plain = predictor is None or isinstance(one, SeveralPrediction)  # a heat map shows one class
            examples.append(example if plain or predictor is None else _explained(example, video, predictor))
    return examples


def _explained(example: ClipExample, video: LabelledVideo, predictor: Predictor) -> ClipExample:
    """Add the evidence for the predicted class, and for the true class if it differs."""
    classes = dict.fromkeys(name for name in (example.predicted_class, example.true_class) if name is not None)
    return replace(example, explanation=predictor.explain(video, classes=tuple(classes)))


def _alternate_classes(
    predictions: Iterable[Prediction | SeveralPrediction],
) -> Iterable[Prediction | SeveralPrediction]:
    """Order predictions so that each class appears once before any appears twice."""

    def labels(one: Prediction | SeveralPrediction) -> str:
        return str(one.labels if isinstance(one, SeveralPrediction) else one.label)

    by_class = [list(group) for _, group in groupby(sorted(predictions, key=labels), labels)]
    for place in range(max(map(len, by_class), default=0)):
        yield from (group[place] for group in by_class if place < len(group))


def _example(
    name: str,
    video: LabelledVideo | None,
    answer: str,
    score: float | None,
    truth: str | None,
    sampling: FrameSampling,
    config: RunConfig,
) -> ClipExample | None:
    if video is None:
        return None
    span: dict[str, Any] = {"start_seconds": video.start_seconds, "end_seconds": video.end_seconds}
    try:
        with open_video(video.path, frame_template=config.data.frame_template, fps=config.data.fps, **span) as file:
            frames = file.read(sampling.test(file.num_frames, 1)[0])
    except VideoError:
        return None  # the file was removed or changed after it was scored
    return ClipExample(
        name=name,
        frames=(frames.flip(0) if video.reverse else frames).permute(0, 2, 3, 1).numpy(),
        predicted_class=answer,
        score=score,
        true_class=truth,
    )
