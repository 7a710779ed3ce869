"""SIGKILL at random moments, also while a checkpoint is written: the resumed run ends bit-identically."""

import random
import signal
import time

import pytest

from side4video.training.checkpoint import has_checkpoint
from side4video.training.run_log import read_log
from warm_process import wait_until


def weights(folder):
    return [(folder / name / "model.safetensors").read_bytes() for name in ("last", "best")]


def steps(folder):
    return sum(entry["kind"] == "train" for entry in read_log(folder))


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_run_survives_kills_at_random_moments(kills, warm, recipe, tmp_path):
    epochs = 6 if kills > 1 else 2
    num_steps = 8 * epochs
    settings = recipe(train={"epochs": epochs, "batch": 3, "checkpoint_minutes": 0}, head={"dropout": 0.2})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    moments = random.Random(kills)
    code, output = warm.run("train", settings, "--out", whole)
    assert code == 0, output
    for kill in range(kills):
        run = warm.start("train", settings, "--out", killed, "--resume")
        done = num_steps * kill // (kills + 1)
        wait_until(lambda done=done: steps(killed) > done and has_checkpoint(killed))
        time.sleep(moments.uniform(0.0, 0.1))  # a step, its checkpoint included, takes about half of that
        run.kill()
        code, output = run.finish()
        assert code == -signal.SIGKILL, output
        assert "is a corrupt checkpoint" not in output  # "is missing" may be: killed between the two renames
    code, output = warm.run("train", settings, "--out", killed, "--resume")
    assert code == 0, output
    assert weights(killed) == weights(whole)
    assert (killed / "metrics.csv").read_text().count("\n") == epochs + 1
    assert steps(killed) == num_steps
    left = [path.name for path in killed.rglob(".*.tmp") if path.stat().st_size]
    assert not left, "what killed processes left half written is removed"
