"""A loader process of a real run is killed: the run reports it, saves, and resumes bit-identically."""

import multiprocessing
import os
import re
import signal

from side4video.cli import main
from side4video.training.run_log import RunLog, read_log


def steps(folder):
    return sum(entry["kind"] == "train" for entry in read_log(folder))


def test_the_run_ends_with_a_message_and_resumes(recipe, tmp_path, monkeypatch, capsys):
    settings = str(recipe(train={"epochs": 3, "batch": 3}, data={"test": None}))
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert main(["train", settings, "--out", str(whole)]) == 0
    advance, killed = RunLog.update_progress, []

    def kill_a_worker(self, **shown):
        advance(self, **shown)
        if self._bar.n == 3:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "update_progress", kill_a_worker)
        assert main(["train", settings, "--out", str(out), "--data.workers", "1"]) == 2
    printed = capsys.readouterr()
    said = re.search(
        r"LostWorkerError: A loader process \((\d+), SIGKILL\) ended (while it read /|between two)", printed.err
    )
    assert said, printed.err
    assert [int(said[1])] == killed
    saved = int(re.search(r"The state of step (\d+) was saved", printed.out)[1])
    assert 3 <= saved == steps(out) < 24
    assert main(["train", settings, "--out", str(out), "--resume"]) == 0
    assert steps(out) == 24
    last = [(folder / "last" / "model.safetensors").read_bytes() for folder in (whole, out)]
    assert last[0] == last[1]
