"""The same tests for every store: LanceDB in a folder and in an object store, Qdrant without a server.

The object store is moto's S3 server. Qdrant without a server is the client's own local mode. It takes the same calls,
but it is other code than a server's: set SIDE4VIDEO_QDRANT=host:port to test a real server.
"""

import errno
import fcntl
import itertools
import os
import random
import threading
import time
import uuid
from dataclasses import replace

import lancedb
import numpy as np
import pytest

from s3_server import BUCKET, running_s3
from search.windows import (
    INFO,
    WIDTH,
    assert_same_windows,
    make_windows,
    normalised,
    num_windows,
    number_of,
    windows_of,
)
from search.writers import Writer
from side4video.search.stores import batched_reads, lance_store
from side4video.search.stores.filters import Condition, Filter
from side4video.search.stores.index_locks import write_lock
from side4video.search.stores.open_store import open_store
from side4video.search.stores.records import VideoSubtitles
from side4video.subtitles.cues import Cue

EVERYTHING = Filter()
ODD_PATHS = [
    "/videos/it's here.mp4",
    "/videos/'; DROP TABLE windows; --.mp4",
    "/videos/' OR '1'='1",
    '/videos/quote"back\\slash%_?*[x].mp4',
    "/videos/line\nbreak\ttab\r.mp4",
    "/videos/猫 ünïcode e\u0301 \U0001f408.mp4",
    os.fsdecode(b"/videos/latin-1 \xe9\xff.mp4"),
    "file:///videos/a%20name.mp4",
    "/" + "long" * 1000,
]
VIDEOS = {
    "/clips/2024/a.mp4": {"camera": "north", "year": 2024.0, "outside": True, "title": "A Dog runs"},
    "/clips/2024/b.mov": {"camera": "south", "year": 2024.5, "outside": False},
    "/clips/2025/c.mp4": {"camera": "north", "year": 2025.0, "title": "STRASSE"},
    "/clips/2025/d.mp4": {"year": 1.0, "outside": False},
    "/clips/20251/e.mp4": {"camera": "", "year": "2024"},
    "/other/f.mp4": {},
}


SERVER = os.environ.get("SIDE4VIDEO_QDRANT")
"""Tests create collections there and remove them."""


@pytest.fixture(scope="module")
def object_store():
    with running_s3() as environment:
        yield environment


@pytest.fixture(
    params=["lance", pytest.param("s3", marks=pytest.mark.slow), "qdrant+local", *(["qdrant"] if SERVER else [])]
)
def address(request, tmp_path, monkeypatch):
    if request.param == "lance":
        yield str(tmp_path / "index")
    elif request.param == "s3":
        for name, value in request.getfixturevalue("object_store").items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/{uuid.uuid4()}/index"
    elif request.param == "qdrant+local":
        yield f"qdrant+local://{tmp_path}/qdrant/videos"
    else:
        from qdrant_client import QdrantClient

        name = f"side4video-test-{uuid.uuid4()}"
        yield f"qdrant://{SERVER}/{name}"
        QdrantClient(f"http://{SERVER}").delete_collection(name)


@pytest.fixture
def several_processes(address):
    if address.startswith("qdrant+local"):
        pytest.skip("Qdrant without a server is for one process at a time")


@pytest.fixture
def opened():
    """`opened(address, create=False)`; closed in the end."""
    stores = []

    def open_one(address, create=False):
        stores.append(open_store(address, create=create))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(address, opened):
    store = opened(address, create=True)
    store.write_info(INFO)
    return store


@pytest.fixture
def filled(store):
    windows = [w for number, path in enumerate(VIDEOS) for w in make_windows(path, 1 + number % 3, **VIDEOS[path])]
    store.replace(list(VIDEOS), windows)
    return store, windows


def vectors(count, seed=0):
    return normalised(np.random.default_rng(seed).standard_normal((count, WIDTH), np.float32))


def brute_force(windows, vector, limit):
    return sorted(windows, key=lambda window: -float(window.mean @ vector))[:limit]


def test_empty_index(address, opened):
    store = opened(address, create=True)
    assert store.read_info() is None
    store.write_info(INFO)
    assert store.read_info() == INFO
    assert store.files() == {}
    assert store.count_windows() == 0
    assert windows_of(store, "/none.mp4") == []
    assert store.nearest(vectors(1)[0], limit=5, filter=EVERYTHING) == []
    assert store.nearest(vectors(1)[0], limit=5, filter=Filter(path="/x")) == []
    store.replace(["/none.mp4"], [])
    store.replace([], [])
    store.set_metadata({"/none.mp4": {"a": 1.0}})
    store.set_metadata({})
    store.optimise()
    assert store.count_windows() == 0


