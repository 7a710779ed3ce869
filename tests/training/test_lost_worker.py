"""A loader process of a real run is killed: said, saved, resumed bit-identically."""

import os
import re
import signal
import subprocess

from side4video.training.run_log import read_log
from warm_process import wait_until


def children(process):
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    return [int(child) for child in found.stdout.split()]


def steps(folder):
    return sum(entry["kind"] == "train" for entry in read_log(folder))


def test_the_run_ends_with_a_message_and_goes_on(warm, recipe, tmp_path):
    settings = recipe(train={"epochs": 6, "batch": 3}, data={"workers": 1, "test": None})
    whole, out = tmp_path / "whole", tmp_path / "run"
    code, output = warm.run("train", settings, "--out", whole)
    assert code == 0, output
    run = warm.start("train", settings, "--out", out)
    wait_until(lambda: steps(out) >= 3)
    (worker,) = [worker for child in children(run.pid) for worker in children(child)]
    os.kill(worker, signal.SIGKILL)
    code, output = run.finish()
    assert code == 2, output
    assert "Traceback" not in output
    said = re.search(
        r"LostWorkerError: A loader process \((\d+), SIGKILL\) ended (while it read /|between two)", output
    )
    assert said, output
    assert int(said[1]) == worker
    saved = int(re.search(r"The state of step (\d+) was saved", output)[1])
    assert saved == steps(out) < 48
    code, output = warm.run("train", settings, "--out", out, "--resume")
    assert code == 0, output
    assert steps(out) == 48
    last = [(folder / "last" / "model.safetensors").read_bytes() for folder in (whole, out)]
    assert last[0] == last[1]
