"""A training video and a test video that hang whoever reads them: skipped and counted, or the run stops, in time."""

import json
import os
import shutil

import pytest

from side4video.training.run_log import read_log

HANGING = "clockwise/hangs"


@pytest.fixture
def sets(motion_videos, tmp_path):
    """Both sets with one folder of frames more, whose only frame is a pipe that nobody writes to."""
    for name in ("train", "test"):
        shutil.copytree(motion_videos / name, tmp_path / name)
        (tmp_path / name / HANGING).mkdir()
        os.mkfifo(tmp_path / name / HANGING / "img_00001.jpg")
    return {"train": tmp_path / "train", "test": tmp_path / "test", "workers": 1, "timeout_seconds": 2.0}


def test_it_is_skipped_and_counted(warm, recipe, sets, tmp_path):
    settings = recipe(train={"epochs": 2}, data=sets, eval={"max_unread": 0.2, "every": 2})
    code, output = warm.run("train", settings, "--out", tmp_path / "run")
    assert code == 0, output
    reason = "reading it took more than 2 seconds (data.timeout_seconds)."
    failures = [entry for entry in read_log(tmp_path / "run") if entry["kind"] == "failure"]
    assert [(entry["name"], entry["reason"]) for entry in failures] == [(HANGING, reason)] * 2, "once in each epoch"
    unread = json.loads((tmp_path / "run" / "evaluation.json").read_text())["unread"]
    assert unread == [{"name": HANGING, "reason": reason}]
    code, output = warm.run(
        *("evaluate", tmp_path / "run", "--data.test", sets["test"], "--data.workers", 1),
        *("--data.timeout-seconds", 2, "--eval.max-unread", 0.2),
    )
    assert f"not read: {HANGING}: {reason}" in output
    assert code == 1, output


@pytest.mark.slow
def test_or_the_run_stops(warm, recipe, sets, tmp_path):
    settings = recipe(train={"epochs": 1}, data=sets | {"on_error": "stop"})
    code, output = warm.run("train", settings, "--out", tmp_path / "run")
    assert code == 2, output
    assert f"{HANGING}: reading it took more than 2 seconds (data.timeout_seconds)." in output
    assert "Traceback" not in output