def test_info_is_overwritten(store, address, opened):
    store.write_info(replace(INFO, model="elsewhere"))
    assert store.read_info() == opened(address).read_info() == replace(INFO, model="elsewhere")


def test_round_trip(filled, address, opened):
    store, windows = filled
    for reader in (store, opened(address)):
        assert list(reader.files()) == sorted(VIDEOS)
        assert reader.files() == {window.file.path: window.file for window in windows}
        assert reader.count_windows() == len(windows)
        for path in VIDEOS:
            assert_same_windows(windows_of(reader, path), [window for window in windows if window.file.path == path])


def test_windows_of_many_videos_follow_the_order_of_the_paths(filled, monkeypatch):
    store, windows = filled
    own = {path: [window for window in windows if window.file.path == path] for path in VIDEOS}
    paths = [*VIDEOS, "/none.mp4", *sorted(VIDEOS), "/clips/2024/a.mp4", "/clips/2024/a.mp4"]
    for at_once in (1, 2, 4, 1000):
        monkeypatch.setattr(batched_reads, "WINDOWS_PER_BATCH", at_once)
        for path, found in zip(paths, store.windows_of(paths), strict=True):
            assert_same_windows(found, own.get(path, []))
    assert list(store.windows_of([])) == []


def test_nearest_equals_brute_force(filled):
    store, windows = filled
    for vector, limit in itertools.product(vectors(5), (1, 4, 100)):
        assert_same_windows(store.nearest(vector, limit=limit, filter=EVERYTHING), brute_force(windows, vector, limit))


NORTH, SOUTH = Condition("camera", "=", "north"), Condition("camera", "=", "south")


FILTERS = [
    (Filter((NORTH,)), "ac"),
    (Filter((Condition("camera", "!=", "north"),)), "be"),
    (Filter((Condition("camera", "=", "North"),)), ""),
    (Filter((Condition("camera", "~", "ORTH"),)), "ac"),
    (Filter((Condition("title", "~", "straße"),)), "c"),
    (Filter((Condition("title", "~", "cat"),)), ""),
    (Filter((Condition("year", "=", 2024.0),)), "a"),
    (Filter((Condition("year", "=", "2024"),)), "ae"),
    (Filter((Condition("year", "!=", 2024.0),)), "bcde"),
    (Filter((Condition("year", "<", 2024.5),)), "ad"),
    (Filter((Condition("year", "<=", 2024.5),)), "abd"),
    (Filter((Condition("year", ">", 2024.5),)), "c"),
    (Filter((Condition("year", ">=", 2024.5),)), "bc"),
    (Filter((Condition("outside", "=", True),)), "a"),
    (Filter((Condition("outside", "=", False),)), "bd"),
    (Filter((Condition("year", "=", True),)), ""),
    (Filter((Condition("camera", "<", "o"),)), "ace"),
    (Filter((Condition("nowhere", "!=", 1.0),)), ""),
    (Filter((Condition("camera'; --", "=", "x"),)), ""),
    (Filter((NORTH, Condition("year", ">", 2024.0))), "c"),
    (Filter((NORTH, SOUTH)), ""),
    (Filter(path="*/2024/*"), "ab"),
    (Filter(path="*.mp4"), "acdef"),
    (Filter(path="/clips/2025"), "cd"),
    (Filter(path="/clips/2025/"), "cd"),
    (Filter(path="/clips/2025/c.mp4"), "c"),
    (Filter(path="/clips/202[45]/?.mp4"), "acd"),
    (Filter(path="2025"), ""),
    (Filter(path="/"), "abcdef"),
    (Filter((NORTH,), path="*/2024/*"), "a"),
]
"""Filters, and the names of the videos that pass them."""


def test_filters(filled):
    store, windows = filled
    for filter, names in FILTERS:
        allowed = [window for window in windows if window.file.path.split("/")[-1][0] in names]
        for limit in (2, 100):
            vector = vectors(1, seed=limit)[0]
            found = store.nearest(vector, limit=limit, filter=filter)
            assert [window.file.path for window in found] == [
                window.file.path for window in brute_force(allowed, vector, limit)
            ], filter
            assert_same_windows(found, brute_force(allowed, vector, limit))


