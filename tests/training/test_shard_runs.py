"""Runs on WebDataset shards: killed and resumed, on two processes, with labels and captions; equal to runs on files."""

import json
from pathlib import Path

import pytest
from test_processes import RECORDING, SYNCED, losses, train_together

from side4video.cli import main
from side4video.config import dump_config
from side4video.training.loop import train
from side4video.training.run_log import read_log
from warm_process import wait_until


@pytest.fixture(scope="module")
def shards(captioned_videos, tmp_path_factory):
    """Shards of 5 of the motion videos each: with labels in train and test, with captions in captions/."""
    folder = tmp_path_factory.mktemp("shards")
    sources = {"train": "train", "test": "test", "captions/train": "train.csv", "captions/test": "test.csv"}
    for name, source in sources.items():
        flags = ["--out", str(folder / name), "--max-count", "5", "--processes", "1"]
        assert main(["write-shards", str(captioned_videos / source), *flags]) == 0
    return folder


SCORES = {"recognition": ("top1", "top5", "mean_class_accuracy"), "retrieval": ("scores", "num_captions")}


def places(shards):
    return {"train": shards / "train", "test": shards / "test"}


def weights(out):
    return [(out / name / "model.safetensors").read_bytes() for name in ("last", "best")]


def steps(out):
    return sum(entry["kind"] == "train" for entry in read_log(out))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["recognition", "retrieval"])
def test_a_killed_run_ends_bit_identically(
    task, shards, small_run, small_retrieval_run, captioned_videos, warm, tmp_path
):
    settings = {"train": {"epochs": 3, "batch": 5, "checkpoint_minutes": 0}}
    if task == "recognition":
        make, files = small_run, {"train": captioned_videos / "train", "test": captioned_videos / "test"}
        settings |= {"head": {"dropout": 0.2}}
        data = places(shards)
    else:
        make, files = small_retrieval_run, {}
        data = places(shards / "captions")
    (tmp_path / "run.yaml").write_text(dump_config(make(data=data | {"workers": 1}, **settings)))
    command = ("train", tmp_path / "run.yaml", "--out", tmp_path / "killed")
    for after in (2, 8):  # an epoch has 5 steps
        run = warm.start(*command, "--resume")
        wait_until(lambda after=after, run=run: run.poll() is not None or steps(tmp_path / "killed") >= after)
        run.kill()
        code, output = run.finish()
        assert code < 0, output
        assert after <= steps(tmp_path / "killed") < 15
    code, output = warm.run(*command, "--resume")
    assert code == 0, output
    assert "Shards:" in output
    train(make(data=data | {"workers": 0}, **settings), out=tmp_path / "whole")
    train(make(data=files | {"workers": 0}, **settings), out=tmp_path / "files")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole") == weights(tmp_path / "files")
    assert losses(tmp_path / "killed") == losses(tmp_path / "files")
    killed, files = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("killed", "files"))
    assert {name: killed[name] for name in SCORES[task]} == {name: files[name] for name in SCORES[task]}
    assert main(["evaluate", str(tmp_path / "killed")]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", ["recognition", "retrieval"])
def test_two_processes_on_shards_equal_one(task, shards, small_run, small_retrieval_run, warm, tmp_path):
    if task == "recognition":
        config = small_run(train=SYNCED, augment={"erasing": 0.0}, data=places(shards))
    else:
        config = small_retrieval_run(train=SYNCED | {"lr": 1e-4}, data=places(shards / "captions"))
    script = tmp_path / "recording.py"
    script.write_text(RECORDING if task == "recognition" else RECORDING.replace("recognition", "retrieval"))
    if task == "retrieval":
        script.write_text(script.read_text().replace("RecognitionTask", "RetrievalTask"))
    taken, found = {}, {}
    for world in (1, 2):
        out = tmp_path / f"on-{world}"
        train_together(warm, tmp_path, world, config, out, script=script)
        shares = [Path(f"{out}-order-{rank}.txt").read_text().splitlines() for rank in range(world)]
        taken[world] = [[index for part in step for index in json.loads(part)] for step in zip(*shares, strict=True)]
        found[world] = losses(out)
    assert taken[1] == taken[2]
    for epoch in (taken[2][:3], taken[2][3:]):
        assert sorted(index for step in epoch for index in step) == list(range(24)), "every sample once"
    assert found[2] == pytest.approx(found[1], rel=1e-4)
    assert json.loads((tmp_path / "on-2/evaluation.json").read_text())["num_videos"] == 8
