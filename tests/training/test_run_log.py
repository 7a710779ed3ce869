"""The log of a run is read up to the first invalid line."""

import json

import pytest

from side4video.training.run_log import read_log

ENTRIES = [{"kind": "train", "step": 1, "loss": 0.5}, {"kind": "note", "step": 2}]


@pytest.mark.parametrize(
    "rest",
    [
        b'{"kind": "tra',
        b"\xff\xfe",
        b"\0" * 100,
        b"[1]\n",
        b"3\n",
        b'{"kind": "train"}\n',
        b'{"kind": 3, "step": 3}\n',
        b'{"kind": "train", "step": "3"}\n',
        b"[" * 100_000,
        b'{"kind": "train", "step": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda rest: repr(rest[:30]),
)
def test_reading_stops_at_the_first_invalid_line(rest, tmp_path):
    whole = "".join(json.dumps(entry) + "\n" for entry in ENTRIES).encode()
    (tmp_path / "log.jsonl").write_bytes(whole + rest + b"\n" + whole)
    assert read_log(tmp_path) == ENTRIES


def test_a_run_without_a_log(tmp_path):
    assert read_log(tmp_path) == []
