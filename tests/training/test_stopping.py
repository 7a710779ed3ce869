"""SIGINT, SIGTERM and SIGUSR1 to real runs: state saved, exit codes, no traceback, workers ended, resumed."""

import json
import os
import signal
import subprocess
import threading

import pytest
from safetensors import safe_open

from side4video.tasks.recognition.task import RecognitionTask
from side4video.training import loop
from side4video.training.loop import train
from side4video.training.run_log import read_log
from side4video.training.stopping import StopSignals, TrainingStopped
from warm_process import wait_until

SETTINGS = {"epochs": 4, "batch": 3, "checkpoint_minutes": 60}


def steps(folder):
    return sum(entry["kind"] == "train" for entry in read_log(folder))


def saved_step(folder):
    with safe_open(folder / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["progress"])["step"]


def group_of(process):
    found = subprocess.run(["pgrep", "-g", str(process)], capture_output=True, text=True)
    return found.stdout.split()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture
def expected(whole, small_run):
    if not whole.exists():
        train(small_run(train=SETTINGS), out=whole)
    return (whole / "last" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [
        (signal.SIGTERM, 143, 2),
        pytest.param(signal.SIGINT, 130, 0, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 138, 0, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_ends_the_run(number, code, workers, warm, recipe, expected, tmp_path):
    settings, out = recipe(train=SETTINGS, data={"workers": workers, "test": None}), tmp_path / "run"
    run = warm.start("train", settings, "--out", out)
    wait_until(lambda: steps(out) >= 3)
    assert not (out / "checkpoint.safetensors").exists(), "none would have been written for an hour"
    if workers:
        os.killpg(run.pid, number)  # to every process of the job, as SLURM does
    else:
        run.send_signal(number)
    ended, output = run.finish()
    assert ended == code, output
    assert "Traceback" not in output
    done = saved_step(out)
    assert f"Stopped by {number.name}. The state of step {done} was saved. Continue it with --resume." in output
    assert 3 <= done == steps(out) < 32
    wait_until(lambda: not group_of(run.pid), seconds=20)
    ended, output = warm.run("train", settings, "--out", out, "--resume")
    assert ended == 0, output
    assert steps(out) == 32
    assert (out / "last" / "model.safetensors").read_bytes() == expected


class StoppedWhileEvaluating(RecognitionTask):
    """A real task that gets a real signal in its second evaluation."""

    evaluations = 0

    def evaluate(self):
        self.evaluations += 1
        if self.evaluations == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().evaluate()


def test_during_an_evaluation_the_epoch_is_saved_and_only_the_evaluation_repeats(expected, whole, small_run, tmp_path):
    config, out = small_run(train=SETTINGS), tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build_task", StoppedWhileEvaluating)
        with pytest.raises(TrainingStopped, match=r"SIGTERM\. The state of step 16 was saved\. --resume evaluates it"):
            train(config, out=out)
    assert saved_step(out) == 16
    train(config, out=out, resume=True)
    assert (out / "last" / "model.safetensors").read_bytes() == expected
    assert (out / "best" / "model.safetensors").read_bytes() == (whole / "best" / "model.safetensors").read_bytes()
    evaluated = [[e["step"] for e in read_log(run) if e["kind"] == "evaluation"] for run in (out, whole)]
    assert evaluated[0] == evaluated[1] == [8, 16, 24, 32]


def enter(block):
    with block:
        pass


def test_without_a_running_step_it_ends_at_once():
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(TrainingStopped, match=r"Stopped by SIGTERM\. Nothing yet"):
            enter(stop.raising_immediately("Nothing yet"))


def test_a_second_signal_ends_the_run_immediately(capfd):
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.first_received(stop.counts()) == signal.SIGINT
        with pytest.raises(TrainingStopped, match="twice"):
            os.kill(os.getpid(), signal.SIGINT)
    assert "SIGINT: the run stops after this step is done" in capfd.readouterr().err


def test_handlers_are_restored_and_other_threads_ignored():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    errors = []

    def elsewhere():
        try:
            with StopSignals() as stop:
                assert stop.first_received(stop.counts()) is None
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not errors
    assert signal.getsignal(signal.SIGTERM) == before
