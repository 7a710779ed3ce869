"""The benchmark of many windows, on few."""

import json

import numpy as np
import pytest

import index_scale


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(index_scale, "own_process", lambda step, *arguments: step(*arguments))
    monkeypatch.setattr(index_scale, "OPTIMISE_WINDOWS", index_scale.CHUNK)


@pytest.mark.slow
def test_small_run_that_is_interrupted(in_this_process, tmp_path):
    flags = ["--out", str(tmp_path / "out.json"), "--folder", str(tmp_path / "index"), "--questions", "2"]
    index_scale.main([*flags, "--sizes", "4000", "--keep"])
    index_scale.main([*flags, "--sizes", "4000", "8000"])
    rows = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [row["windows"] for row in rows] == [4000, 8000]
    assert [row["list"]["videos"] for row in rows] == [40, 80]
    assert rows[1]["bytes"] > 1.9 * rows[0]["bytes"] > 4000 * 512 * 4
    for row in rows:
        assert row["search"]["far"]["recall_at_500"] == 1.0  # so few are compared one by one
    assert not (tmp_path / "index").exists()


def test_truth_is_the_largest_products_of_all():
    found = index_scale.truth(8000, 2)
    means = index_scale.normalised(np.concatenate([index_scale.chunk_means(0), index_scale.chunk_means(1)]))
    for kind, places in found.items():
        scores = index_scale.questions(kind, 2) @ means.T
        np.testing.assert_array_equal(places[:, :10], np.argsort(-scores, axis=1, kind="stable")[:, :10])
