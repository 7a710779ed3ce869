"""The command `predict`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from side4video.commands.engine import ChosenEngine, EngineName, RayOptions, check_started_once, choose_engine
from side4video.commands.inputs import is_one_file
from side4video.commands.live import is_live, print_live
from side4video.commands.moment_output import MomentOutput
from side4video.commands.timelines import check_timeline_files, print_timelines
from side4video.parameters import check_count, check_number
from side4video.timeline.timeline import TimelineSettings

if TYPE_CHECKING:
    from side4video.config import BackboneConfig


@dataclass(frozen=True)
class PredictArguments:
    """Classify videos, or with --text rank them by how well a sentence describes them.

    Examples:
        >>> tyro.cli(PredictArguments, args=["adapter", "clip.mp4", "--top-k", "1"]).top_k
        1
    """

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is used), or name on the Hugging Face hub: user/name."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders and glob patterns; or one live stream: rtsp://..., http://..., /dev/video0, - (stdin)."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths, or names of files and folders, to leave out: "*/drafts/*" "*.part.mp4"."""
    text: tuple[str, ...] = ()
    """Sentences to rank the videos by; requires an adapter trained for retrieval."""
    top_k: int | None = None
    """Number of classes per video, or of videos per sentence. Default: 5; for adapters of several labels every class
    that reaches its threshold."""
    clips: int = 1
    """Clips per video; their scores are averaged."""
    crops: int = 1
    """Crops per clip: 1, 3, 5 or 10."""
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    engine: EngineName = "local"
    """local: this process with its loader processes; ray: several GPUs and machines of a Ray cluster, the one at
    RAY_ADDRESS or this machine (extra `ray`)."""
    ray: RayOptions = field(default_factory=RayOptions)
    json: Path | None = None
    """Also write the predictions to this file. Of a live stream: a JSON object per line, - for standard output."""
    explain: Path | None = None
    """Folder for a page and a JSON file per video with heat maps: where and when the model looked."""
    timeline: bool = False
    """Find which classes long videos show, and when."""
    windows: tyro.conf.OmitArgPrefixes[TimelineSettings] = field(default_factory=TimelineSettings)
    out: Path | None = None
    """With --timeline: folder for each video's timeline as .json, .csv, .vtt, .srt and .html with the player."""
    moments: tyro.conf.OmitArgPrefixes[MomentOutput] = field(default_factory=MomentOutput)
    reconnect_seconds: float = 30.0
    """How long to try again when a network stream breaks. 0: it ends then."""


def predict(arguments: list[str]) -> int:
    """Run `side4video predict`; returns the exit code."""
    given = tyro.cli(PredictArguments, prog="side4video predict", args=arguments)

    if given.top_k is not None:
        check_count(given.top_k, "top_k")
    check_number(given.reconnect_seconds, "reconnect_seconds", minimum=0)
    live = [address for address in given.videos if is_live(address)]
    from side4video.data.loading.worker_processes import prestart_workers

    reads_here = given.engine == "local" and not (given.timeline or live or is_one_file(given.videos))
    prestart_workers(workers=None if reads_here else 0)
    check_started_once()

    from side4video.adapters.adapter import read_adapter
    from side4video.inference.inputs import expand_inputs

    config = read_adapter(given.adapter).config
    task = config.task
    if (task == "retrieval") != bool(given.text):
        remedy = "give --text with sentences to search for" if task == "retrieval" else "leave out --text"
        raise ValueError(f"{given.adapter} was trained for {task}: {remedy}.")
    if given.timeline and (given.text or given.explain is not None):
        raise ValueError("--timeline names classes over time: leave out --text and --explain.")
    if given.explain is not None and given.text:
        raise ValueError("--explain explains the best class: leave out --text.")
    if given.timeline:
        given.windows.check()
        given.moments.check()
    elif given.out is not None or given.moments.needs_times or (not live and given.windows != TimelineSettings()):
        raise ValueError("--out, --cut, --edit-list and the settings of windows need --timeline.")
    if given.moments.csv is not None and (live or given.text):
        raise ValueError("--csv is for the classes of video files: leave it out, or use --json.")
    if given.engine == "ray" and (live or given.explain is not None):
        raise ValueError("--engine ray is for the classes, timelines and ranking of video files: leave it out here.")
    if live:
        return _watch(given, live)
    paths = list(expand_inputs(given.videos, exclude=given.exclude))
    if given.out is not None:
        check_timeline_files(given.out, paths)
    if given.explain is not None:
        from side4video.reports.explanation_page import check_explanation_files

        check_explanation_files(given.explain, paths)
    with choose_engine(given.engine, given.ray, device=given.device) as engine:
        run = _rank if given.text else _classify
        return run(given, paths, engine, config.backbone)


