"""Embedding videos, and ranking them by sentences, on the command line."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open

from side4video.cli import main
from side4video.inference.embedder import Embedder
from side4video.training.loop import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("retrieval") / "run"


@pytest.fixture
def trained(run, small_retrieval_run):
    if not run.exists():
        train(small_retrieval_run(train={"epochs": 1}), out=run)
    return run


def test_files_contain_the_embeddings(trained, captioned_videos, tmp_path):
    videos, texts = captioned_videos / "test", ["a star", "a shape moves clockwise, or so"]
    command = ["embed", str(trained), str(videos), "--text", *texts, "--device", "cpu"]
    for name in ("found.npz", "found.safetensors"):
        assert main([*command, "--out", str(tmp_path / name)]) == 0
    embedder = Embedder(trained, device="cpu")
    paths = sorted(videos.glob("*/*.mp4"))
    expected_videos, expected_texts = embedder.embed_videos(paths), embedder.embed_texts(texts)
    expected = {
        "frames": expected_videos.features.frames,
        "frame_weights": expected_videos.features.weights,
        "video": expected_videos.features.frames.mean(dim=1),
        "words": expected_texts.features.words,
        "word_mask": expected_texts.features.mask,
        "word_weights": expected_texts.features.weights,
        "sentence": expected_texts.features.sentence,
    }
    with np.load(tmp_path / "found.npz", allow_pickle=False) as arrays:
        assert arrays["paths"].tolist() == [str(path) for path in paths]
        assert arrays["texts"].tolist() == texts
        assert arrays.keys() == {*expected, "paths", "texts"}
        for name, tensor in expected.items():
            np.testing.assert_allclose(arrays[name], tensor.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
    with safe_open(tmp_path / "found.safetensors", "pt") as file:
        assert json.loads(file.metadata()["paths"]) == [str(path) for path in paths]
        for name, tensor in expected.items():
            torch.testing.assert_close(file.get_tensor(name), tensor, rtol=1e-4, atol=1e-5)


def test_a_broken_video_is_reported_and_the_others_are_ranked(trained, captioned_videos, tmp_path, capsys):
    shutil.copytree(captioned_videos / "test", tmp_path / "videos")
    (tmp_path / "videos/clockwise/0001.mp4").write_bytes(b"no video")
    found, texts = tmp_path / "found.json", ["a star", "a ring"]
    command = ["predict", str(trained), str(tmp_path / "videos"), "--text", *texts, "--top-k", "2"]
    assert main([*command, "--json", str(found), "--device", "cpu"]) == 1
    content = json.loads(found.read_text())
    assert [query["text"] for query in content["queries"]] == texts
    for query in content["queries"]:
        scores = [video["score"] for video in query["videos"]]
        assert len(scores) == 2
        assert scores == sorted(scores, reverse=True)
    assert [video["path"] for video in content["unread"]] == [str(tmp_path / "videos/clockwise/0001.mp4")]
    printed = capsys.readouterr()
    assert "clockwise/0001.mp4" in printed.err
    assert "a ring" in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "RUN", "VIDEOS"], "give --text"),
        (["embed", "RUN", "VIDEOS", "--out", "found.txt"], "are written to .npz or .safetensors"),
        (["embed", "RUN", "--out", "found.npz"], "Nothing to embed"),
        (["embed", "RUN", "--text", " ", "--out", "found.npz"], "no empty ones"),
    ],
)
def test_invalid_arguments_are_refused(trained, captioned_videos, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(trained), "VIDEOS": str(captioned_videos / "test")}
    assert main([places.get(argument, argument) for argument in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("found*"))


def test_unreadable_videos_only_are_an_error(trained, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert main(["predict", str(trained), str(tmp_path), "--text", "a star", "--device", "cpu"]) == 2
    assert "None of the 1 videos can be read" in capsys.readouterr().err
