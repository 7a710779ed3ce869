"""Writes the model card of an adapter: README.md with the hub's metadata, and a picture of the training curves."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors import safe_open

from side4video.adapters.adapter import CONFIG, WEIGHTS, Adapter, find_adapter, read_adapter
from side4video.adapters.untrusted import without_paths
from side4video.atomic_files import replacing, write_text
from side4video.config import NAMED_WEIGHTS
from side4video.models.backbones.loading import weights_source
from side4video.reports.report_pictures import draw_panels
from side4video.reports.run_report import changed_settings, training_charts
from side4video.sharing.card_sections import (
    data_lines,
    dataset_name,
    describe_backbone_license,
    evaluation_conditions,
    input_rows,
    training_rows,
    withheld_reason,
)
from side4video.training.run_log import read_log

CARD = "README.md"
PICTURE = "training.png"
MARKER = "<!-- Written by side4video. Remove this line, and your own changes of this file are kept. -->"
SHOWN_CLASSES = 60
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_RECOGNITION = {
    "top1": ("top-1 accuracy", "accuracy"),
    "top5": ("top-5 accuracy", "accuracy"),
    "mean_class_accuracy": ("mean of the classes' accuracies", "accuracy"),
    "mAP": ("mean average precision, mean of the classes", "mAP"),
    "micro_mAP": ("mean average precision, all labels together", "mAP"),
}
_RETRIEVAL = {
    f"{short}_r{k}": (f"{direction}, recall at {k}", f"recall_at_{k}")
    for short, direction in (("t2v", "text to video"), ("v2t", "video to text"))
    for k in (1, 5, 10)
}


@dataclass(frozen=True)
class CardFacts:
    """Facts for the card that an adapter's files do not contain.

    Attributes:
        name: `user/name` on the hub; None if not known yet.
        license: the hub's name of a licence, such as "mit"; None if not stated.
        dataset: name of the data set; None: the official name if the settings have one, otherwise the file's name.

    Raises:
        ValueError: the licence is not a valid name on the hub.

    >>> CardFacts(name="user/name", license="mit").license
    'mit'
    """

    name: str | None = None
    license: str | None = None
    dataset: str | None = None

    def __post_init__(self) -> None:
        if self.license is not None and not _LICENSE.fullmatch(self.license):
            remedy = "Use a short name from the hub, such as mit or apache-2.0."
            raise ValueError(f"{self.license!r} is not a licence name on the hub. {remedy}")


def write_model_card(folder: Path, facts: CardFacts = CardFacts()) -> Path:
    """Write the card of an adapter folder or of a run's best adapter, and its picture; returns the card's path.

    A card without the line `MARKER` was edited by hand: only its licence is updated.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: invalid config, or the metadata of the existing card cannot be read.
    """
    folder = find_adapter(folder)
    path = folder / CARD
    if path.is_file():
        before = read_model_card(path)
        license = facts.license or before.data.license  # type: ignore[attr-defined]
        facts = CardFacts(facts.name, license, facts.dataset)
        if MARKER not in before.content:
            before.data.license = license  # type: ignore[attr-defined]
            write_text(path, str(before))
            return path
    picture = _write_picture(folder)
    write_text(path, card_text(folder, facts, picture=picture))
    return path


def read_model_card(path: Path) -> ModelCard:
    """Read a card and its metadata as the hub does.

    Raises:
        ValueError: the metadata cannot be read.
    """
    try:
        return ModelCard(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library passes on any exception of its YAML parser
        raise ValueError(f"{path}: its first lines, between ---, cannot be read as metadata: {error}") from error


def card_text(folder: Path, facts: CardFacts, *, picture: bool) -> str:
    """The card of an adapter folder: metadata and Markdown, without paths of this machine."""
    adapter = read_adapter(folder)
    config = without_paths(adapter.config)
    written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    source = weights_source(config.backbone.name)
    from_hub = config.backbone.weights == "hub"
    named = config.backbone.weights in NAMED_WEIGHTS
    with safe_open(folder / WEIGHTS, "pt") as file:
        sizes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 (no mapping)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {"text": _escape_markdown, "code": _escape_code}
    retrieval = config.task == "retrieval"
    body = environment.get_template("model_card.md.jinja").render(
        title=facts.name or f"{'Text-video retrieval' if retrieval else 'Action recognition'} with side4video",
        name=facts.name or "path/to/this/folder",
        about=config.about,
        retrieval=retrieval,
        backbone=config.backbone,
        probe=config.probe,
        weights_file=None if named else config.backbone.weights,
        fingerprint=adapter.fingerprint,
        backbone_license=describe_backbone_license(source.license, config.backbone.weights),
        num_parameters=sum(map(prod, sizes)),
        num_bytes=(folder / WEIGHTS).stat().st_size,
        class_names=adapter.class_names,
        shown_names=adapter.class_names[:SHOWN_CLASSES],
        scores=_score_rows(adapter),
        conditions=evaluation_conditions(adapter, facts.dataset),
        picture=picture,
        data=data_lines(adapter, facts.dataset),
        input=input_rows(adapter, written["preprocessing"]),
        training=training_rows(adapter),
        settings=changed_settings(config),
        version=written["side4video"],
        license=facts.license,
        marker=MARKER,
    )
    metadata = ModelCardData(
        license=facts.license,
        library_name="side4video",
        pipeline_tag="feature-extraction" if retrieval else "video-classification",
        tags=["side4video", "video", "text-video-retrieval" if retrieval else "action-recognition"],
        base_model=source.repo_id if from_hub else None,
        base_model_relation="adapter" if from_hub and source.repo_id else None,
        model_name=facts.name or "side4video adapter",
        eval_results=_eval_results(adapter, facts) or None,
    )
    return f"---\n{metadata.to_yaml()}\n---\n\n{body}"


def _write_picture(folder: Path) -> bool:
    """Draw the training curves if the adapter is in a run folder; returns whether there is a picture, new or old."""
    charts = training_charts(read_log(folder.parent))
    shown = [chart for chart in charts if chart.title != "Learning rate"]
    if shown:
        panels = {chart.title: (chart.lines, chart.x_label, chart.y_label) for chart in shown}
        with replacing(folder / PICTURE) as temporary:
            temporary.write_bytes(draw_panels(panels))
    return (folder / PICTURE).is_file()


def _metrics(adapter: Adapter) -> Iterable[tuple[str, str, float]]:
    """Label, the hub's metric type, and value 0 to 1 of each score; none if scores are withheld."""
    if withheld_reason(adapter) is not None:
        return
    known = _RETRIEVAL if adapter.config.task == "retrieval" else _RECOGNITION
    for key, (label, kind) in known.items():
        if key in adapter.scores:
            yield label, kind, float(adapter.scores[key])


def _score_rows(adapter: Adapter) -> dict[str, str]:
    return {label: f"{value:.1%}" for label, _, value in _metrics(adapter)}


def _eval_results(adapter: Adapter, facts: CardFacts) -> list[EvalResult]:
    retrieval = adapter.config.task == "retrieval"
    dataset = dataset_name(adapter.config.data, "test", facts.dataset)
    counts: dict[str, Any] = {
        key: adapter.scores[key] for key in ("videos", "captions", "views") if key in adapter.scores
    }
    return [
        EvalResult(
            task_type="feature-extraction" if retrieval else "video-classification",
            task_name="text-video retrieval" if retrieval else "action recognition",
            dataset_type=re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-") or "unnamed",
            dataset_name=dataset,
            dataset_split=adapter.scores.get("split") or None,
            metric_type=kind,
            metric_name=label,
            metric_value=value,
            metric_args=counts or None,
        )
        for label, kind, value in _metrics(adapter)
    ]


def _escape_markdown(text: str) -> str:
    """Escape a text for Markdown, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|&!])", r"\\\1", " ".join(text.split()))


def _escape_code(text: str) -> str:
    """Escape a text for use between two backticks."""
    return " ".join(text.replace("`", "'").split())
