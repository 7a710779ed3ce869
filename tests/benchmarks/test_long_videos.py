"""The measurement of long videos: each kind of work once, on films of two and three minutes."""

import json

import pytest

import long_videos


@pytest.mark.slow  # makes and indexes films; what it measures is tested in tests/video and tests/search
def test_a_small_run(tmp_path, capsys):
    long_videos.main(["--out", str(tmp_path / "long.json"), "--minutes", "2", "3", "--rounds", "1"])
    rows = json.loads((tmp_path / "long.json").read_text())["rows"]
    assert [(row["task"], row["minutes"], row["windows"]) for row in rows] == [
        (task, minutes, windows)
        for task, of in (("index", (23, 35)), ("timeline", (117, 177)), ("training on segments", (12, 18)))
        for minutes, windows in zip((2, 3), of, strict=True)
    ]
    assert all(row["bytes"] > row["file_bytes"] * (row["task"] == "index") for row in rows), "an index hashes the file"
    assert all(row["seconds_per_window"] > 0 for row in rows)
    assert all(row["bytes_per_further_window"] > 0 for row in rows)