def test_replace_removes_and_adds(filled, address, opened):
    store, _ = filled
    other = opened(address)
    assert len(windows_of(other, "/clips/2025/c.mp4")) == 3
    for count in (1, 3, 2):
        new = make_windows("/clips/2025/c.mp4", count, seed=count, camera="west")
        store.replace(["/clips/2025/c.mp4", "/new.mp4"], [*new, *make_windows("/new.mp4", count)])
        for reader in (store, other):
            assert_same_windows(windows_of(reader, "/clips/2025/c.mp4"), new)
            assert reader.files()["/clips/2025/c.mp4"] == new[0].file
            assert_same_windows(reader.nearest(new[-1].mean, limit=1, filter=EVERYTHING), new[-1:])
    store.replace(["/clips/2025/c.mp4", "/new.mp4", "/never there.mp4"], [])
    for reader in (store, other):
        assert list(reader.files()) == sorted(VIDEOS.keys() - {"/clips/2025/c.mp4"})
        assert windows_of(reader, "/clips/2025/c.mp4") == []
        found = reader.nearest(new[0].mean, limit=100, filter=EVERYTHING)
        assert len(found) == reader.count_windows()
        assert "/clips/2025/c.mp4" not in {window.file.path for window in found}


def test_replace_removes_one_video_and_changes_another(filled):
    store, windows = filled
    gone, changed = "/clips/2025/c.mp4", "/clips/2024/b.mov"
    new = make_windows(changed, 1, seed=9)
    store.replace([gone, changed], new)
    assert windows_of(store, gone) == []
    assert_same_windows(windows_of(store, changed), new)
    assert store.count_windows() == len([w for w in windows if w.file.path not in {gone, changed}]) + 1


def test_windows_of_unnamed_videos_are_refused(filled):
    store, windows = filled
    with pytest.raises(ValueError, match="not among the paths to replace"):
        store.replace(["/clips/2024/a.mp4"], make_windows("/clips/2024/b.mov"))
    assert store.count_windows() == len(windows)


def test_set_metadata_changes_metadata_only(filled, address, opened):
    store, windows = filled
    new = {"/clips/2025/c.mp4": {"camera": 'it\'s "new"\n', "day": 3.0}, "/other/f.mp4": {"x": True}, "/none": {}}
    store.set_metadata(new)
    expected = [replace(w, file=replace(w.file, metadata=new.get(w.file.path, w.file.metadata))) for w in windows]
    for reader in (store, opened(address)):
        assert reader.files() == {window.file.path: window.file for window in expected}
        vector = vectors(1)[0]
        assert_same_windows(reader.nearest(vector, limit=100, filter=EVERYTHING), brute_force(expected, vector, 100))
        kept = reader.nearest(vector, limit=100, filter=Filter((Condition("day", "=", 3.0),)))
        assert {window.file.path for window in kept} == {"/clips/2025/c.mp4"}


def test_set_metadata_of_several_batches(filled, monkeypatch):
    store, windows = filled
    monkeypatch.setattr(lance_store, "WINDOWS_PER_BATCH", 2)
    new = {path: {"number": float(number)} for number, path in enumerate([*VIDEOS, "/none"])}
    store.set_metadata(new)
    expected = [replace(w, file=replace(w.file, metadata=new[w.file.path])) for w in windows]
    assert store.files() == {window.file.path: window.file for window in expected}
    vector = vectors(1)[0]
    assert_same_windows(store.nearest(vector, limit=100, filter=EVERYTHING), brute_force(expected, vector, 100))
    store.set_metadata({"/clips/2025/c.mp4": {}})  # alone of more windows
    assert store.files()["/clips/2025/c.mp4"].metadata == {}
    assert store.count_windows() == len(windows)


def test_windows_at_places(filled):
    store, windows = filled
    places = {(windows[0].file.path, 0), ("/clips/2025/c.mp4", 2), ("/clips/2024/b.mov", 1), ("/nowhere.mp4", 0)}
    expected = [window for window in windows if (window.file.path, window.number) in places]
    assert len(expected) == 3
    found = sorted(store.windows_at(places), key=lambda window: (window.file.path, window.number))
    assert_same_windows(found, expected)
    assert store.windows_at([]) == []


