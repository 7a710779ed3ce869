"""A training and a test video make their reader hang: they are skipped and counted, or the run stops, in time."""

import json
import os
import shutil

import pytest

from side4video.cli import main
from side4video.training.loop import train
from side4video.training.run_log import read_log

HANGING = "clockwise/hangs"
REASON = "reading it took more than 2 seconds (data.timeout_seconds)."


@pytest.fixture
def sets(motion_videos, tmp_path):
    """Both sets with one more frame folder, whose only frame is a pipe without a writer."""
    for name in ("train", "test"):
        shutil.copytree(motion_videos / name, tmp_path / name)
        (tmp_path / name / HANGING).mkdir()
        os.mkfifo(tmp_path / name / HANGING / "img_00001.jpg")
    return {"train": tmp_path / "train", "test": tmp_path / "test", "workers": 1, "timeout_seconds": 2.0}


@pytest.mark.slow
def test_hanging_video_is_skipped_and_counted(small_run, sets, tmp_path, capsys):
    run = tmp_path / "run"
    train(small_run(train={"epochs": 2}, data=sets, eval={"max_unread": 0.2, "every": 2}), out=run)
    failures = [entry for entry in read_log(run) if entry["kind"] == "failure"]
    assert [(entry["name"], entry["reason"]) for entry in failures] == [(HANGING, REASON)] * 2, "once in each epoch"
    unread = json.loads((run / "evaluation.json").read_text())["unread"]
    assert unread == [{"name": HANGING, "reason": REASON}]
    flags = ("--data.test", sets["test"], "--data.workers", 1, "--data.timeout-seconds", 2, "--eval.max-unread", 0.2)
    assert main(["evaluate", str(run), *map(str, flags)]) == 1
    assert f"not read: {HANGING}: {REASON}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_with_on_error_stop_the_run_stops(small_run, sets, tmp_path):
    with pytest.raises(RuntimeError, match=rf"{HANGING}: {REASON[:20]}"):
        train(small_run(train={"epochs": 1}, data=sets | {"on_error": "stop"}), out=tmp_path / "run")
