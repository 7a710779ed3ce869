"""Store windows in Qdrant: on a server or a cluster, or in a folder without a server, for tests."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from side4video.search.stores.batched_reads import read_in_batches
from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter
from side4video.search.stores.qdrant_clients import close_folder, connect, open_folder
from side4video.search.stores.qdrant_points import (
    FILE_FIELDS,
    INFO_ID,
    POINTS_PER_REQUEST,
    Payload,
    batches,
    file_of,
    newest_complete_revisions,
    path_in,
    point_id,
    scroll,
    to_payload,
    window_of,
)
from side4video.search.stores.qdrant_subtitles import QdrantSubtitles
from side4video.search.stores.records import IndexedFile, IndexInfo, Metadata, VideoSubtitles, Window
from side4video.search.stores.serialisation import (
    info_from_text,
    info_to_text,
    metadata_to_text,
    path_from_text,
    path_to_text,
)

EXACT_POINTS = 250_000
"""Up to this many points, search is exact."""
_INFO = models.HasIdCondition(has_id=[INFO_ID])


class QdrantStore:
    """A `Store` in a collection of Qdrant.

    Qdrant has no atomic changes of several points. So each point carries the revision of the change that wrote it, and
    a reader uses the newest complete revision of each video: a change is atomic for each video, not for several videos
    together. New metadata of a video with several windows is written point by point. Filter conditions are checked
    against the videos of the whole collection, which takes seconds for very large collections.

    Args:
        client: client of the server or the folder.
        collection: name of the collection.
        address: address of the index, for errors.
        folder: folder of the client; None: the client uses a server.

    >>> store = QdrantStore.on_disk(Path("qdrant"), "videos")
    >>> store.read_info(), store.files()
    (None, {})
    >>> store.close()
    """

    def __init__(self, client: QdrantClient, collection: str, address: str, *, folder: Path | None = None) -> None:
        self._client, self._collection, self._address, self._folder = client, collection, address, folder
        self._subtitles = QdrantSubtitles(client, collection)

    @classmethod
    def on_server(cls, host: str, port: int, collection: str, *, tls: bool = False) -> Self:
        """A collection of a server. If the server needs an API key, set the environment variable QDRANT_API_KEY.

        Raises:
            ConnectionError: the server does not answer, or denies access.
        """
        address = f"qdrant://{host}:{port}/{collection}"
        return cls(connect(host, port, collection, address=address, tls=tls), collection, address)

    @classmethod
    def on_disk(cls, folder: Path, collection: str) -> Self:
        """A collection in a folder, without a server: for tests, a few thousand windows, and one process at a time.

        Raises:
            ValueError: another process has opened the folder.
        """
        folder = folder.resolve()
        address = f"qdrant+local://{folder}/{collection}"
        client = open_folder(folder, address)
        return cls(client, collection, address, folder=folder)

    def read_info(self) -> IndexInfo | None:
        """The description of the index; None: there is no index here.

        Raises:
            ValueError: a later version of this package made the index.
        """
        if not self._client.collection_exists(self._collection):
            return None
        points = self._client.retrieve(self._collection, [INFO_ID], with_payload=True)
        return info_from_text((points[0].payload or {})["json"], self._address) if points else None

    def write_info(self, info: IndexInfo) -> None:
        """Write the description of the index, or replace it.

        Raises:
            ValueError: the collection holds vectors of another size.
        """
        if not self._client.collection_exists(self._collection):
            self._client.create_collection(
                self._collection,
                vectors_config=models.VectorParams(size=info.embed_dim, distance=models.Distance.DOT),
                on_disk_payload=True,
            )
            if self._folder is None:
                self._client.create_payload_index(self._collection, "path", models.PayloadSchemaType.KEYWORD)
        size = self._client.get_collection(self._collection).config.params.vectors.size  # type: ignore[union-attr]
        if size != info.embed_dim:
            raise ValueError(
                f"{self._address} holds vectors of {size} numbers, not {info.embed_dim}. Use another collection."
            )
        point = models.PointStruct(id=INFO_ID, vector=[0.0] * info.embed_dim, payload={"json": info_to_text(info)})
        self._client.upsert(self._collection, [point], wait=True)

    def files(self) -> dict[str, IndexedFile]:
        """All videos of the index by path, in the order of their paths."""
        return dict(sorted((file.path, file) for file in map(file_of, self._first_windows().values())))

    def replace(self, paths: Sequence[str], windows: Sequence[Window]) -> None:
        """Remove all windows of `paths` and add `windows`, whose paths must be among `paths`; atomic for each video.

        Raises:
            ValueError: a window belongs to another video, or the index does not exist yet.
        """
        if others := {window.file.path for window in windows} - set(paths):
            raise ValueError(f"The windows of {min(others)!r} are not among the paths to replace. Add it to the paths.")
        self._check_exists()
        revision, counts = time.time_ns(), Counter(window.file.path for window in windows)
        for some in batches(windows):
            points = [
                models.PointStruct(
                    id=point_id(window, revision),
                    vector=window.mean.tolist(),
                    payload=to_payload(window, revision=revision, windows=counts[window.file.path]),
                )
                for window in some
            ]
            self._client.upsert(self._collection, points, wait=True)
        new = models.FieldCondition(key="revision", match=models.MatchValue(value=revision))
        for names in batches(paths):
            old = models.Filter(must=[path_in(list(map(path_to_text, names)))], must_not=[new])
            self._client.delete(self._collection, models.FilterSelector(filter=old), wait=True)

    def set_metadata(self, metadata: Mapping[str, Metadata]) -> None:
        """Replace the metadata of videos by path; paths that are not in the index are ignored."""
        self._check_exists()
        for path, values in metadata.items():
            self._client.set_payload(
                self._collection,
                {"metadata": metadata_to_text(values)},
                models.Filter(must=[path_in([path_to_text(path)])]),
                wait=True,
            )

    def count_windows(self) -> int:
        """Number of windows in the index."""
        return sum(payload["windows"] for payload in self._first_windows().values())

    def windows_of(self, paths: Sequence[str]) -> Iterator[list[Window]]:
        """All windows of each video, in order; an empty list for a video that is not in the index."""
        return read_in_batches(paths, count=self._count_windows_of, read=self._read_windows_of)

    def windows_at(self, places: Collection[tuple[str, int]]) -> list[Window]:
        """The windows with these paths and numbers that are in the index, in any order."""
        texts = sorted({path_to_text(path) for path, _ in places})
        numbers = models.MatchAny(any=sorted({number for _, number in places}))
        newest, found = self._newest(set(texts)), []
        for some in batches(texts):
            must: list[Any] = [path_in(list(some)), models.FieldCondition(key="number", match=numbers)]
            for payload, mean in self._scroll(models.Filter(must=must), vectors=True):
                place = path_from_text(payload["path"]), payload["number"]
                if place in places and newest.get(payload["path"]) == payload["revision"]:
                    found.append(window_of(payload, mean))
        return found

    def subtitles(self) -> dict[str, VideoSubtitles]:
        """Subtitles by path."""
        return self._subtitles.read()

    def subtitles_version(self) -> int:
        """The time of the last change of subtitles; 0 without one."""
        return self._subtitles.version()

    def set_subtitles(self, subtitles: Mapping[str, VideoSubtitles | None]) -> None:
        """Replace the subtitles of videos by path; None removes them. Atomic for each video."""
        self._subtitles.write(subtitles)

    def nearest(self, vector: NDArray[np.float32], *, limit: int, filter: Filter) -> list[Window]:
        """The windows whose mean vectors have the largest dot product with a vector of length 1, best first."""
        if not self._client.collection_exists(self._collection):
            return []
        must: list[Any] = []
        if filter != Filter():
            test = make_test(filter)
            must = [path_in([path_to_text(path) for path, file in self.files().items() if test(file)])]
        params, wanted, retries = self._search_params(limit), limit, 2
        while True:
            answer = self._client.query_points(
                self._collection,
                query=vector.tolist(),
                query_filter=models.Filter(must=must, must_not=[_INFO]),
                search_params=params,
                limit=limit,
                with_payload=True,
                with_vectors=True,
            ).points
            found = [(point.payload or {}, point.vector) for point in answer]
            newest = self._newest({payload["path"] for payload, _ in found})
            valid = [pair for pair in found if newest.get(pair[0]["path"]) == pair[0]["revision"]]
            missing = len(found) - len(valid)
            if not missing or (len(found) < limit and not retries):
                return [window_of(payload, mean) for payload, mean in valid][:wanted]  # type: ignore[arg-type]
            limit += missing
            retries = max(retries - 1, 0)  # may find replaced points; those of a killed process stay invalid

    def optimise(self) -> None:
        """Does nothing: Qdrant optimises automatically."""

    def close(self) -> None:
        """Close the connection or the folder."""
        if self._folder is None:
            self._client.close()
            return
        close_folder(self._folder, self._client)
        self._folder = None

    def _search_params(self, limit: int) -> models.SearchParams | None:
        if self._folder is not None:
            return None  # always exact
        if self._client.count(self._collection, exact=False).count <= EXACT_POINTS:
            return models.SearchParams(exact=True)
        return models.SearchParams(hnsw_ef=2 * limit)

    def _check_exists(self) -> None:
        if not self._client.collection_exists(self._collection):
            raise ValueError(f"{self._address} is not an index yet. Call write_info first.")

    def _count_windows_of(self, paths: Sequence[str]) -> dict[str, int]:
        return {
            path_from_text(payload["path"]): payload["windows"]
            for some in batches(paths)
            for payload, _ in self._scroll_newest(some)
        }

    def _read_windows_of(self, paths: Sequence[str]) -> list[Window]:
        pairs = [pair for some in batches(paths) for pair in self._scroll_newest(some, vectors=True)]
        return sorted((window_of(*pair) for pair in pairs), key=lambda window: window.number)

    def _scroll_newest(self, paths: Sequence[str], *, vectors: bool = False) -> list[tuple[Payload, list[float]]]:
        """The valid points of these videos; see `_scroll`."""
        points = list(self._scroll(models.Filter(must=[path_in(list(map(path_to_text, paths)))]), vectors=vectors))
        newest = newest_complete_revisions(payload for payload, _ in points)
        return [pair for pair in points if newest.get(pair[0]["path"]) == pair[0]["revision"]]

    def _newest(self, texts: set[str]) -> dict[str, int]:
        """The newest complete revisions of these videos; see `newest_complete_revisions`."""
        return newest_complete_revisions(
            payload
            for some in batches(sorted(texts))
            for payload, _ in self._scroll(models.Filter(must=[path_in(list(some))]))
        )

    def _first_windows(self) -> dict[str, Payload]:
        """The payload of the first valid window of each video."""
        payloads = [payload for payload, _ in self._scroll(models.Filter(must_not=[_INFO]))]
        newest = newest_complete_revisions(payloads)
        first: dict[str, Payload] = {}
        for payload in payloads:
            if newest.get(payload["path"]) == payload["revision"] and payload["number"] == 0:
                first[payload["path"]] = payload
        return first

    def _scroll(self, condition: models.Filter, *, vectors: bool = False) -> Iterator[tuple[Payload, list[float]]]:
        """Payload and mean vector of points; without `vectors`, only `FILE_FIELDS` and no vector."""
        return scroll(
            self._client,
            self._collection,
            limit=POINTS_PER_REQUEST if vectors else 16 * POINTS_PER_REQUEST,
            scroll_filter=condition,
            with_payload=True if vectors else FILE_FIELDS,
            with_vectors=vectors,
        )
