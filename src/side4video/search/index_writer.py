"""Changes of an index, written now and then, with the metadata that belongs to each video."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from side4video.search.changes import Changes
from side4video.search.stores.records import IndexedFile, Metadata, Window
from side4video.search.stores.store import Store
from side4video.search.window_clips import file_state
from side4video.tasks.unread import UnreadVideo

COMMIT_SECONDS = 10.0
"""Between two times of writing: work that a killed process loses at most, beside the videos it was at."""
COMMIT_WINDOWS = 4096
"""Windows that are written together at most; 50 MB of 12 x 512 numbers in 16 bits."""


class IndexWriter:
    """Writes changes of an index; videos get the metadata that belongs to them.

    Args:
        store: of the index.
        indexed: its videos before.
        metadata: what a CSV says, by path; None: there is none, and videos keep what they have.
        commit_seconds: between two times of writing.
    """

    def __init__(
        self,
        store: Store,
        indexed: Mapping[str, IndexedFile],
        metadata: Mapping[str, Metadata] | None,
        *,
        commit_seconds: float,
    ) -> None:
        self._store, self._indexed, self._metadata = store, indexed, metadata
        self._commit_seconds = commit_seconds
        self._windows: list[Window] = []
        self._paths: list[str] = []
        self._written = time.monotonic()

    def write_known(self, changes: Changes) -> None:
        """Everything for which nothing has to be embedded, but removals.

        What turns out not to be known any more is among what `changes` has to embed then: of files that have exchanged
        their names, one may be written before it is read for the other.
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
        changes.embed_instead(lost)
        if self._metadata is None:
            return
        about = (changes.there | self._metadata.keys()) & self._indexed.keys()
        said = {path: self._metadata_of(path) for path in about}
        if other := {path: new for path, new in said.items() if dict(new) != dict(self._indexed[path].metadata)}:
            self._store.set_metadata(other)

    def write_repeated(self, repeated: Mapping[str, str], unread: Iterable[UnreadVideo]) -> list[UnreadVideo]:
        """Files with the content of another that was embedded now; returns those that could not be written."""
        reasons = {video.name: video.reason for video in unread}
        failed = [UnreadVideo(path, reasons[source]) for path, source in repeated.items() if source in reasons]
        readable = {path: source for path, source in repeated.items() if source not in reasons}
        for path, windows in self._windows_of(readable):
            try:
                state = file_state(Path(path))
            except OSError as error:
                failed.append(UnreadVideo(path, f"it cannot be read ({error.strerror})."))
                continue
            if windows:
                self._add_copy(path, windows, state)
            else:
                failed.append(
                    UnreadVideo(path, f"{readable[path]}, of the same content, has left the index meanwhile.")
                )
        self.flush()
        return failed

    def remove(self, paths: Sequence[str]) -> None:
        """Forget videos."""
        if paths:
            self._store.replace(paths, [])

    def add(self, file: IndexedFile, windows: Sequence[Window], *, like: str | None = None) -> None:
        """Take a video in, with metadata, which may be that of another that it is `like`; written now and then."""
        file = replace(file, metadata=self._metadata_of(file.path, like))
        self._paths.append(file.path)
        self._windows += [replace(window, file=file) for window in windows]
        if len(self._windows) >= COMMIT_WINDOWS or time.monotonic() - self._written >= self._commit_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what was taken in."""
        if self._paths:
            self._store.replace(self._paths, self._windows)
        self._paths, self._windows, self._written = [], [], time.monotonic()

    def _metadata_of(self, path: str, like: str | None = None) -> Metadata:
        """What the CSV says of a video; without a CSV what the index knows of it, or of `like`."""
        if self._metadata is not None:
            return self._metadata.get(path, {})
        known = self._indexed.get(path) or self._indexed.get(like or "")
        return known.metadata if known else {}

    def _windows_of(self, sources: Mapping[str, str]) -> Iterator[tuple[str, list[Window]]]:
        """Paths, and the windows in the index of the file that each has for its source."""
        return zip(sources, self._store.windows_of(list(sources.values())), strict=True)

    def _add_copy(self, path: str, windows: Sequence[Window], state: tuple[int, int]) -> None:
        size, modified = state
        source = windows[0].file
        self.add(replace(source, path=path, size=size, modified=modified), windows, like=source.path)
