"""A training and a test video crash the decoder with a real signal: the run equals one with corrupt files instead."""

import json
import shutil

import pytest

from crashing_transforms import CrashingEvalTransform, CrashingTrainTransform, KilledTrainTransform
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.tasks import clips
from side4video.training.loop import train
from side4video.training.run_log import RunLog, read_log

CRASHING = "clockwise/crashes.mp4"


@pytest.fixture
def sets(motion_videos, tmp_path):
    """Both sets with one more file, which is not a video yet."""
    for name in ("train", "test"):
        shutil.copytree(motion_videos / name, tmp_path / name)
        (tmp_path / name / CRASHING).write_bytes(b"no video")
    return {"train": tmp_path / "train", "test": tmp_path / "test", "overlap": "allow"}  # the crashing file


def trained(folder):
    return [(folder / name / "model.safetensors").read_bytes() for name in ("best", "last")]


def facts(folder):
    """The results of a run without the reasons why files could not be read."""
    failures = [(entry["name"], entry["step"]) for entry in read_log(folder) if entry["kind"] == "failure"]
    evaluation = json.loads((folder / "evaluation.json").read_text())
    return failures, [video["name"] for video in evaluation["unread"]], evaluation["top1"]


@pytest.mark.slow
def test_run_continues_without_the_crashing_video_even_after_resume(small_run, make_video, sets, tmp_path, monkeypatch):
    def config(workers):
        settings = {"epochs": 2, "batch": 9, "checkpoint_minutes": 0}
        return small_run(data=sets | {"workers": workers}, train=settings, eval={"max_unread": 0.2, "every": 2})

    train(config(0), out=tmp_path / "whole")
    for name in ("train", "test"):
        make_video(sets[name] / CRASHING, [255] * 12)
    monkeypatch.setattr(clips, "TrainTransform", CrashingTrainTransform)
    monkeypatch.setattr(clips, "EvalTransform", CrashingEvalTransform)
    advance = RunLog.update_progress

    def stop_in_second_epoch(self, **shown):
        advance(self, **shown)
        if self._bar.n > 4:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "update_progress", stop_in_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(config(1), out=run)
    train(config(2), out=run, resume=True)
    assert trained(run) == trained(tmp_path / "whole")
    assert facts(run) == facts(tmp_path / "whole")
    assert facts(run)[1] == [CRASHING]
    assert [name for name, _ in facts(run)[0]] == [CRASHING] * 2, "once in each epoch"
    (entry,) = json.loads((run / "evaluation.json").read_text())["unread"]
    assert entry["reason"].startswith("its decoder crashed the process that read it (SIGABRT).")


def test_a_process_killed_by_the_system_ends_the_run(small_run, make_video, sets, tmp_path, monkeypatch):
    make_video(sets["train"] / CRASHING, [255] * 12)
    monkeypatch.setattr(clips, "TrainTransform", KilledTrainTransform)
    config = small_run(data=sets | {"workers": 1, "test": None}, train={"epochs": 1})
    with pytest.raises(LostWorkerError, match=rf"SIGKILL\) ended while it read .*{CRASHING}"):
        train(config, out=tmp_path / "run")
