"""Qdrant only: changes of which some points are missing."""

import pytest
from qdrant_client import models

from search.windows import INFO, assert_same_windows, make_windows, windows_of
from side4video.search.stores.filters import Filter
from side4video.search.stores.qdrant_points import newest_complete_revisions, point_id, to_payload
from side4video.search.stores.qdrant_store import QdrantStore

EVERYTHING = Filter()


@pytest.fixture
def store(tmp_path):
    store = QdrantStore.on_disk(tmp_path, "videos")
    store.write_info(INFO)
    yield store
    store.close()


def write_points(store, windows, *, revision, expected):
    """Write points like a process that is killed before it removes the old ones."""
    points = [
        models.PointStruct(
            id=point_id(window, revision),
            vector=window.mean.tolist(),
            payload=to_payload(window, revision=revision, windows=expected),
        )
        for window in windows
    ]
    store._client.upsert("videos", points)


def found(store):
    return sorted(
        store.nearest(make_windows("/q")[0].mean, limit=9, filter=EVERYTHING), key=lambda window: window.number
    )


def test_incomplete_change_is_ignored(store):
    old = make_windows("/a.mp4", 2)
    store.replace(["/a.mp4"], old)
    write_points(store, make_windows("/a.mp4", 3, seed=1)[:2], revision=2**62, expected=3)
    assert_same_windows(windows_of(store, "/a.mp4"), old)
    assert_same_windows(found(store), old)
    assert store.files() == {"/a.mp4": old[0].file}
    assert store.count_windows() == 2


def test_later_of_two_complete_changes_wins(store):
    store.replace(["/a.mp4"], make_windows("/a.mp4", 2))
    new = make_windows("/a.mp4", 3, seed=1)
    write_points(store, new, revision=2**62, expected=3)
    assert_same_windows(windows_of(store, "/a.mp4"), new)
    assert_same_windows(found(store), new)
    assert store.files() == {"/a.mp4": new[0].file}
    assert store.count_windows() == 3


def test_windows_of_incomplete_changes_do_not_reduce_the_results(store):
    old = make_windows("/a.mp4", 2)
    store.replace(["/a.mp4"], old)
    left = make_windows("/a.mp4", 1, seed=3)
    write_points(store, left, revision=2**62, expected=2)
    best = store.nearest(left[0].mean, limit=2, filter=EVERYTHING)
    assert {window.number for window in best} == {0, 1}
    assert {window.file.content for window in best} == {old[0].file.content}


def test_next_change_removes_leftover_points(store):
    store.replace(["/a.mp4"], make_windows("/a.mp4", 2))
    write_points(store, make_windows("/a.mp4", 3, seed=1)[:2], revision=2**61, expected=3)
    store.replace(["/a.mp4"], [])
    assert store._client.count("videos").count == 1  # the point with the index's info
    assert store.files() == {}


def test_newest_complete_revisions():
    def point(path, revision, number, windows):
        return {"path": path, "revision": revision, "number": number, "windows": windows}

    points = [point("a", 1, 0, 1), point("a", 2, 0, 2), point("a", 3, 0, 2), point("a", 3, 1, 2), point("b", 4, 1, 2)]
    assert newest_complete_revisions(points) == {"a": 3}
    assert newest_complete_revisions(points[:2]) == {"a": 1}
    assert newest_complete_revisions([]) == {}
