"""Outputs at addresses are refused before any work, apart from those that may be there."""

import pytest

from side4video.cli import main
from side4video.commands.local_outputs import refuse_addresses


@pytest.mark.parametrize(
    "line",
    [
        "search index words --csv s3://bucket/found.csv",
        "predict adapter clips --timeline --out=s3://bucket/timelines",
        "embed adapter clips --out gs://bucket/features.npz",
        "check-data --data.train clips --out hf://datasets/name/checked",
        "write-shards clips --out s3://bucket/shards",
        "train own-clips --data.cache s3://bucket/cache",
    ],
)
def test_an_address_is_refused(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert " is an address, but " in error
    assert "Give a path, and copy the result to the address afterwards." in error
    assert not list(tmp_path.iterdir())


def test_runs_and_indexes_may_be_at_addresses(capsys):
    assert main(["train", "no-recipe", "--out", "s3://bucket/run"]) == 2
    assert "There is no recipe 'no-recipe'" in capsys.readouterr().err
    refuse_addresses("index", ["clips", "--to", "s3://bucket/index"])
    refuse_addresses("predict", ["s3://bucket/run", "s3://bucket/clips", "--json", "C:\\found.json"])
