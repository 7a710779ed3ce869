"""Files are compacted during an update, not only at its end."""

from search.windows import INFO, make_windows
from side4video.search import index_writer
from side4video.search.index_writer import IndexWriter
from side4video.search.stores import lance_store
from side4video.search.stores.lance_store import LanceStore


def test_files_are_compacted_whenever_the_windows_have_doubled(tmp_path, monkeypatch):
    monkeypatch.setattr(index_writer, "OPTIMISE_WINDOWS", 4)
    monkeypatch.setattr(lance_store, "MAX_PENDING_CHANGES", 1)
    store = LanceStore(str(tmp_path / "index"))
    store.write_info(INFO)
    writer = IndexWriter(store, {}, None, commit_seconds=0)
    files = []
    for number in range(16):
        (window,) = make_windows(f"/{number}.mp4")
        writer.add(window.file, [window])
        files.append(len(list((tmp_path / "index/windows.lance/data").iterdir())))
    assert files == [1, 2, 3, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert len(store.files()) == 16
