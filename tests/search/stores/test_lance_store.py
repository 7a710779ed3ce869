"""LanceDB only: its index of many windows, vectors cached in memory, and deleted files."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lancedb
import numpy as np
import pytest

from search.windows import INFO, WIDTH, assert_same_windows, make_windows, normalised, windows_of
from side4video.search.stores import lance_snapshot, lance_store
from side4video.search.stores.filters import Condition, Filter
from side4video.search.stores.lance_store import LanceStore
from side4video.search.stores.records import VideoSubtitles
from side4video.search.stores.window_rows import window_schema
from side4video.subtitles.cues import Cue

EVERYTHING = Filter()


@pytest.fixture
def vector():
    return normalised(np.random.default_rng(5).standard_normal(WIDTH, np.float32))


def brute_force(windows, vector, limit):
    return sorted(windows, key=lambda window: -float(window.mean @ vector))[:limit]


@pytest.fixture
def indexed(tmp_path):
    """A store of 600 windows, too many to compare one by one, with LanceDB's index."""
    store = LanceStore(str(tmp_path / "index"), exact_windows=100)
    store.write_info(INFO)
    windows = [
        make_windows(f"/{number}.mp4", half=float(number % 2), tenth=float(number % 10))[0] for number in range(600)
    ]
    store.replace([window.file.path for window in windows], windows)
    store.optimise()
    assert len(store._table.list_indices()) == 1
    return store, windows


@pytest.mark.parametrize("kind", ["", "file://"])  # without a folder that can be asked for its state, as S3
def test_an_index_that_was_made_again_with_as_many_changes(kind, tmp_path, vector):
    reader, address = None, f"{kind}{tmp_path}/index"
    for seed in (1, 2):
        writer = LanceStore(address)
        writer.write_info(INFO)
        windows = [make_windows(f"/{number}.mp4", seed=seed)[0] for number in range(20)]
        writer.replace([window.file.path for window in windows], windows)
        path = windows[0].file.path
        writer.set_subtitles({path: VideoSubtitles("", (Cue(0, 1, f"Take {seed}"),))})
        reader = reader or LanceStore(address)
        assert reader.read_info() == INFO  # searches do this once per second
        assert_same_windows(reader.nearest(vector, limit=5, filter=EVERYTHING), brute_force(windows, vector, 5))
        assert reader.files()[path].content == windows[0].file.content
        assert reader.subtitles()[path].cues[0].text == f"Take {seed}"
        version = reader.subtitles_version()
        assert version == reader.subtitles_version()
        shutil.rmtree(tmp_path / "index")
        if seed == 1:
            before = version
    assert version != before


def test_ann_index_finds_the_nearest_windows(indexed, vector):
    store, windows = indexed
    assert_same_windows(store.nearest(vector, limit=20, filter=EVERYTHING), brute_force(windows, vector, 20))


def test_ann_index_finds_added_and_no_removed_windows(indexed, vector):
    store, windows = indexed
    later = [make_windows(f"/later{number}.mp4")[0] for number in range(50)]
    store.replace([window.file.path for window in later], later)
    gone = brute_force(windows, vector, 5)
    store.replace([window.file.path for window in gone], [])
    left = [window for window in [*windows, *later] if window.file not in [other.file for other in gone]]
    assert {window.file.path for window in brute_force(left, vector, 20)} & {window.file.path for window in later}
    assert_same_windows(store.nearest(vector, limit=20, filter=EVERYTHING), brute_force(left, vector, 20))
    store.optimise()
    assert_same_windows(store.nearest(vector, limit=20, filter=EVERYTHING), brute_force(left, vector, 20))


@pytest.mark.parametrize("column", ["half", "tenth"])  # more, and fewer than are compared one by one
def test_ann_index_obeys_filters(indexed, vector, column):
    store, windows = indexed
    allowed = [window for window in windows if window.file.metadata[column] == 1.0]
    for limit in (5, 1000):
        found = store.nearest(vector, limit=limit, filter=Filter((Condition(column, "=", 1.0),)))
        assert_same_windows(found, brute_force(allowed, vector, limit))


def test_cached_vectors_follow_every_change(tmp_path, vector):
    address = str(tmp_path / "index")
    store, reader = LanceStore(address), LanceStore(address)
    store.write_info(INFO)
    chance, current = np.random.default_rng(0), {}
    for step in range(25):
        paths = [f"/{number}.mp4" for number in chance.choice(12, 3, replace=False)]
        windows = [w for path in paths[1:] for w in make_windows(path, int(chance.integers(1, 4)), seed=step)]
        current = {path: own for path, own in current.items() if path not in paths}
        for window in windows:
            current.setdefault(window.file.path, []).append(window)
        store.replace(paths, windows)
        if step % 8 == 7:
            store.optimise()
        if step % 3 == 2:
            store.set_metadata({paths[1]: {}})
        expected = [window for own in current.values() for window in own]
        assert_same_windows(reader.nearest(vector, limit=6, filter=EVERYTHING), brute_force(expected, vector, 6))


