"""The benchmark of searching, on few videos."""

import json

import numpy as np
import pytest
import torch

import video_search
from side4video.models.similarity import VideoFeatures, similarity
from video_search import Best, Videos


@pytest.mark.slow
def test_small_search_run(tmp_path):
    options = ["--questions", "4", "--rounds", "1", "--shortlists", "30", "120", "--folder", str(tmp_path)]
    sizes = ["--sizes", "120", "--means", "150"]
    video_search.main(["--out", str(tmp_path / "search.json"), *sizes, *options])
    videos, means = json.loads((tmp_path / "search.json").read_text())["results"]
    assert videos["ours"]["120"]["recall_at_10"] == 1.0  # all are scored exactly
    assert videos["faiss_flat"]["recall_at_10"] < 1.0
    assert means["ours"]["recall_at_10"] == means["faiss_flat"]["recall_at_10"] == 1.0
    assert videos["bytes"] > 120 * 12 * 512 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


def test_exact_results_equal_brute_force():
    videos, texts = Videos(), Videos().questions(3)
    frames, weights, _ = videos.chunk(0)
    features = VideoFeatures(torch.from_numpy(frames.astype(np.float32)), torch.from_numpy(weights))
    scores, best = similarity(texts, features, "wti").numpy(), Best(3)
    for start in range(0, 1000, 300):
        best.add(scores[:, start : start + 300], start)
    expected = np.argsort(-scores, axis=1)[:, :10]
    assert best.recall(expected.tolist()) == 1.0
    assert best.recall(np.argsort(scores, axis=1)[:, :10].tolist()) == 0.0
