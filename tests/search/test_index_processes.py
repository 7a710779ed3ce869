"""Indexing with two processes: processes of one run share the work, and a second command is refused."""

import json
import shutil

import pytest

from search.test_index_kills import assert_same, content
from search.windows import windows_of
from separate_processes import SeparateProcesses
from side4video.cli import main
from side4video.search.stores.open_store import open_store


def test_two_processes_give_the_index_of_one(warm, adapter, videos, tmp_path, write_noise):
    (videos / "broken.mp4").write_bytes(b"no video")
    write_noise(videos / "long.mp4", 90.0)
    shutil.copy(next(videos.glob("*/*.mp4")), videos / "copy.mp4")
    options = ["--model", str(adapter), "--device", "cpu", "--workers", "0", "--commit-seconds", "0"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["index", str(videos), "--to", str(one), *options, "--json", str(tmp_path / "one.json")]) == 1
    command = ["index", videos, "--to", two, *options, "--json", tmp_path / "two.json"]
    with SeparateProcesses(tmp_path, command, world=2, warm=warm) as run:
        codes = [run.wait(rank)[0] for rank in range(2)]
        said = "".join(map(run.said, range(2)))
    assert codes == [1, 1], said[-3000:]  # one file is broken, as above
    assert_same(content(two), content(one))
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert first.pop("seconds") > 0
    assert second.pop("seconds") > 0
    assert first == second
    assert (second["embedded"], second["moved"], second["windows"]) == (9, 1, 26)
    assert said.count("9 embedded, 0 unchanged") == 1


@pytest.mark.slow  # `test_indexing.py` has one command that finds the lock taken
def test_one_of_two_concurrent_commands_creates_the_index(warm, adapter, tmp_path, write_noise):
    """The commands ask for different windows; the index has those of the first one."""
    write_noise(tmp_path / "videos/long.mp4", 60.0)
    index, lengths = tmp_path / "index", (20.0, 30.0)
    options = ["--model", adapter, "--device", "cpu", "--workers", "0", "--window-seconds"]
    runs = [warm.start("index", tmp_path / "videos", "--to", index, *options, seconds) for seconds in lengths]
    ends = [run.finish() for run in runs]
    assert sorted(code for code, _ in ends) == [0, 2], ends
    ((made, _),) = [(seconds, said) for seconds, (code, said) in zip(lengths, ends, strict=True) if code == 0]
    (refused,) = [said for code, said in ends if code == 2]
    assert "is being indexed by another process" in refused or f"was made with window_seconds = {made:g}" in refused
    store = open_store(index)
    assert store.read_info().window_seconds == made
    assert windows_of(store, str(tmp_path / "videos/long.mp4"))[0].end_seconds == made
    store.close()