def test_replaced_windows_are_deleted_from_disk(tmp_path):
    store = LanceStore(str(tmp_path / "index"))
    store.write_info(INFO)
    sizes = []
    for seed in range(6):
        store.replace(["/a.mp4"], make_windows("/a.mp4", 200, seed=seed))
        store.optimise()
        sizes.append(sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()))
    assert max(sizes) < 1.2 * sizes[0]


def data_files(folder):
    return {path.name for path in (folder / "index/windows.lance/data").iterdir()}


@pytest.fixture
def many(tmp_path):
    """A store of 160 windows in one file."""
    store = LanceStore(str(tmp_path / "index"))
    store.write_info(INFO)
    windows = [make_windows(f"/{number}.mp4")[0] for number in range(160)]
    store.replace([window.file.path for window in windows], windows)
    store.optimise()
    return store


def test_small_changes_do_not_rewrite_the_table(many, tmp_path):
    first = data_files(tmp_path)
    for number in range(20):
        many.replace([f"/{number}.mp4"], make_windows(f"/{number}.mp4", seed=1))
        many.optimise()
        assert first < data_files(tmp_path)
    many.replace(["/20.mp4"], make_windows("/20.mp4", seed=1))
    many.optimise()
    assert len(data_files(tmp_path)) == 1
    assert not first & data_files(tmp_path)


def test_removed_videos_are_deleted_from_disk(many, tmp_path):
    first = data_files(tmp_path)
    many.replace([f"/{number}.mp4" for number in range(30)], [])
    many.optimise()
    assert len(data_files(tmp_path)) == 1
    assert not first & data_files(tmp_path)
    assert many.count_windows() == 130


def test_files_of_many_changes_are_compacted(many, tmp_path):
    for number in range(lance_store.MAX_PENDING_CHANGES):
        many.replace([f"/new{number}.mp4"], make_windows(f"/new{number}.mp4"))
    assert len(data_files(tmp_path)) == lance_store.MAX_PENDING_CHANGES + 1
    many.optimise()
    assert len(data_files(tmp_path)) == 1


def test_optimise_adds_new_windows_to_the_ann_index(indexed, monkeypatch):
    store, _ = indexed
    (index,) = store._table.list_indices()
    store.replace(["/later.mp4"], make_windows("/later.mp4"))
    store.optimise()
    assert store._table.index_stats(index.name).num_unindexed_rows == 1
    monkeypatch.setattr(lance_store, "MAX_UNINDEXED_WINDOWS", 0)
    store.optimise()
    assert store._table.index_stats(index.name).num_unindexed_rows == 0


def test_table_is_readable_by_other_programs(tmp_path):
    import lancedb

    store = LanceStore(str(tmp_path / "index"))
    store.write_info(INFO)
    store.replace(["/a.mp4"], make_windows("/a.mp4", camera="north"))
    row = lancedb.connect(tmp_path / "index").open_table("windows").to_arrow().to_pylist()[0]
    assert (row["path"], row["number"], row["size"], row["metadata"]) == ("/a.mp4", 0, 1234, '{"camera": "north"}')
    assert len(row["frames"]) == INFO.num_frames * WIDTH


def test_a_large_index_is_left_alone_until_it_is_built_again(indexed, vector, monkeypatch):
    monkeypatch.setattr(lance_store, "PARTITION_WINDOWS", 100)
    monkeypatch.setattr(lance_store, "MAX_PARTITIONS", 5)  # 600 windows are more than 5 x 100
    monkeypatch.setattr(lance_store, "MAX_UNINDEXED_WINDOWS", 0)
    store, windows = indexed
    for count, name, unindexed in ((74, "mean_of_600_windows", 74), (1, "mean_of_675_windows", 0)):
        later = [make_windows(f"/{count}-{number}.mp4")[0] for number in range(count)]
        windows += later
        store.replace([window.file.path for window in later], later)
        store.optimise()
        assert names_of_indexes(store) == [name]
        assert store._table.index_stats(name).num_unindexed_rows == unindexed
        assert_same_windows(store.nearest(vector, limit=20, filter=EVERYTHING), brute_force(windows, vector, 20))
    again = [make_windows(f"/{number}.mp4", seed=1)[0] for number in range(90)]  # more than an eighth of all windows
    before = sum(path.stat().st_size for path in Path(store._address).rglob("*.lance"))
    store.replace([window.file.path for window in again], again)
    store.optimise()
    assert names_of_indexes(store) == ["mean_of_675_windows"]
    assert store._table.index_stats("mean_of_675_windows").num_unindexed_rows == 0
    assert sum(path.stat().st_size for path in Path(store._address).rglob("*.lance")) < 1.1 * before


