"""A real SIGKILL in the middle of an epoch, with worker processes, and the same command again with --resume."""

import signal
import subprocess
import sys
import time

import pytest

from side4video.config import dump_config


def start(config_path, out, *flags):
    command = [sys.executable, "-m", "side4video", "train", str(config_path), "--out", str(out), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def steps_logged(out):
    path = out / "log.jsonl"
    return path.read_text().count('"kind": "train"') if path.is_file() else 0


def kill_when(process, ready):
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the run got nowhere"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_run_ends_with_bit_identical_weights(small_run, tmp_path):
    config = small_run(
        data={"workers": 2}, train={"epochs": 3, "batch": 3, "checkpoint_minutes": 0}, head={"dropout": 0.2}
    )
    config_path = tmp_path / "run.yaml"
    config_path.write_text(dump_config(config), encoding="utf-8")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(config_path, whole))

    kill_when(process := start(config_path, killed), lambda: steps_logged(killed) >= 3)  # 8 steps in an epoch
    assert 3 <= steps_logged(killed) < 8, "it was killed in the middle of the first epoch"
    kill_when(process := start(config_path, killed, "--resume"), lambda: steps_logged(killed) >= 13)
    assert process.returncode == -signal.SIGKILL
    finish(start(config_path, killed, "--resume"))

    for name in ("last", "best"):
        expected = (whole / name / "model.safetensors").read_bytes()
        assert (killed / name / "model.safetensors").read_bytes() == expected
    assert steps_logged(killed) == steps_logged(whole) == 24
