"""The benchmark of exported models: a small run, and the consistency of the committed figures."""

import json
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from exported_models import main

RESULTS = Path(__file__).parents[2] / "docs/figures/exported-models.json"


def check(content):
    assert content["onnx_largest_difference"] < 1e-3 * content["largest_logit"]
    assert content["pt2_largest_relative_difference"] < 1e-4
    assert content["adapter_bytes"] < content["onnx_bytes"]
    assert content["adapter_bytes"] < content["pt2_bytes"]
    assert content["onnx_files"] == 1
    assert min(content["seconds_per_clip"].values()) > 0


@pytest.mark.slow
def test_small_model_is_exported_and_measured(tmp_path, capsys):
    small = ["--depth", "1", "--image-size", "64", "--frames", "2", "--classes", "5", "--runs", "1"]
    main(["--model", "b32", *small, "--json", str(tmp_path / "result.json")])
    content = json.loads((tmp_path / "result.json").read_text())
    check(content)
    assert content["clip"] == [1, 2, 3, 64, 64]
    assert "onnx_bytes" in capsys.readouterr().out


def test_committed_figures_are_consistent():
    check(json.loads(RESULTS.read_text()))
