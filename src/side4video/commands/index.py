"""The command `index`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from side4video.commands.engine import EngineName, RayOptions, check_started_once, choose_engine

if TYPE_CHECKING:
    from side4video.search.indexing_report import IndexingReport


@dataclass(frozen=True)
class IndexArguments:
    """Make your videos searchable by words, or update an index to the current videos.

    Subtitles are text tracks of a video, and .srt and .vtt files with its name next to it (film.srt, film.en.vtt).

    Run the same command again to continue an interrupted run, embed new and changed videos, and remove deleted ones.

    Examples:
        >>> tyro.cli(IndexArguments, args=["clips", "--to", "index", "--model", "retrieval"]).videos
        ('clips',)
    """

    videos: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders and glob patterns, also at addresses such as s3://bucket/clips, and lists of videos: .csv,
    .tsv, .txt, .jsonl."""
    to: str
    """The index: a folder, an object-store address such as s3://bucket/name, or qdrant://host:port/name."""
    model: str | None = None
    """A retrieval adapter (its folder, a run folder or a name on the Hugging Face hub), or a plain CLIP model such as
    clip-b16. Default: the model that made the index."""
    metadata: Path | None = None
    """A CSV with a column `path` and further columns to filter by."""
    window_seconds: float | None = None
    """Length of the windows that long videos are cut into. Default: 10."""
    overlap_seconds: float | None = None
    """Overlap of neighbouring windows. Default: half of a window, at most 5."""
    backbone_weights: str | None = None
    """Local weights file of the backbone; for a plain CLIP model, of the complete model."""
    tokenizer: Annotated[Path | None, tyro.conf.arg(name="text.tokenizer")] = None
    """Local tokeniser of a model without an adapter: a tokenizer.json, a SentencePiece model, or a folder with one of
    them. Default: the hub's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    workers: int | None = None
    """Processes that read videos. Default: the number of cores minus one, at most 8."""
    timeout_seconds: float = 300.0
    """Timeout for reading 8 windows of a video; a video that takes longer counts as unreadable."""
    commit_seconds: float = 10.0
    """Time between two commits, also inside a long video. A killed process loses at most this much work."""
    engine: EngineName = "local"
    """local: this process with its loader processes; ray: several GPUs and machines of a Ray cluster, the one at
    RAY_ADDRESS or this machine (extra `ray`)."""
    ray: RayOptions = field(default_factory=RayOptions)
    root: str | None = None
    """Base folder or address of the names in lists of videos; names outside of it are an error. Default: the folder of
    the list, and names may be absolute paths and addresses."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths, or names of files and folders, to leave out: "*/drafts/*" "*.part.mp4"."""
    forget: str | None = None
    """Remove the videos in this folder or whose full path matches this pattern, and index nothing."""
    relocate: tuple[str, str] | None = None
    """OLD NEW: change the folder of indexed videos after it was renamed or moved, and index nothing."""
    json: Path | None = None
    """Also write the result and the unreadable videos to this file."""


def index(arguments: list[str]) -> int:
    """Run `side4video index`; returns the exit code."""
    given = tyro.cli(IndexArguments, prog="side4video index", args=arguments)
    if given.forget is not None or given.relocate is not None:
        return _change_paths(given)
    if not given.videos:
        raise ValueError("usage: side4video index VIDEOS... --to FOLDER --model ADAPTER; give videos.")
    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=given.workers if given.engine == "local" else 0)
    check_started_once()

    from side4video.atomic_files import check_writable
    from side4video.search.index_model import load_index_model, model_config, recorded_model
    from side4video.search.indexing import update_index
    from side4video.search.metadata import read_metadata
    from side4video.search.stores.open_store import open_store

    metadata = read_metadata(given.metadata) if given.metadata else None
    if metadata is not None:
        print(f"{given.metadata}: " + "; ".join(f"{name}: {kind}" for name, kind in metadata.columns.items()))
    if "://" not in given.to:
        check_writable(Path(given.to))
    store = open_store(given.to, create=True)
    try:
        info = store.read_info()
        model = given.model or (recorded_model(info, given.to) if info else None)
        if model is None:
            raise ValueError(
                f"{given.to} is not an index yet: choose the model that makes it, --model ADAPTER or --model clip-b16."
            )
        with choose_engine(given.engine, given.ray, device=given.device) as engine:
            report = update_index(
                store,
                load_index_model(
                    model,
                    backbone_weights=given.backbone_weights,
                    tokenizer=given.tokenizer,
                    device=engine.device,
                    dtype=engine.dtype(lambda: model_config(model).backbone),
                ),
                given.videos,
                address=given.to,
                metadata=metadata,
                exclude=given.exclude,
                root=given.root,
                window_seconds=given.window_seconds,
                overlap_seconds=given.overlap_seconds,
                workers=given.workers,
                timeout_seconds=given.timeout_seconds,
                commit_seconds=given.commit_seconds,
                engine=engine.ray,
            )
    finally:
        store.close()
    return _print_report(report, given)


def _print_report(report: "IndexingReport", given: IndexArguments) -> int:
    """Print what changed and what could not be read, write it to a file, and return the exit code."""
    from side4video.atomic_files import write_json
    from side4video.checking.escaping import escape_unprintable
    from side4video.data.lists.text_files import first_few

    for video in (*report.unread, *report.unread_subtitles):
        print(f"not read: {escape_unprintable(video.name)}: {escape_unprintable(video.reason)}", file=sys.stderr)
    for name in report.unknown:
        print(f"{given.metadata}: {name!a} is not a video of the index.", file=sys.stderr)
    print(
        f"{report.embedded} embedded, {report.unchanged} unchanged, {report.moved} moved or copied, "
        f"{report.removed} removed, {len(report.unread)} not read, in {report.seconds:.1f} s"
    )
    if report.resumed_windows:
        print(f"{report.resumed_windows} windows were embedded by an interrupted run")
    if report.windows_1252:
        names = escape_unprintable(first_few(report.windows_1252))
        print(f"not in Unicode, read as Windows-1252: {names}", file=sys.stderr)
    subtitles = f", {report.with_subtitles} with subtitles" if report.with_subtitles else ""
    print(f"{report.videos} videos in {report.windows} windows{subtitles}: {given.to}")
    if given.json is not None:
        write_json(given.json, report.to_json())
    return 1 if report.unread or report.unread_subtitles else 0


def _change_paths(given: IndexArguments) -> int:
    """Remove videos from the index, or change their paths; needs no model."""
    if given.videos:
        raise ValueError("--forget and --relocate change an index alone: leave out the videos.")

    from side4video.search.allowed_addresses import remember_addresses
    from side4video.search.path_changes import forget, relocate
    from side4video.search.stores.index_locks import indexing_lock
    from side4video.search.stores.open_store import open_store

    store = open_store(given.to)
    try:
        with indexing_lock(given.to):
            if given.relocate is not None:
                print(f"{len(relocate(store, *given.relocate))} videos have a new path: {given.to}")
                remember_addresses(given.to, given.relocate[1:])
            if given.forget is not None:
                print(f"{len(forget(store, given.forget))} videos removed: {given.to}")
    finally:
        store.close()
    return 0