def _watch(given: PredictArguments, live: list[str]) -> int:
    """Print what a live stream shows now."""
    if len(given.videos) > 1 or given.text or given.timeline or given.explain is not None:
        raise ValueError(f"{live[0]} is a live stream: give it alone, without --text, --timeline and --explain.")
    from side4video.inference.predictor import TOP_K, Predictor

    given.windows.check()
    predictor = Predictor(given.adapter, backbone_weights=given.backbone_weights, device=given.device)
    return print_live(
        predictor,
        live[0],
        settings=given.windows,
        top_k=given.top_k or TOP_K,
        reconnect_seconds=given.reconnect_seconds,
        lines=given.json,
    )


def _classify(given: PredictArguments, paths: list[Path], engine: ChosenEngine, backbone: "BackboneConfig") -> int:
    """Print the best classes of each video."""
    from side4video.atomic_files import write_json
    from side4video.inference.predictor import Predictor
    from side4video.tasks.unread import UnreadVideo

    predictor = Predictor(
        given.adapter,
        backbone_weights=given.backbone_weights,
        device=engine.device,
        dtype=engine.dtype(lambda: backbone),
        num_clips=given.clips,
        num_crops=given.crops,
    )
    if given.timeline:
        return print_timelines(
            predictor,
            paths,
            settings=given.windows,
            out=given.out,
            json=given.json,
            output=given.moments,
            cluster=engine.ray,
        )

    predictions, failures = [], []
    answers: dict[Path, str] = {}
    rows: list[tuple[Path, str, float]] = []
    found_classes = predictor.predict_videos(paths, top_k=given.top_k, engine=engine.ray)
    for path, found in zip(paths, found_classes, strict=True):
        if isinstance(found, UnreadVideo):
            failures.append({"path": str(path), "reason": found.reason})
            print(f"{path}: {found.reason}", file=sys.stderr)
            continue
        named = ", ".join(f"{best.name} {best.score:.1%}" for best in found.classes)
        print(f"{path}: {named or 'no class reaches its threshold'} ({found.seconds:.2f} s)")
        classes = [
            {"name": best.name, "score": best.score} | ({} if best.threshold is None else {"threshold": best.threshold})
            for best in found.classes
        ]
        rows += [(path, best.name, best.score) for best in found.classes]
        if found.classes:
            answers[path] = found.classes[0].name
        predictions.append({"path": str(path), "classes": classes, "seconds": found.seconds})
    if given.json is not None:
        write_json(given.json, {"predictions": predictions, "unread": failures})
    if given.moments.csv is not None:
        from side4video.moments.tables import write_labels

        write_labels(given.moments.csv, rows)
        print(f"written to {given.moments.csv}")
    if given.explain is not None:
        from side4video.reports.explanation_page import write_explanations

        write_explanations(predictor, answers, given.explain, videos=paths)
    return 1 if failures else 0


def _rank(given: PredictArguments, paths: list[Path], engine: ChosenEngine, backbone: "BackboneConfig") -> int:
    """Print the best videos for each sentence."""
    from side4video.atomic_files import write_json
    from side4video.inference.embedder import Embedder

    embedder = Embedder(
        given.adapter,
        backbone_weights=given.backbone_weights,
        device=engine.device,
        dtype=engine.dtype(lambda: backbone),
    )
    videos = embedder.embed_videos(paths, engine=engine.ray)
    found = embedder.rank(given.text, videos, top_k=given.top_k or 5)
    for text, best in zip(given.text, found, strict=True):
        print(text)
        for place, (path, score) in enumerate(best, start=1):
            print(f"  {place}. {path} {score:.3f}")
    for failure in videos.unread:
        print(f"{failure.name}: {failure.reason}", file=sys.stderr)
    if given.json is not None:
        queries = [
            {"text": text, "videos": [{"path": path, "score": score} for path, score in best]}
            for text, best in zip(given.text, found, strict=True)
        ]
        unread = [{"path": failure.name, "reason": failure.reason} for failure in videos.unread]
        write_json(given.json, {"queries": queries, "unread": unread})
    return 1 if videos.unread else 0
