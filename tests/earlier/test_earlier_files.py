"""Adapters, checkpoints and indexes that an earlier version wrote still load and give the numbers of that time."""

import json
import shutil
from pathlib import Path

import pytest
from make_files import norms

from side4video import Predictor, VideoIndex, load_config, train

NUMBERS = json.loads((Path(__file__).parent / "numbers.json").read_text())


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """A copy of the files as the current folder, which the settings of the run expect."""
    folder = shutil.copytree(Path(__file__).parent, tmp_path / "earlier")
    monkeypatch.chdir(folder)
    return folder


def test_an_adapter_gives_the_same_scores(earlier):
    predictor = Predictor("adapter", device="cpu")
    for path, expected in NUMBERS["classes"].items():
        found = {best.name: best.score for best in predictor.predict(path)}
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_run_resumes_and_ends_with_the_same_numbers(earlier):
    train(load_config("run/config.yaml"), out=Path("run"), resume=True)
    step, evaluation = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    expected_step, expected_evaluation = NUMBERS["last"]
    assert step["step"] == expected_step["step"] == 4
    assert step["loss"] == pytest.approx(expected_step["loss"], abs=1e-5)
    assert step["lr"] == pytest.approx(expected_step["lr"])
    names = ("epoch", "top1", "top5", "mean_class_accuracy", "videos", "unread")
    assert [evaluation[name] for name in names] == [expected_evaluation[name] for name in names]
    found, expected = norms("run/last"), NUMBERS["norms"]
    assert found.keys() == expected.keys()
    for name, norm in expected.items():
        # The gradient of a bias before a norm or softmax is rounding errors, whose sign Adam follows on any processor.
        assert found[name] == pytest.approx(norm, rel=1e-2 if name.endswith("bias") else 1e-5, abs=1e-6), name


def test_an_index_gives_the_same_moments(earlier):
    shutil.unpack_archive("retrieval.zip", "retrieval")
    index = VideoIndex.open("index", model="retrieval", device="cpu")
    for text, expected in NUMBERS["search"].items():
        found = {"/".join(Path(video.file.path).parts[-2:]): video for video in index.search(text)}
        assert found.keys() == {video["path"] for video in expected}
        for video in expected:
            own = found[video["path"]]
            assert own.score == pytest.approx(video["score"], abs=1e-5)
            for match, (word, seconds, similarity) in zip(own.matches, video["matches"], strict=True):
                assert match.word == word
                assert match.seconds == pytest.approx(seconds, abs=1e-3)
                assert match.similarity == pytest.approx(similarity, abs=1e-5)


def test_an_index_refuses_another_model(earlier):
    """The fingerprint in the earlier index still distinguishes models."""
    shutil.unpack_archive("retrieval.zip", "retrieval")
    config = json.loads(Path("retrieval/config.json").read_text())
    config["settings"]["data"]["num_frames"] = 5
    Path("retrieval/config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="settings of frames and pictures differ"):
        VideoIndex.open("index", model="retrieval", device="cpu")