def names_of_indexes(store):
    return [index.name for index in store._table.list_indices()]


@pytest.mark.parametrize("unindexed", [0, 10_000])  # files are compacted before, or not
def test_ann_index_is_rebuilt_when_the_windows_have_doubled(indexed, vector, monkeypatch, unindexed):
    monkeypatch.setattr(lance_store, "MAX_UNINDEXED_WINDOWS", unindexed)
    store, windows = indexed
    for count, name in ((599, "mean_of_600_windows"), (1, "mean_of_1200_windows")):
        later = [make_windows(f"/{count}-{number}.mp4")[0] for number in range(count)]
        windows += later
        store.replace([window.file.path for window in later], later)
        store.optimise()
        assert names_of_indexes(store) == [name]
        assert_same_windows(store.nearest(vector, limit=20, filter=EVERYTHING), brute_force(windows, vector, 20))


@pytest.mark.parametrize(("width", "kind"), [(64, "IVF_RQ"), (60, "IVF_FLAT")])
def test_ann_index_rounds_numbers_if_the_width_allows(tmp_path, monkeypatch, width, kind):
    monkeypatch.setattr(lance_snapshot, "MIN_FETCHED", 1)
    store = LanceStore(str(tmp_path / "index"), exact_windows=100)
    store.write_info(replace(INFO, embed_dim=width))
    chance = np.random.default_rng(0)
    means = normalised(chance.standard_normal((2000, width), np.float32)).astype(np.float16).astype(np.float32)
    windows = [
        replace(make_windows(f"/{number}.mp4")[0], frames=np.zeros((INFO.num_frames, width), np.float16), mean=mean)
        for number, mean in enumerate(means)
    ]
    store.replace([window.file.path for window in windows], windows)
    store.optimise()
    (name,) = names_of_indexes(store)
    assert store._table.index_stats(name).index_type == kind
    own = normalised(chance.standard_normal(width, np.float32))
    found = store.nearest(own, limit=20, filter=EVERYTHING)
    best = {window.file.path for window in brute_force(windows, own, 20)}
    assert len(best & {window.file.path for window in found}) >= 15  # LanceDB rounds after a random rotation
    products = [float(window.mean @ own) for window in found]
    assert products == sorted(products, reverse=True)


def test_index_with_means_of_32_bits_stays_usable(tmp_path, vector):
    address = str(tmp_path / "index")
    lancedb.connect(address).create_table("windows", schema=window_schema(INFO.num_frames, WIDTH, 32))
    store = LanceStore(address)
    windows = [make_windows(f"/{number}.mp4")[0] for number in range(30)]
    means = [normalised(np.random.default_rng(number).standard_normal(WIDTH, np.float32)) for number in range(30)]
    windows = [replace(window, mean=mean) for window, mean in zip(windows, means, strict=True)]
    store.write_info(INFO)
    store.replace([window.file.path for window in windows], windows)
    store.write_info(replace(INFO, model="runs/moved"))
    assert_same_windows(store.nearest(vector, limit=5, filter=EVERYTHING), brute_force(windows, vector, 5))


def test_windows_that_another_store_added_are_replaced(tmp_path):
    one, other = LanceStore(str(tmp_path / "index")), LanceStore(str(tmp_path / "index"))
    one.write_info(INFO)
    one.replace(["/a.mp4"], make_windows("/a.mp4"))
    other.replace(["/b.mp4"], make_windows("/b.mp4", 3))
    one.replace(["/c.mp4", "/b.mp4"], [*make_windows("/c.mp4"), *make_windows("/b.mp4", 2, seed=1)])
    assert_same_windows(windows_of(other, "/b.mp4"), make_windows("/b.mp4", 2, seed=1))
    assert one.count_windows() == 4


DIVIDED = """
import sys
from datetime import timedelta
import numpy as np, pyarrow as pa
from side4video.search.stores import lance_store
import lancedb
from lancedb.index import IvfRq
means = np.random.default_rng(0).standard_normal((60_000, 8)).astype(np.float16)
rows = pa.table({"mean": pa.FixedSizeListArray.from_arrays(pa.array(means.ravel()), 8)})
table = lancedb.connect(sys.argv[1]).create_table("windows", rows)
table.create_index("mean", config=IvfRq(distance_type="dot", num_partitions=2, num_bits=4))
table.optimize(cleanup_older_than=timedelta(hours=1))
"""


@pytest.mark.slow
def test_lancedb_does_not_warn_that_it_divides_large_partitions(tmp_path):
    """It does so in every optimisation of a grown index, with a line for each of thousands of partitions."""
    command = [sys.executable, "-c", DIVIDED, str(tmp_path / "index")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
