"""The benchmark of scoring: the compared ways give equal scores, captions share beginnings, and its sums are right."""

import json
from pathlib import Path

import numpy as np
import pytest

from retrieval_scoring import BatchLoop, main, make_texts, make_videos, number_beginnings
from side4video.models.similarity import similarity
from side4video.models.text.tokeniser import clip_tokeniser

RESULTS = Path(__file__).parents[2] / "docs/figures/retrieval-scoring.json"
CAPTIONS = ("a man runs", "a man runs", "a man is cooking", "a dog runs", "the man runs")


def check(content):
    seconds, batches = content["seconds"], content["loop_batches"]
    assert seconds["loop"] == pytest.approx(seconds["loop_as_timed"] * batches["all"] / batches["timed"])
    assert content["times_faster"] == pytest.approx(seconds["loop"] / seconds["ours"])
    assert content["times_faster_without_sharing"] == pytest.approx(seconds["loop"] / seconds["ours_without_sharing"])
    assert content["largest_difference"] < 1e-6
    assert content["captions"]["different_beginnings"] <= content["captions"]["words"] < content["captions"]["places"]


def test_only_equal_beginnings_have_equal_embeddings():
    ids, mask = clip_tokeniser()(CAPTIONS, max_words=8)
    numbers = number_beginnings(ids, mask)
    assert (numbers == 0).equal(~mask)
    tokens = ids.tolist()
    for one, other in np.ndindex(len(CAPTIONS), len(CAPTIONS)):
        for place in range(int(mask[[one, other]].sum(dim=1).min())):
            alike = tokens[one][: place + 1] == tokens[other][: place + 1]
            assert bool(numbers[one, place] == numbers[other, place]) == alike


def test_loop_equals_the_definition():
    ids, mask = clip_tokeniser()(CAPTIONS * 8, max_words=8)
    texts = make_texts(number_beginnings(ids, mask), mask, width=16)
    videos = make_videos(20, num_frames=3, width=16)
    loop = BatchLoop(texts, videos)
    for captions, first in ((0, 0), (16, 0), (32, 16)):
        expected = similarity(texts, videos, "wti")[captions : captions + 16, first : first + 16]
        np.testing.assert_allclose(loop.scores(captions, first), expected, atol=1e-6)


@pytest.mark.parametrize("loop_batches", [0, 1])
def test_small_run_writes_its_results(tmp_path, loop_batches):
    lines = [f"ret{n},msr{n},video{n},{caption}" for n, caption in enumerate(CAPTIONS)]
    (tmp_path / "captions.csv").write_text("key,vid_key,video_id,sentence\n" + "\n".join(lines) + "\n")
    settings = {"captions": tmp_path / "captions.csv", "num-captions": 40, "num-videos": 40, "width": 16, "rounds": 2}
    settings |= {"loop-batches": loop_batches, "out": tmp_path / "found.json"}
    main([word for name, value in settings.items() for word in (f"--{name}", str(value))])
    content = json.loads((tmp_path / "found.json").read_text())
    check(content)
    assert content["loop_batches"] == {"timed": 2 if loop_batches else 9, "all": 9}
    assert content["captions"]["captions"] == 40
    assert content["captions"]["different_captions"] == 4
    assert content["bytes_of_result"] == 4 * 40 * 40
    assert "--num-captions 40" in content["command"]


@pytest.mark.skipif(not RESULTS.exists(), reason="not measured yet")
def test_committed_result_is_consistent():
    content = json.loads(RESULTS.read_text())
    check(content)
    assert (content["captions"]["captions"], content["settings"]["num_videos"]) == (10_000, 10_000)
