"""Make an index, or update it to the videos on disk: the work of `side4video index`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from side4video.data.loading.engine import Engine
from side4video.data.loading.loader import TIMEOUT_SECONDS
from side4video.parameters import as_list, check_number
from side4video.search.allowed_addresses import remember_addresses
from side4video.search.changes import Changes, addresses_of, find_changes
from side4video.search.index_model import IndexModel
from side4video.search.index_writer import COMMIT_SECONDS, IndexWriter
from side4video.search.indexing_progress import IndexingProgress
from side4video.search.indexing_report import IndexingReport
from side4video.search.metadata import MetadataFile
from side4video.search.outages import OutageWatch, is_from_store
from side4video.search.partial_work import PartialWork, partial_folder
from side4video.search.stores.index_locks import indexing_lock
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata
from side4video.search.stores.store import Store
from side4video.search.subtitle_updates import update_subtitles
from side4video.search.window_clips import CHANGED_WHILE_READ
from side4video.search.window_embedder import WindowEmbedder
from side4video.search.windows import OVERLAP_SECONDS, WINDOW_SECONDS, check_windows
from side4video.tasks.unread import UnreadVideo
from side4video.training.stopping import StopSignals, TrainingStopped
from side4video.video.decoding import VideoCache
from side4video.video.remote import StoreError


def read_or_create_info(
    store: Store, model: IndexModel, *, window_seconds: float | None, overlap_seconds: float | None, address: str | Path
) -> IndexInfo:
    """Read the description of an index, or write it if the index is new.

    Args:
        store: the store of the index.
        model: the model that computes the embeddings.
        window_seconds: length of windows; None: the value of the index, or the default for a new one.
        overlap_seconds: overlap of windows; None: the value of the index, or the default for a new one.
        address: address of the index, for errors.

    Raises:
        ValueError: another model made the index, it has other windows, or the window settings contradict each other.
    """
    info = store.read_info()
    if info is None:
        window_seconds = WINDOW_SECONDS if window_seconds is None else window_seconds
        overlap_seconds = min(OVERLAP_SECONDS, window_seconds / 2) if overlap_seconds is None else overlap_seconds
        check_windows(window_seconds, overlap_seconds)
        info = model.describe(window_seconds=window_seconds, overlap_seconds=overlap_seconds)
        store.write_info(info)
        return info
    model.check_fingerprint(info, address)
    for name, given in (("window_seconds", window_seconds), ("overlap_seconds", overlap_seconds)):
        if given is not None and given != getattr(info, name):
            raise ValueError(
                f"{address} was made with {name} = {getattr(info, name):g}, not {given:g}. Omit this option, or make a "
                "new index in another folder."
            )
    if info.model != model.name:
        info = replace(info, model=model.name)  # the same adapter at another path
        store.write_info(info)
    return info


@dataclass(frozen=True)
class _Plan:
    """The plan of an update.

    Attributes:
        info: description of the index.
        indexed: the videos of the index before the update.
        changes: the changes to make.
        metadata: metadata by path; None: no CSV was given.
        unknown: rows of the CSV that do not match any video.
    """

    info: IndexInfo
    indexed: dict[str, IndexedFile]
    changes: Changes
    metadata: Mapping[str, Metadata] | None
    unknown: list[str]

    def writer(self, store: Store, commit_seconds: float, partial: PartialWork | None = None) -> IndexWriter:
        return IndexWriter(store, self.indexed, self.metadata, commit_seconds=commit_seconds, partial=partial)

    def embedder(
        self,
        model: IndexModel,
        partial: PartialWork,
        *,
        workers: int | None,
        timeout_seconds: float,
        engine: Engine | None,
    ) -> WindowEmbedder:
        return WindowEmbedder(
            model=model,
            window_seconds=self.info.window_seconds,
            overlap_seconds=self.info.overlap_seconds,
            workers=workers,
            timeout_seconds=timeout_seconds,
            cache=VideoCache(partial.folder / "frame-tables"),
            engine=engine,
        )


def _make_plan(
    store: Store,
    inputs: Sequence[str],
    info: IndexInfo,
    metadata: MetadataFile | None,
    *,
    exclude: Sequence[str],
    root: str | Path | None,
) -> _Plan:
    indexed = store.files()
    changes = find_changes(inputs, indexed, exclude=exclude, root=root)
    remaining = {*indexed, *changes.all_paths} - {*changes.gone}
    by_path, unknown = metadata.match(remaining) if metadata else (None, [])
    return _Plan(info, indexed, changes, by_path, unknown)


def _check_stop(stop: StopSignals) -> None:
    if (number := stop.first_received(stop.counts())) is not None:
        raise TrainingStopped(
            number, "Finished work is saved, also inside long videos. Run the same command again to continue."
        )


@dataclass(frozen=True)
class _Embedded:
    """What was done: the videos that could not be read, and the number of windows found from earlier runs."""

    unread: list[UnreadVideo]
    num_resumed: int


def _embed(embedder: WindowEmbedder, writer: IndexWriter, paths: Sequence[str], stop: StopSignals) -> _Embedded:
    """Embed videos and write them."""
    unread: list[UnreadVideo] = []
    watch = OutageWatch()
    started = writer.resume(paths)
    known = {file.path for file, _, _ in started}
    with IndexingProgress(len(paths), silent=not paths) as progress:

        def note(video: UnreadVideo) -> None:
            unread.append(video)
            writer.drop(video.name)
            progress.failed(video.name)
            watch.failed(video)

        for file, num_windows, num_done in started:
            progress.opened(file.path, num_windows=num_windows, num_done=num_done)
        try:
            new = [path for path in paths if path not in known]
            for part in embedder.embed_parts(new, on_failure=note, started=started):
                watch.answered(part.file.path)
                if part.windows:
                    writer.add_part(part)
                    progress.embedded(part.file.path, len(part.windows))
                else:
                    progress.opened(part.file.path, num_windows=part.num_windows)
                _check_stop(stop)
        except (TrainingStopped, RuntimeError, StoreError):  # RuntimeError: lost loader processes or machines
            writer.flush()
            _check_stop(stop)  # a signal to all processes ends the server of loader processes first
            raise
        writer.flush()
    return _Embedded(unread, sum(num_done for _, _, num_done in started))


def _write_duplicates_and_removals(
    writer: IndexWriter, plan: _Plan, unread: Sequence[UnreadVideo]
) -> list[UnreadVideo]:
    """Write duplicates and removals after all videos are embedded; return further videos that cannot be read."""
    more = writer.write_repeated(plan.changes.repeated, unread)
    outdated = {*plan.changes.embed, *plan.changes.repeated} & plan.indexed.keys()  # their indexed content is outdated
    failed = {
        video.name
        for video in (*unread, *more)
        if video.reason != CHANGED_WHILE_READ and not is_from_store(video)  # else the file may be intact
    }
    writer.remove([*plan.changes.gone, *sorted(outdated & failed)])
    return more


def _finish(store: Store, writer: IndexWriter, plan: _Plan, done: _Embedded) -> IndexingReport:
    """Write what depends on all embedded videos; report without `seconds`."""
    unread = plan.changes.unread + done.unread
    unread += _write_duplicates_and_removals(writer, plan, unread)
    subtitles = update_subtitles(store, plan.changes.all_paths)
    store.optimise()
    writer.forget_partial_work()
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
        with_subtitles=subtitles.videos,
        unread_subtitles=subtitles.unread,
        windows_1252=subtitles.windows_1252,
        resumed_windows=done.num_resumed,
    )


def update_index(
    store: Store,
    model: IndexModel,
    inputs: str | Sequence[str],
    *,
    address: str | Path,
    metadata: MetadataFile | None = None,
    exclude: Sequence[str] = (),
    root: str | Path | None = None,
    window_seconds: float | None = None,
    overlap_seconds: float | None = None,
    workers: int | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    commit_seconds: float = COMMIT_SECONDS,
    engine: Engine | None = None,
) -> IndexingReport:
    """Update an index to the videos that the inputs match, and to their subtitles. An interrupted update resumes.

    Args:
        store: the store of the index, whose address is `address`.
        model: the model that made the index, or that makes it now.
        inputs: video files, folders and glob patterns, also at addresses, and lists of videos. Missing videos are
            removed from the index only below these.
        metadata: metadata of the videos; videos of the inputs without a row lose theirs. None: leave it unchanged.
        exclude: patterns of files that are not indexed, see `expand_inputs`.
        root: base folder of the names in lists; names outside of it are an error. See `list_paths`.
        window_seconds, overlap_seconds: length and overlap of windows, see `read_or_create_info`.
        workers: number of reader processes.
        timeout_seconds: limit for a reader process per `WINDOWS_PER_READ` windows of a video.
        commit_seconds: interval between writes.
        engine: where videos are read and embedded. Default: in this process, with `workers`. The index is written by
            this process in any case.

    Raises:
        ValueError: another model made the index, or its window settings differ.
        FileNotFoundError: an input matches no video.
        StoreError: a store of videos stopped answering; the finished work is saved.
        RuntimeError: another command is indexing into the same folder, or the workers of the engine were lost; the
            finished work is saved.
        TrainingStopped: a signal stopped the update; the finished work is saved.
    """
    started, inputs = time.perf_counter(), as_list(inputs)
    check_number(timeout_seconds, "timeout_seconds", above=0)
    check_number(commit_seconds, "commit_seconds", minimum=0)
    with StopSignals() as stop, indexing_lock(address):
        windows = {"window_seconds": window_seconds, "overlap_seconds": overlap_seconds}
        info = read_or_create_info(store, model, address=address, **windows)
        plan = _make_plan(store, inputs, info, metadata, exclude=exclude, root=root)
        _check_stop(stop)
        remember_addresses(address, addresses_of(inputs, root))
        plan.writer(store, commit_seconds).write_known(plan.changes)
        partial = PartialWork(partial_folder(address), plan.info)
        writer = plan.writer(store, commit_seconds, partial)
        embedder = plan.embedder(model, partial, workers=workers, timeout_seconds=timeout_seconds, engine=engine)
        report = _finish(store, writer, plan, _embed(embedder, writer, plan.changes.embed, stop))
        return replace(report, seconds=time.perf_counter() - started)
