"""Write changes to an index at intervals, with the metadata of each video."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from side4video.search.changes import Changes
from side4video.search.file_states import reason_of, state_of_file
from side4video.search.partial_work import PartialWork
from side4video.search.stores.records import IndexedFile, Metadata, Window
from side4video.search.stores.store import Store
from side4video.search.window_embedder import EmbeddedPart
from side4video.tasks.unread import UnreadVideo

COMMIT_SECONDS = 10.0
"""Interval between writes: a killed process loses at most this much work, plus the windows that are being read."""
OPTIMISE_WINDOWS = 500_000
"""During an update of days, files are compacted and search is sped up when so many windows were written, and then
whenever the number of windows has doubled."""
COMMIT_WINDOWS = 4096
"""Maximum number of windows per write: 50 MB with 12 x 512 numbers of 16 bits each."""


@dataclass
class _Incomplete:
    """A video that is partly embedded. Of its embedded windows, the first `num_saved` are on disk."""

    file: IndexedFile
    num_windows: int
    windows: list[Window]
    num_saved: int


class IndexWriter:
    """Writes changes to an index and adds the metadata of each video.

    Args:
        store: the store of the index.
        indexed: the videos of the index before the update.
        metadata: metadata from a CSV by path; None: no CSV was given, videos keep their metadata.
        commit_seconds: interval between writes.
        partial: where the windows of incomplete videos are written. None: they are lost if the process ends.

    >>> import shutil
    >>> from side4video.search.stores.open_store import open_store
    >>> store = open_store(shutil.copytree("index", "written"))
    >>> cameras = {path: {"camera": "north"} for path in store.files()}
    >>> writer = IndexWriter(store, store.files(), cameras, commit_seconds=10)
    >>> writer.write_known(Changes(unchanged=list(cameras)))
    >>> [dict(file.metadata) for file in store.files().values()] == list(cameras.values())
    True
    """

    def __init__(
        self,
        store: Store,
        indexed: Mapping[str, IndexedFile],
        metadata: Mapping[str, Metadata] | None,
        *,
        commit_seconds: float,
        partial: PartialWork | None = None,
    ) -> None:
        self._store, self._indexed, self._metadata = store, indexed, metadata
        self._commit_seconds, self._partial = commit_seconds, partial
        self._incomplete: dict[str, _Incomplete] = {}
        self._windows: list[Window] = []
        self._paths: list[str] = []
        self._written = time.monotonic()
        self._num_written = 0

    def write_known(self, changes: Changes) -> None:
        """Write all changes that need no embedding, except removals.

        Files whose windows are no longer in the index move to `changes.embed`: if two files have swapped names, one may
        be overwritten before its windows are read for the other.
        """
        sources = {path: (path, state) for path, state in changes.touched.items()} | changes.copied
        lost = []
        for path, windows in self._windows_of({path: source for path, (source, _) in sources.items()}):
            source, state = sources[path]
            if windows and windows[0].file.content == self._indexed[source].content:
                self._add_copy(path, windows, state)
            else:
                lost.append(path)
        self.flush()
        changes.move_to_embed(lost)
        if self._metadata is None:
            return
        known = (changes.all_paths | self._metadata.keys()) & self._indexed.keys()
        metadata = {path: self._metadata_of(path) for path in known}
        if changed := {path: new for path, new in metadata.items() if dict(new) != dict(self._indexed[path].metadata)}:
            self._store.set_metadata(changed)

    def write_repeated(self, repeated: Mapping[str, str], unread: Iterable[UnreadVideo]) -> list[UnreadVideo]:
        """Write copies of files that this update embedded; return the copies that cannot be written."""
        reasons = {video.name: video.reason for video in unread}
        failed = [UnreadVideo(path, reasons[source]) for path, source in repeated.items() if source in reasons]
        readable = {path: source for path, source in repeated.items() if source not in reasons}
        for path, windows in self._windows_of(readable):
            try:
                state = state_of_file(path)
            except OSError as error:
                failed.append(UnreadVideo(path, reason_of(error)))
                continue
            if windows:
                self._add_copy(path, windows, state)
            else:
                failed.append(
                    UnreadVideo(
                        path, f"its content equals {readable[path]}, which was removed from the index meanwhile."
                    )
                )
        self.flush()
        return failed

    def remove(self, paths: Sequence[str]) -> None:
        """Remove videos from the index."""
        if paths:
            self._store.replace(paths, [])

    def add(self, file: IndexedFile, windows: Sequence[Window], *, like: str | None = None) -> None:
        """Add a video with its metadata, or with the metadata of `like`. It is written at the next interval."""
        file = replace(file, metadata=self._metadata_of(file.path, like))
        self._paths.append(file.path)
        self._windows += [replace(window, file=file) for window in windows]
        self._flush_if_due()

    def resume(self, paths: Iterable[str]) -> list[tuple[IndexedFile, int, int]]:
        """Take up what an interrupted update has left: each such video, the number of its windows and of known ones."""
        for path in paths:
            if self._partial is not None and (found := self._partial.find(path)) is not None:
                file, num_windows, windows = found
                self._incomplete[path] = _Incomplete(file, num_windows, windows, len(windows))
        return [(video.file, video.num_windows, video.num_saved) for video in self._incomplete.values()]

    def add_part(self, part: EmbeddedPart) -> None:
        """Add further windows of a video; the video is written to the index when all are there."""
        path = part.file.path
        video = self._incomplete.setdefault(path, _Incomplete(part.file, part.num_windows, [], 0))
        video.windows += part.windows
        if len(video.windows) == video.num_windows:
            del self._incomplete[path]
            self.add(video.file, video.windows)
        else:
            self._flush_if_due()

    def drop(self, path: str) -> None:
        """Forget the windows of a video that cannot be read to its end."""
        self._incomplete.pop(path, None)
        if self._partial is not None:
            self._partial.forget(path)

    def forget_partial_work(self) -> None:
        """Remove the windows of all incomplete videos from disk."""
        if self._partial is not None:
            self._partial.clear()

    def flush(self) -> None:
        """Write all pending windows now: complete videos to the index, windows of others to the partial work."""
        if self._paths:
            self._store.replace(self._paths, self._windows)
            self._num_written += len(self._windows)
            self._optimise_if_due()
        if self._partial is not None:
            for path in self._paths:
                self._partial.forget(path)
            for video in self._incomplete.values():
                if new := video.windows[video.num_saved :]:
                    self._partial.save(video.file, video.num_windows, new)
                    video.num_saved = len(video.windows)
        self._paths, self._windows, self._written = [], [], time.monotonic()

    def _optimise_if_due(self) -> None:
        many = self._num_written >= OPTIMISE_WINDOWS
        if many and 2 * self._num_written >= self._store.count_windows():  # the index has doubled since the last time
            self._num_written = 0
            self._store.optimise()

    def _flush_if_due(self) -> None:
        if len(self._windows) >= COMMIT_WINDOWS or time.monotonic() - self._written >= self._commit_seconds:
            self.flush()

    def _metadata_of(self, path: str, like: str | None = None) -> Metadata:
        """Metadata of a video from the CSV; without a CSV, from the index, for this video or for `like`."""
        if self._metadata is not None:
            return self._metadata.get(path, {})
        known = self._indexed.get(path) or self._indexed.get(like or "")
        return known.metadata if known else {}

    def _windows_of(self, sources: Mapping[str, str]) -> Iterator[tuple[str, list[Window]]]:
        """Each path with the indexed windows of its source file."""
        return zip(sources, self._store.windows_of(list(sources.values())), strict=True)

    def _add_copy(self, path: str, windows: Sequence[Window], state: tuple[int, int]) -> None:
        size, modified = state
        source = windows[0].file
        self.add(replace(source, path=path, size=size, modified=modified), windows, like=source.path)
