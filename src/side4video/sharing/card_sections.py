"""The facts in the sections of a model card: evaluation, data, input, training, licence of the backbone."""

from collections.abc import Iterable
from typing import Any, Literal

from side4video.adapters.adapter import Adapter
from side4video.config import DataConfig
from side4video.tasks.unread import withheld_scores_reason

_OFFICIAL = {
    "kinetics": "Kinetics",
    "ssv1": "Something-Something V1",
    "ssv2": "Something-Something V2",
    "ucf101": "UCF101",
    "hmdb51": "HMDB51",
    "msrvtt": "MSR-VTT",
    "msvd": "MSVD",
    "vatex": "VATEX",
    "didemo": "DiDeMo",
    "activitynet": "ActivityNet Captions",
    "lsmdc": "LSMDC",
}


def withheld_reason(adapter: Adapter) -> str | None:
    """Why scores are withheld if too many videos were unreadable; otherwise None."""
    num_read, num_unread = adapter.scores.get("videos", 0), adapter.scores.get("unread", 0)
    return withheld_scores_reason(num_read=num_read, num_unread=num_unread, max_unread=adapter.config.eval.max_unread)


def dataset_name(data: DataConfig, split: Literal["train", "test"], name: str | None) -> str:
    """The name of a data set: `name`, the official name if the settings have one, or the name of the file.

    >>> dataset_name(DataConfig(train="lists/mine.csv"), "train", name=None)
    'mine.csv'
    """
    path = data.train if split == "train" or data.is_divided else data.test
    return name or _OFFICIAL.get(data.format) or (path.name if path else "") or "not stated"


def evaluation_conditions(adapter: Adapter, dataset: str | None) -> str:
    """The evaluation set and how it was scored, or why scores are withheld; empty without an evaluation."""
    scores = adapter.scores
    if not scores:
        return ""
    if (refused := withheld_reason(adapter)) is not None:
        return refused
    split = f" ({scores['split']})" if scores.get("split") else ""
    captions = f" and {scores['captions']} captions" if "captions" in scores else ""
    views = f", {scores['views']} view{'s' * (scores['views'] != 1)} of each" if "views" in scores else ""
    unread = f" {scores['unread']} more could not be read and are not in the scores." if scores.get("unread") else ""
    name = dataset_name(adapter.config.data, "test", dataset)
    definitions = " ".join(scores.get("definitions", ()))
    sentence = f"Evaluation set: {name}{split}, {scores['videos']} videos{captions}{views}.{unread} {definitions}"
    return f"{sentence.strip()} The best adapter of a run is selected by these scores."


def data_lines(adapter: Adapter, dataset: str | None) -> list[str]:
    """What the adapter was trained on."""
    count = adapter.run.get("train_samples")
    samples = "" if count is None else f", {count} {'samples' if adapter.config.task == 'retrieval' else 'videos'}"
    lines = [f"Trained on: {dataset_name(adapter.config.data, 'train', dataset)}{samples}"]
    if adapter.config.data.arrow_of_time:
        lines.append("Each clip is shown forward and reversed; these are the two classes")
    return lines


def input_rows(adapter: Adapter, preprocessing: dict[str, Any]) -> dict[str, str]:
    """Frames, size and normalisation of the input; `preprocessing` is that part of the adapter's config.json."""
    data = adapter.config.data
    size = preprocessing["image_size"]
    stride = f", {data.stride or 'by default about 128 / T'} frames apart" if data.sampling == "dense" else ""
    resized = _resized(adapter.config.test_resize or round(size * 256 / 224))
    mean, std = (_format_numbers(preprocessing[name]) for name in ("mean", "std"))
    kinds = {"segments": "one from each equal part of the video", "dense": f"neighbouring ones{stride}"}
    return {
        "Frames": f"{data.num_frames}, {kinds[data.sampling]}",
        "Size": f"{resized} ({preprocessing['interpolation']}), then {size} x {size} from the middle",
        "Normalisation of red, green, blue between 0 and 1": f"mean {mean}, deviation {std}",
    }


def _resized(size: int | tuple[int, int]) -> str:
    return (
        f"short side to {size} pixels" if isinstance(size, int) else f"to height {size[0]} and width {size[1]} pixels"
    )


def training_rows(adapter: Adapter) -> dict[str, str]:
    """Precision, batch, duration and memory of the training."""
    run, train = adapter.run, adapter.config.train
    facts = {"Precision": train.precision, "Memory mode": train.memory, "Batch": f"{train.batch} videos"}
    if run:
        hours, minutes = divmod(round(run["seconds"] / 60), 60)
        time = f"{hours} h {minutes} min" if run["seconds"] >= 600 else f"{run['seconds']:.0f} s"
        memory = "GPU memory" if "(" not in run["device"] else "resident memory of the process"
        facts |= {
            "Steps": f"{run['steps']} ({run['epochs']:g} of {train.epochs} epochs)",
            "Time": f"{time}, with evaluations, on {run['device']}",
            "Peak memory": f"{run['peak_memory_mb'] / 1024:.1f} GiB ({memory})",
        }
    return facts


def describe_backbone_license(license: str | None, weights: str) -> str:
    """The licence of the backbone's weights in words.

    >>> describe_backbone_license("mit", weights="hub"), describe_backbone_license(None, weights="random")
    ('mit', 'none (random weights)')
    """
    if weights == "random":
        return "none (random weights)"
    if weights != "hub":
        return "unknown (weights from a file)"
    return license or "unknown to timm, see the source of the weights"


def _format_numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
