"""Subtitles in a Qdrant collection of their own, one point for each video."""

import time
import uuid
from collections.abc import Mapping

from qdrant_client import QdrantClient, models

from side4video.search.stores.qdrant_points import INFO_ID, Payload, batches, scroll
from side4video.search.stores.records import VideoSubtitles
from side4video.search.stores.serialisation import cues_from_text, cues_to_text, path_from_text, path_to_text

_NAMESPACE = uuid.UUID("0d7a0b0c-5f0e-4f0e-8f55-1f8f6f2f8c11")
_POINTS_PER_REQUEST = 64
"""4 MB of text for hours of film each."""


class QdrantSubtitles:
    """The collection `NAME-subtitles` of an index; it is made with the first subtitles.

    A point without a video holds the time of the last change.

    >>> QdrantSubtitles(QdrantClient(":memory:"), "videos").read()
    {}
    """

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client, self._collection = client, f"{collection}-subtitles"

    def read(self) -> dict[str, VideoSubtitles]:
        """See `Store.subtitles`."""
        return {
            path_from_text(payload["path"]): VideoSubtitles(payload["state"], cues_from_text(payload["cues"]))
            for payload, _ in scroll(self._client, self._collection, limit=_POINTS_PER_REQUEST)
            if "path" in payload
        }

    def version(self) -> int:
        """See `Store.subtitles_version`."""
        if not self._client.collection_exists(self._collection):
            return 0
        points = self._client.retrieve(self._collection, [INFO_ID], with_payload=True)
        return int((points[0].payload or {})["changed"]) if points else 0

    def write(self, subtitles: Mapping[str, VideoSubtitles | None]) -> None:
        """See `Store.set_subtitles`; atomic for each video."""
        if not subtitles:
            return
        if not self._client.collection_exists(self._collection):
            self._client.create_collection(self._collection, vectors_config={}, on_disk_payload=True)
        for some in batches(list(subtitles.items()), _POINTS_PER_REQUEST):
            points = [
                models.PointStruct(id=_point_id(path), vector={}, payload=_payload(path, one))
                for path, one in some
                if one is not None
            ]
            removed: list[models.ExtendedPointId] = [_point_id(path) for path, one in some if one is None]
            if points:
                self._client.upsert(self._collection, points, wait=True)
            if removed:
                self._client.delete(self._collection, models.PointIdsList(points=removed), wait=True)
        mark = models.PointStruct(id=INFO_ID, vector={}, payload={"changed": time.time_ns()})
        self._client.upsert(self._collection, [mark], wait=True)


def _point_id(path: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, path_to_text(path)))


def _payload(path: str, subtitles: VideoSubtitles) -> Payload:
    return {"path": path_to_text(path), "state": subtitles.state, "cues": cues_to_text(subtitles.cues)}