def test_subtitles_are_kept_apart_from_windows(filled, address, opened):
    store, _ = filled
    assert (store.subtitles(), store.subtitles_version()) == ({}, 0)
    cues = (Cue(1.5, 2.25, "A café\u2019s “dog”; it's 狗", "pt-BR"), Cue(0.0, 1.0, ""))
    given = {path: VideoSubtitles(f"state {number}", cues[: number % 3]) for number, path in enumerate(ODD_PATHS)}
    store.set_subtitles(given)
    store.close()
    other = opened(address)
    assert other.subtitles() == given
    version = other.subtitles_version()
    changed = VideoSubtitles("later", cues)
    other.set_subtitles({ODD_PATHS[0]: changed, ODD_PATHS[1]: None, "/new.mp4": changed})
    del given[ODD_PATHS[1]]
    assert other.subtitles() == given | {ODD_PATHS[0]: changed, "/new.mp4": changed}
    assert other.subtitles_version() != version
    version = other.subtitles_version()
    other.set_subtitles({"/new.mp4": None, "/nowhere.mp4": None})
    assert "/new.mp4" not in other.subtitles()
    assert other.subtitles_version() != version
    assert len(other.files()) == len(VIDEOS)
    assert other.count_windows() == 12


def test_odd_paths(store):
    windows = {path: make_windows(path, 2, name=path) for path in ODD_PATHS if "latin" not in path}
    windows |= {path: make_windows(path, 2) for path in ODD_PATHS if "latin" in path}
    for path, own in windows.items():
        store.replace([path], own)
    assert list(store.files()) == sorted(ODD_PATHS)
    for path, own in windows.items():
        assert_same_windows(windows_of(store, path), own)
        assert store.nearest(own[0].mean, limit=1, filter=EVERYTHING)[0].file == own[0].file
    store.set_metadata({path: {"n": float(number)} for number, path in enumerate(ODD_PATHS)})
    assert [store.files()[path].metadata for path in ODD_PATHS] == [{"n": float(n)} for n in range(len(ODD_PATHS))]
    for number, path in enumerate(ODD_PATHS, start=1):
        store.replace([path], [])
        assert list(store.files()) == sorted(ODD_PATHS[number:]), path


def test_optimise_does_not_change_results(store):
    for number in range(12):
        store.replace([f"/{number}.mp4"], make_windows(f"/{number}.mp4", 2))
    for number in range(0, 12, 3):
        store.replace([f"/{number}.mp4"], make_windows(f"/{number}.mp4", 1, seed=1))
    vector = vectors(1)[0]
    before, files = store.nearest(vector, limit=50, filter=EVERYTHING), store.files()
    store.optimise()
    assert_same_windows(store.nearest(vector, limit=50, filter=EVERYTHING), before)
    assert store.files() == files
    store.replace(["/new.mp4"], make_windows("/new.mp4"))
    assert store.nearest(make_windows("/new.mp4")[0].mean, limit=1, filter=EVERYTHING)[0].file.path == "/new.mp4"


@pytest.mark.slow
def test_readers_see_complete_videos_while_another_process_writes(several_processes, store, address, warm):
    store.replace(["/videos/0.mp4"], make_windows("/videos/0.mp4", num_windows("/videos/0.mp4", 0)))
    writer, seen = Writer(warm, address), set()
    try:
        while len(seen) < 3:
            windows = windows_of(store, "/videos/0.mp4")
            seed = int(windows[0].file.content, 16)
            assert_same_windows(windows, make_windows("/videos/0.mp4", num_windows("/videos/0.mp4", seed), seed=seed))
            seen.add(seed)
            found = store.nearest(vectors(1)[0], limit=1000, filter=Filter(path="/videos/0.mp4"))
            assert len({window.file.content for window in found}) == 1
            assert len(found) == num_windows("/videos/0.mp4", int(found[0].file.content, 16))
            assert "/videos/0.mp4" in store.files()
    finally:
        writer.kill()


def write_at_the_same_time(store, address, warm, *, seconds):
    writers = [Writer(warm, address, prefix=prefix) for prefix in ("/first/", "/second/")]
    chance, end = random.Random(0), time.monotonic() + seconds
    while time.monotonic() < end:
        chance.choice(writers).pause(chance.uniform(0.02, 0.1))
        time.sleep(chance.uniform(0.01, 0.05))
    states = {writer.prefix: writer.kill() for writer in writers}
    for prefix, (done, at, _) in states.items():
        assert done
        assert_whole(store, done=done, at=at, before={}, only=prefix)


