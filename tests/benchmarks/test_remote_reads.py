"""The measurement of bytes read from stores: one small run."""

import json
from itertools import product

import pytest
from s3fs import S3FileSystem

import remote_reads
from side4video.video.remote_cache import SETTING


@pytest.mark.slow  # starts an S3 server and loads models; what it measures is tested in tests/video and tests/search
def test_a_small_run(tmp_path, monkeypatch):
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "SIDE4VIDEO_CACHE",
        SETTING,
    ):
        monkeypatch.setenv(name, "")  # restored at the end
    S3FileSystem.clear_instance_cache()
    remote_reads.main(["--out", str(tmp_path / "reads.json"), "--seconds", "10"])
    S3FileSystem.clear_instance_cache()
    rows = json.loads((tmp_path / "reads.json").read_text())["rows"]
    assert [(row["address"], row["work"]) for row in rows] == list(product(("s3", "http"), remote_reads.MEASUREMENTS))
    assert all(0 < row["bytes"] <= row["file_bytes"] and row["bytes_again"] == 0 for row in rows)
