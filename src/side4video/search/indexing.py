"""Making an index, and bringing it up to the videos on disk: what `side4video index` does."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from side4video.data.loading.loader import TIMEOUT_SECONDS
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.distributed.processes import (
    WAIT_MINUTES,
    gather_objects,
    is_main_process,
    joined_processes,
    num_processes,
    process_rank,
)
from side4video.search.changes import Changes, find_changes
from side4video.search.embedding import WindowEmbedder
from side4video.search.index_model import IndexModel
from side4video.search.index_writer import COMMIT_SECONDS, IndexWriter
from side4video.search.indexing_report import IndexingReport
from side4video.search.metadata import MetadataFile
from side4video.search.stores.index_locks import indexing_lock
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata
from side4video.search.stores.store import Store
from side4video.search.windows import OVERLAP_SECONDS, WINDOW_SECONDS, check_windows
from side4video.tasks.unread import UnreadVideo
from side4video.training.stopping import StopSignals, TrainingStopped


def settle_info(
    store: Store, model: IndexModel, *, window_seconds: float | None, overlap_seconds: float | None, address: str | Path
) -> IndexInfo:
    """What the index says of itself; where there is none yet, say it.

    Args:
        store: of the index.
        model: that will embed.
        window_seconds, overlap_seconds: None: what the index has, or the defaults.
        address: for errors.

    Raises:
        ValueError: another model made the index, or its windows are others, or the windows do not get on.
    """
    info = store.read_info()
    if info is None:
        window_seconds = WINDOW_SECONDS if window_seconds is None else window_seconds
        overlap_seconds = min(OVERLAP_SECONDS, window_seconds / 2) if overlap_seconds is None else overlap_seconds
        check_windows(window_seconds, overlap_seconds)
        info = model.describe(window_seconds=window_seconds, overlap_seconds=overlap_seconds)
        store.write_info(info)
        return info
    model.check_made(info, address)
    for name, given in (("window_seconds", window_seconds), ("overlap_seconds", overlap_seconds)):
        if given is not None and given != getattr(info, name):
            raise ValueError(
                f"{address} was made with {name} = {getattr(info, name):g}, not {given:g}. Leave that out, or make a "
                "new index in another folder."
            )
    if info.model != model.name:
        info = replace(info, model=model.name)  # the same adapter at another place
        store.write_info(info)
    return info


@dataclass(frozen=True)
class _Plan:
    """What the first process finds out and all go by.

    Attributes:
        info: of the index.
        indexed: its videos before.
        changes: to be made.
        named: metadata by path, where a CSV was given.
        unknown: rows of the CSV that belong to no video.
    """

    info: IndexInfo
    indexed: dict[str, IndexedFile]
    changes: Changes
    named: Mapping[str, Metadata] | None
    unknown: list[str]

    def writer(self, store: Store, commit_seconds: float) -> IndexWriter:
        return IndexWriter(store, self.indexed, self.named, commit_seconds=commit_seconds)


def _make_plan(store: Store, inputs: Sequence[str], info: IndexInfo, metadata: MetadataFile | None) -> _Plan:
    indexed = store.files()
    changes = find_changes(inputs, indexed)
    named, unknown = metadata.match({*indexed, *changes.there}) if metadata else (None, [])
    return _Plan(info, indexed, changes, named, unknown)


def _check_stop(stop: StopSignals) -> None:
    if (number := stop.first_received(stop.counts())) is not None:
        raise TrainingStopped(number, "What was done is saved; the same command goes on from there.")


def _embed_share(
    embedder: WindowEmbedder, writer: IndexWriter, paths: Sequence[str], stop: StopSignals
) -> list[UnreadVideo]:
    """Embed videos and write them; returns those that cannot be read."""
    unread: list[UnreadVideo] = []
    progress = tqdm(
        total=len(paths), desc="index", unit="video", dynamic_ncols=True, disable=not paths or not is_main_process()
    )

    def note(video: UnreadVideo) -> None:
        unread.append(video)
        progress.update()

    with progress:
        try:
            for file, windows in embedder.embed(paths, on_failure=note):
                writer.add(file, windows)
                progress.update()
                _check_stop(stop)
        except (TrainingStopped, LostWorkerError):
            writer.flush()
            raise
        writer.flush()
    return unread


def _write_rest(store: Store, writer: IndexWriter, plan: _Plan, unread: Sequence[UnreadVideo]) -> list[UnreadVideo]:
    """What can be written when all is embedded, and removals; returns further videos that cannot be read."""
    more = writer.write_repeated(plan.changes.repeated, unread)
    outdated = {*plan.changes.embed, *plan.changes.repeated} & plan.indexed.keys()  # another content than the index has
    failed = {video.name for video in (*unread, *more)}
    writer.remove([*plan.changes.gone, *sorted(outdated & failed)])
    store.optimise()
    return more


def _report(store: Store, plan: _Plan, unread: Sequence[UnreadVideo], *, seconds: float) -> IndexingReport:
    changes, failed = plan.changes, {video.name for video in unread}
    return IndexingReport(
        embedded=len([path for path in changes.embed if path not in failed]),
        unchanged=len(changes.unchanged),
        moved=len(changes.touched) + len(changes.copied) + len(set(changes.repeated) - failed),
        removed=len(changes.gone),
        unread=sorted(unread, key=lambda video: video.name),
        unknown=plan.unknown,
        videos=len(store.files()),
        windows=store.count_windows(),
        seconds=seconds,
    )


def update_index(
    store: Store,
    model: IndexModel,
    inputs: Sequence[str],
    *,
    address: str | Path,
    metadata: MetadataFile | None = None,
    window_seconds: float | None = None,
    overlap_seconds: float | None = None,
    workers: int | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    commit_seconds: float = COMMIT_SECONDS,
    timeout_minutes: float = WAIT_MINUTES,
) -> IndexingReport:
    """Bring an index up to the videos that the inputs stand for; resumes where an earlier call was cut off.

    Processes that torchrun or SLURM started together take a share of the new videos each, and all return the same.

    Args:
        store: of the index.
        model: that made it, or will.
        inputs: video files, folders and patterns. What is gone is forgotten below these alone.
        address: of the index.
        metadata: of the videos; those of the inputs that it does not name have none from now on. None: as it was.
        window_seconds, overlap_seconds: as in `settle_info`.
        workers: processes that read videos, of each process that embeds.
        timeout_seconds: that such a process may take for `WINDOWS_TOGETHER` windows of a video.
        commit_seconds: between two times of writing what was embedded.
        timeout_minutes: that one process waits for the others.

    Raises:
        ValueError, FileNotFoundError: the index is of another model, or an input stands for nothing.
        RuntimeError: another command is indexing into the same folder.
        TrainingStopped: a signal asked for the end; what was done is saved.
    """
    started = time.perf_counter()
    with joined_processes(model.device, timeout_minutes=timeout_minutes), StopSignals() as stop, ExitStack() as held:
        plan = None
        if is_main_process():
            held.enter_context(indexing_lock(address))
            info = settle_info(
                store, model, window_seconds=window_seconds, overlap_seconds=overlap_seconds, address=address
            )
            plan = _make_plan(store, inputs, info, metadata)
            _check_stop(stop)
            plan.writer(store, commit_seconds).write_known(plan.changes)
        plan = gather_objects(plan)[0]
        assert plan is not None, "the first process has made one"
        writer = plan.writer(store, commit_seconds)
        embedder = WindowEmbedder(
            model=model,
            window_seconds=plan.info.window_seconds,
            overlap_seconds=plan.info.overlap_seconds,
            workers=workers,
            timeout_seconds=timeout_seconds,
        )
        own = _embed_share(embedder, writer, plan.changes.embed[process_rank() :: num_processes()], stop)
        unread = plan.changes.unread + [video for part in gather_objects(own) for video in part]
        if is_main_process():
            unread += _write_rest(store, writer, plan, unread)
        gather_objects(None)  # what the main process wrote last is there for all
        return _report(store, plan, unread, seconds=time.perf_counter() - started)