@pytest.mark.slow
def test_concurrent_writers_lose_nothing(several_processes, store, address, warm):
    write_at_the_same_time(store, address, warm, seconds=1)


@pytest.mark.slow
def test_concurrent_writers_lose_nothing_in_30_seconds(several_processes, store, address, warm):
    write_at_the_same_time(store, address, warm, seconds=30)


CHANGES = {
    "write_info": lambda store: store.write_info(INFO),
    "replace": lambda store: store.replace(["/new.mp4"], make_windows("/new.mp4")),
    "set_metadata": lambda store: store.set_metadata({"/other/f.mp4": {"x": 1.0}}),
    "set_subtitles": lambda store: store.set_subtitles({"/other/f.mp4": VideoSubtitles("")}),
    "optimise": lambda store: store.optimise(),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("address", ["lance"], indirect=True)
def test_changes_in_a_folder_wait_for_the_lock(store, address, name):
    """Without the lock LanceDB would miss a collision after newer versions were removed."""
    changing = threading.Thread(target=CHANGES[name], args=(store,), daemon=True)
    with write_lock(address) as alone:
        assert alone
        changing.start()
        changing.join(0.2)
        assert changing.is_alive()
        assert store.files() == {}  # readers do not wait
    changing.join(30)
    assert not changing.is_alive()


def no_locks(file, operation):
    """The answer of a network drive that is mounted without locks."""
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize(
    ("address", "locks", "stay"),
    [
        ("lance", True, False),
        ("lance", False, True),
        pytest.param("s3", True, True, marks=pytest.mark.slow),
    ],
    indirect=["address"],
)
def test_replaced_versions_are_kept_without_locks(store, address, locks, stay, monkeypatch):
    if not locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    for number in range(12):
        store.replace(["/some.mp4"], make_windows("/some.mp4", 2, seed=number))
    store.optimise()
    assert_same_windows(windows_of(store, "/some.mp4"), make_windows("/some.mp4", 2, seed=11))
    assert (len(lancedb.connect(address).open_table("windows").list_versions()) > 12) == stay


@pytest.mark.parametrize("address", ["s3"], indirect=True)
def test_files_are_compacted_although_versions_are_kept(store, address, monkeypatch):
    monkeypatch.setattr(lance_store, "MAX_PENDING_CHANGES", 3)
    for number in range(5):
        store.replace([f"/{number}.mp4"], make_windows(f"/{number}.mp4"))
    store.optimise()
    assert lancedb.connect(address).open_table("windows").list_versions()[-1]["metadata"]["total_fragments"] == "1"


def assert_whole(store, *, done, at, before, only="/"):
    """Every video has the state of its last finished change; the one that was being changed may have the next state."""
    files = {path for path in store.files() if path.startswith(only)}
    for path in {*files, *done, *before}:
        windows = windows_of(store, path)
        states = {done.get(path, before.get(path, 0))}
        if at is not None and at[0] == path:
            states.add(at[1])
        found = int(windows[0].file.content, 16) if windows else None
        if found is None:
            assert any(state == 0 or (state % 5 == 4 and number_of(path) % 2) for state in states), (path, states)
        else:
            assert found in states, (path, found, states)
            assert_same_windows(windows, make_windows(path, num_windows(path, found), seed=found))
        before[path] = found or 0
    if only == "/":
        assert store.count_windows() == sum(len(windows_of(store, path)) for path in files)
    assert len(store.nearest(vectors(1)[0], limit=1000, filter=EVERYTHING)) == store.count_windows()


def kill_again_and_again(warm, address, opened, times, seed):
    chance, before, last = random.Random(seed), {}, 0
    for _ in range(times):
        writer = Writer(warm, address, seed=last)
        time.sleep(chance.uniform(0.0, 0.6))
        done, at, last_seed = writer.kill()
        last = max(last, last_seed)
        store = opened(address)
        assert store.read_info() == INFO
        assert_whole(store, done=done, at=at, before=before)
        store.close()
    assert last > 0


def test_killed_writer_leaves_complete_videos(warm, address, opened):
    kill_again_and_again(warm, address, opened, times=2, seed=0)


@pytest.mark.slow
def test_writer_killed_twenty_times_leaves_complete_videos(warm, address, opened):
    kill_again_and_again(warm, address, opened, times=20, seed=1)
