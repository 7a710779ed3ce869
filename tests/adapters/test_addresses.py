"""Adapters at addresses: used like those on this disk, and not trusted."""

import json
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from search.windows import INFO
from side4video import Predictor, VideoIndex, train
from side4video.adapters import addresses
from side4video.adapters.adapter import find_adapter, read_adapter
from side4video.adapters.hub import is_downloaded
from side4video.search.stores.lance_store import LanceStore
from side4video.sharing.share import save_shareable
from side4video.video.remote import video_path

ADDRESS = Path("memory://run")
"""As a command gets it: pathlib drops the second slash."""


@pytest.fixture(scope="module")
def trained(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(small_run(train={"epochs": 1}), out=folder)
    return folder


@pytest.fixture(autouse=True)
def stored(trained, tmp_path, monkeypatch):
    """The run folder at `ADDRESS`, and an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path / "home"))
    addresses.download_from_address.cache_clear()
    MemoryFileSystem.store.clear()
    for path in trained.rglob("*"):
        if path.is_file():
            video_path(f"memory://run/{path.relative_to(trained).as_posix()}").write_bytes(path.read_bytes())
    return video_path("memory://run")


def test_predictions_equal_those_of_the_same_adapter_on_this_disk(trained, motion_videos):
    clip = next(motion_videos.glob("test/*/*.mp4"))
    here, there = (Predictor(place, device="cpu").predict(clip) for place in (trained, "memory://run"))
    assert here == there


def test_only_the_files_of_an_adapter_are_downloaded_and_only_once(stored):
    first = find_adapter(ADDRESS)
    assert sorted(path.name for path in first.iterdir()) == ["config.json", "model.safetensors"]
    (first / "config.json").touch()
    times = [path.stat().st_mtime_ns for path in first.iterdir()]
    addresses.download_from_address.cache_clear()
    assert find_adapter(ADDRESS) == first
    assert [path.stat().st_mtime_ns for path in first.iterdir()] == times
    config = stored / "best/config.json"
    config.write_text(config.read_text() + "\n")
    addresses.download_from_address.cache_clear()
    assert find_adapter(ADDRESS) != first


def test_settings_are_checked_as_those_of_the_hub(stored):
    config = stored / "best/config.json"
    content = json.loads(config.read_text())
    assert content["settings"]["data"]["train"]
    settings = read_adapter(ADDRESS).config.data
    assert is_downloaded(find_adapter(ADDRESS))
    assert (settings.train, settings.test, settings.outside_root) == (None, None, "refuse")
    content["class_names"][0] = "\x1b[2J"
    config.write_text(json.dumps(content))
    addresses.download_from_address.cache_clear()
    with pytest.raises(ValueError, match="control characters"):
        read_adapter(ADDRESS)


def test_what_is_no_adapter_is_refused():
    with pytest.raises(FileNotFoundError, match=r"memory://|/nothing"):
        find_adapter(Path("memory://nothing"))


def test_downloaded_adapters_are_not_shared(tmp_path):
    with pytest.raises(ValueError, match="from an address, copy the adapter folder to this machine"):
        save_shareable(ADDRESS, tmp_path / "shared")


def test_an_address_in_an_index_is_not_fetched(tmp_path):
    LanceStore(str(tmp_path / "index")).write_info(replace(INFO, model=str(ADDRESS)))
    with pytest.raises(ValueError, match=r"An address that an index contains is not fetched\. If you trust it"):
        VideoIndex.open(tmp_path / "index", device="cpu")
    with pytest.raises(ValueError, match="was trained for recognition"):
        VideoIndex.open(tmp_path / "index", model=ADDRESS, device="cpu")
