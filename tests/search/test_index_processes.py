"""Two commands that make the same index at once: one is refused."""

import pytest

from search.windows import windows_of
from side4video.search.stores.open_store import open_store


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
