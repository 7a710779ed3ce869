"""Windows as points of a Qdrant collection, and which points of a video are valid."""

import base64
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from qdrant_client import QdrantClient, models

from side4video.search.stores.records import IndexedFile, Window
from side4video.search.stores.serialisation import metadata_from_text, metadata_to_text, path_from_text, path_to_text

FILE_FIELDS = ["path", "content", "size", "modified", "duration_seconds", "metadata", "number", "revision", "windows"]
"""The payload fields that identify the video of a point and decide whether the point is valid."""
_NAMESPACE = uuid.UUID("5b1cf1a6-5c5d-4a4e-9a0c-2c1d6c9d7f10")
INFO_ID = str(uuid.uuid5(_NAMESPACE, "index"))
"""Id of the point that contains the description of the index."""

POINTS_PER_REQUEST = 256
"""Number of points per request: 4 MB with 12 x 512 numbers each."""

Payload = dict[str, Any]
Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int = POINTS_PER_REQUEST) -> Iterator[Sequence[Item]]:
    """Items in portions of `size`.

    >>> [len(some) for some in batches(range(300))]
    [256, 44]
    """
    return (items[start : start + size] for start in range(0, len(items), size))


def scroll(
    client: QdrantClient, collection: str, *, limit: int, **options: Any
) -> Iterator[tuple[Payload, list[float]]]:
    """Payload and mean vector of all points of a collection, `limit` per request; none if there is no collection.

    `options` of `QdrantClient.scroll` choose the points and what is read of them; by default no vectors.

    >>> list(scroll(QdrantClient(":memory:"), "videos", limit=64))
    []
    """
    if not client.collection_exists(collection):
        return
    offset = None
    while True:
        points, offset = client.scroll(collection, limit=limit, offset=offset, **options)
        for point in points:
            yield point.payload or {}, point.vector or []  # type: ignore[misc]
        if offset is None:
            return


def path_in(texts: list[str]) -> models.FieldCondition:
    """The condition that a point belongs to one of these videos."""
    return models.FieldCondition(key="path", match=models.MatchAny(any=texts))


def point_id(window: Window, revision: int) -> str:
    """The id of a window's point: equal for the same window of the same video in the same revision."""
    return str(uuid.uuid5(_NAMESPACE, f"{path_to_text(window.file.path)}\n{window.number}\n{revision}"))


def to_payload(window: Window, *, revision: int, windows: int) -> Payload:
    """The payload of a window: everything except its mean vector.

    Args:
        window: the window to store.
        revision: revision of the change that writes it; later changes have larger revisions.
        windows: number of windows of this video in the change.
    """
    file = window.file
    return {
        "path": path_to_text(file.path),
        "content": file.content,
        "size": file.size,
        "modified": file.modified,
        "duration_seconds": file.duration_seconds,
        "metadata": metadata_to_text(file.metadata),
        "number": window.number,
        "revision": revision,
        "windows": windows,
        "start_seconds": window.start_seconds,
        "end_seconds": window.end_seconds,
        "frames": _array_to_text(window.frames, np.float16),
        "frame_weights": _array_to_text(window.frame_weights, np.float32),
        "frame_seconds": _array_to_text(window.frame_seconds, np.float32),
    }


def file_of(payload: Payload) -> IndexedFile:
    """The video of a point."""
    return IndexedFile(
        path_from_text(payload["path"]),
        payload["content"],
        payload["size"],
        payload["modified"],
        payload["duration_seconds"],
        metadata_from_text(payload["metadata"]),
    )


def window_of(payload: Payload, mean: list[float]) -> Window:
    """The window of a point."""
    weights = _array_from_text(payload["frame_weights"], np.float32)
    return Window(
        file=file_of(payload),
        number=payload["number"],
        start_seconds=payload["start_seconds"],
        end_seconds=payload["end_seconds"],
        frames=_array_from_text(payload["frames"], np.float16).reshape(len(weights), -1),
        frame_weights=weights,
        frame_seconds=_array_from_text(payload["frame_seconds"], np.float32),
        mean=np.asarray(mean, np.float32),
    )


def newest_complete_revisions(payloads: Iterable[Payload]) -> dict[str, int]:
    """The newest complete revision by path, as text; videos without a complete revision are omitted.

    A change writes the new points first and then removes the old ones. Until it is done, or permanently if the process
    is killed, there are points of two revisions, or an incomplete revision.
    """
    numbers: dict[tuple[str, int], set[int]] = defaultdict(set)
    expected: dict[tuple[str, int], int] = {}
    for payload in payloads:
        key = payload["path"], payload["revision"]
        numbers[key].add(payload["number"])
        expected[key] = payload["windows"]
    newest: dict[str, int] = {}
    for (path, revision), found in numbers.items():
        if len(found) == expected[path, revision]:
            newest[path] = max(revision, newest.get(path, revision))
    return newest


def _array_to_text(numbers: NDArray[Any], kind: DTypeLike) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _array_from_text(text: str, kind: DTypeLike) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), np.dtype(kind).newbyteorder("<")).astype(kind)
