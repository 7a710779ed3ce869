"""Addresses of indexes: the store that each one opens, and the errors of invalid ones."""

import importlib.util
import json
from dataclasses import replace

import pytest
from qdrant_client import QdrantClient

from search.windows import INFO, make_windows
from side4video import VideoIndex
from side4video.search.stores import serialisation
from side4video.search.stores.lance_store import LanceStore
from side4video.search.stores.open_store import open_store
from side4video.search.stores.qdrant_store import QdrantStore


def make(address):
    store = open_store(address, create=True)
    store.write_info(INFO)
    store.close()
    return address


@pytest.mark.parametrize("scheme", ["", "qdrant+local://"])
def test_index_is_created_and_opened(tmp_path, scheme):
    address = f"{scheme}{tmp_path}/new/index"
    with pytest.raises(FileNotFoundError, match=r"is not an index\. Make one: side4video index VIDEOS\.\.\. --to"):
        open_store(address)
    store = open_store(make(address))
    assert isinstance(store, QdrantStore if scheme else LanceStore)
    assert store.read_info() == INFO
    store.close()


def test_opening_a_folder_without_an_index_creates_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_store(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_relative_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make("index")
    assert (tmp_path / "index" / "windows.lance").is_dir()


def test_an_index_can_be_created_in_an_empty_folder(tmp_path):
    make(tmp_path)
    assert open_store(tmp_path).read_info() == INFO


def test_folders_with_other_files_are_refused(tmp_path):
    (tmp_path / "holiday.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match="contains other files and no index"):
        open_store(tmp_path, create=True)
    with pytest.raises(FileNotFoundError, match="is not an index"):
        open_store(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        open_store(tmp_path / "holiday.mp4", create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.mp4"]


@pytest.mark.parametrize(
    "address",
    [
        "qdrant://",
        "qdrant://host:6333",
        "qdrant:///videos",
        "qdrant://host/a/b",
        "qdrant+local:///videos",
        "qdrant+x://a/b",
    ],
)
def test_addresses_of_qdrant_are_checked(address):
    with pytest.raises(
        ValueError, match=r"is not the address of a Qdrant collection\. Write qdrant://host:port/collection"
    ):
        open_store(address)


def test_unreachable_server_is_reported():
    with pytest.raises(OSError, match=r"qdrant://127\.0\.0\.1:1/videos does not answer as a Qdrant server: .*refused"):
        open_store("qdrant://127.0.0.1:1/videos")


def test_failed_opening_closes_the_store(tmp_path, adapter):
    address = make(f"qdrant+local://{tmp_path}/index/one")
    with pytest.raises(FileNotFoundError, match="is not at its recorded path"):
        VideoIndex.open(address, device="cpu")
    with pytest.raises(ValueError, match="Embeddings of different models"):
        VideoIndex.open(address, model=adapter, device="cpu")
    QdrantClient(path=str(tmp_path / "index")).close()  # one at a time may have the folder


@pytest.mark.parametrize("scheme", ["", "qdrant+local://"])
def test_index_of_a_later_version_is_refused(tmp_path, scheme, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(serialisation, "FORMAT", 3)
        address = make(f"{scheme}{tmp_path}/index/one")
    with pytest.raises(ValueError, match=r"has format 3, of side4video 0\.1\.0; this version reads up to format 2"):
        open_store(address)
    monkeypatch.setattr(serialisation, "FORMAT", 3)
    open_store(address).close()


def test_info_is_plain_json():
    assert json.loads(serialisation.info_to_text(INFO)) == {
        "format": 2,
        "model": "runs/some",
        "fingerprint": "abc-def-ghi",
        "similarity": "wti",
        "num_frames": 3,
        "embed_dim": 8,
        "window_seconds": 10.0,
        "overlap_seconds": 2.0,
        "package_version": "0.1.0",
    }


@pytest.mark.parametrize(
    ("module", "address", "extra"),
    [("lancedb", "index", "search"), ("qdrant_client", "qdrant://host/videos", "qdrant")],
)
def test_missing_packages_are_named(tmp_path, module, address, extra, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    monkeypatch.chdir(tmp_path)
    message = rf"This index needs {module}\. Install it: pip install 'side4video\[{extra}\]'"
    with pytest.raises(ModuleNotFoundError, match=message):
        open_store(address, create=True)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("scheme", ["", "qdrant+local://"])
def test_another_width_of_a_filled_index_is_refused(tmp_path, scheme):
    store = open_store(make(f"{scheme}{tmp_path}/index/one"))
    store.replace(["/a"], make_windows("/a"))
    with pytest.raises(ValueError, match=r"holds (windows|vectors) of"):
        store.write_info(replace(INFO, embed_dim=16))
    assert store.read_info() == INFO
    store.close()


def test_empty_index_accepts_another_width(tmp_path):
    store = open_store(make(tmp_path / "index"))
    store.write_info(replace(INFO, embed_dim=16))
    with pytest.raises(ValueError, match="the index stores 48 numbers"):
        store.replace(["/a"], make_windows("/a"))
    store.write_info(INFO)
    store.replace(["/a"], make_windows("/a"))
    assert store.count_windows() == 1


@pytest.mark.parametrize("scheme", ["", "qdrant+local://"])
def test_writing_before_write_info_is_refused(tmp_path, scheme):
    store = open_store(f"{scheme}{tmp_path}/index/one", create=True)
    with pytest.raises(ValueError, match=r"is not an index yet\. Call write_info first"):
        store.replace(["/a"], make_windows("/a"))
    with pytest.raises(ValueError, match=r"is not an index yet\. Call write_info first"):
        store.set_metadata({"/a": {}})
    store.close()


def test_local_qdrant_is_limited_to_one_process(tmp_path, warm):
    address = f"qdrant+local://{tmp_path}/folder/videos"
    first, second = open_store(make(address)), open_store(address)
    script = tmp_path / "open.py"
    script.write_text(f"from side4video.search.stores.open_store import open_store; open_store({address!r})")
    _, said = warm.run(script=script)
    assert "cannot be opened" in said
    assert "already accessed" in said
    first.close()
    assert second.read_info() == INFO
    second.close()
