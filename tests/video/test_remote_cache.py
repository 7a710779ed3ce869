"""The cache of blocks on disk: what a second run reads, the limit, changed files, several processes, and failures."""

import subprocess
import sys

import numpy as np
import pytest

from side4video.cli import main
from side4video.video import remote, remote_cache, remote_file
from side4video.video.remote import video_path
from side4video.video.remote_cache import SETTING, RemoteCache
from side4video.video.remote_file import open_bytes
from video_server import serving

BLOCK = 2**14
SIZE = 40 * BLOCK


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with a file of 40 blocks, and an empty cache of 1 MB, room for 61 of them."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/noise.mp4").write_bytes(np.random.default_rng(0).bytes(SIZE))
    monkeypatch.setenv("SIDE4VIDEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(SETTING, "0.001")
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(remote, "_pause", lambda seconds: None)
    with serving(tmp_path / "files") as server:
        yield server
    _forget()


def _forget():
    """As in a new process: nothing is in memory."""
    remote_file._shared_content.cache_clear()
    remote_cache._opened.cache_clear()


def _read(server, name="noise.mp4"):
    _forget()
    server.sent.clear()
    with open_bytes(video_path(server.address(name))) as file:
        return file.read()


def test_a_second_run_reads_nothing_from_the_server(server):
    content = (server.folder / "noise.mp4").read_bytes()
    assert _read(server) == content
    assert sum(server.sent) == SIZE
    assert _read(server) == content
    assert server.sent == []


def test_without_the_setting_nothing_is_kept(server, monkeypatch, tmp_path):
    monkeypatch.delenv(SETTING)
    _read(server)
    _read(server)
    assert sum(server.sent) == SIZE
    assert not (tmp_path / "cache").exists()


def test_a_changed_entity_tag_is_read_again(server):
    _read(server)
    (server.folder / "noise.mp4").write_bytes(changed := np.random.default_rng(1).bytes(SIZE))
    assert _read(server) == changed
    assert sum(server.sent) == SIZE


def test_a_file_without_tag_and_time_is_not_cached(server):
    server.tags = False
    _read(server)
    _read(server)
    assert sum(server.sent) == SIZE


def test_a_server_without_ranges_sends_the_file_once_for_several_runs(server):
    server.ranges = False
    content = (server.folder / "noise.mp4").read_bytes()
    assert _read(server) == content
    assert _read(server) == content
    assert server.sent == []


def test_the_limit_holds_and_the_oldest_blocks_go_first(server, tmp_path):
    for name in "abc":
        (server.folder / f"{name}.mp4").write_bytes(np.random.default_rng(ord(name)).bytes(SIZE))
        _read(server, f"{name}.mp4")
        assert remote_cache.remote_cache().num_bytes() <= 10**6
    _read(server, "c.mp4")
    assert server.sent == []
    _read(server, "a.mp4")
    assert sum(server.sent) == SIZE
    remote_cache.remote_cache().close()
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) < 1.1 * 10**6


def test_used_blocks_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_cache, "_USED_SECONDS", 0.0)
    cache = RemoteCache(tmp_path / "blocks", max_bytes=3)
    for number in range(3):
        cache.put("file", number, b"1")
    assert cache.get("file", 0) == b"1"
    cache.put("file", 3, b"1")
    assert [cache.get("file", number) for number in range(4)] == [b"1", None, b"1", b"1"]
    cache.put("file", 4, b"too long")
    assert cache.get("file", 4) is None
    cache.close()


def test_a_smaller_limit_empties_the_cache(tmp_path):
    for limit in (100, 10):
        cache = RemoteCache(tmp_path / "blocks", max_bytes=limit)
        for number in range(8):
            cache.put(f"file {limit}", number, b"12345")
        assert cache.num_bytes() == min(limit, 40)
        cache.close()


def test_a_block_with_a_wrong_checksum_is_replaced(tmp_path):
    cache = RemoteCache(tmp_path / "blocks", max_bytes=100)
    for number in range(2):
        cache.put("file", number, b"12345")
    cache._database.execute("UPDATE blocks SET content = ? WHERE number = 0", (b"12346",))
    assert cache.get("file", 0) is None
    assert cache.num_bytes() == 5
    cache.put("file", 0, b"12345")
    assert [cache.get("file", number) for number in range(2)] == [b"12345"] * 2
    assert cache.num_bytes() == 10
    cache.close()


WRITER = """
import sys, random
from pathlib import Path
from side4video.video.remote_cache import RemoteCache
cache = RemoteCache(Path(sys.argv[1]), max_bytes=200_000)
for number in random.Random(int(sys.argv[2])).sample(range(100), 100):
    content = cache.get("file", number)
    assert content in (None, bytes([number]) * 5000), number
    cache.put("file", number, bytes([number]) * 5000)
    assert cache.num_bytes() <= 200_000
"""


def test_several_processes_share_a_cache(tmp_path):
    place = str(tmp_path / "blocks")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, place, str(seed)]) for seed in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    cache = RemoteCache(tmp_path / "blocks", max_bytes=200_000)
    rows = cache._database.execute("SELECT SUM(size), COUNT(*) FROM blocks").fetchone()
    assert rows == (cache.num_bytes(), 40)
    cache.close()


@pytest.mark.parametrize("kept", [0, 4096])
def test_a_corrupt_cache_is_not_used(server, tmp_path, caplog, kept):
    _read(server)
    remote_cache.remote_cache().close()
    place = tmp_path / "cache/remote/blocks.sqlite"
    place.write_bytes(place.read_bytes()[:kept] + bytes(100_000))
    assert _read(server) == (server.folder / "noise.mp4").read_bytes()
    assert sum(server.sent) == SIZE
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_flag_sets_it_for_any_command(monkeypatch, capsys):
    monkeypatch.setenv(SETTING, "1")
    assert main(["recipes", "--remote-cache-gb", "3"]) == 0
    assert remote_cache.os.environ[SETTING] == "3"
    for wrong in (["--remote-cache-gb", "0"], ["--remote-cache-gb=many"], ["--remote-cache-gb"]):
        assert main(["recipes", *wrong]) == 2
        assert "must be a number above 0" in capsys.readouterr().err
    monkeypatch.setenv(SETTING, "nan")
    with pytest.raises(ValueError, match="SIDE4VIDEO_REMOTE_CACHE_GB = 'nan' must be a number above 0"):
        remote_cache.remote_cache()


@pytest.mark.parametrize(("command", "shown"), [("predict", True), ("train", True), ("share", False)])
def test_help_shows_the_flag_where_videos_are_read(capsys, command, shown):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert ("--remote-cache-gb" in capsys.readouterr().out) == shown
