"""Losses and gradients that are not finite: no update, the clips are named, and the run can resume."""

import json

import pytest
import torch
from safetensors.torch import load_file

from side4video.tasks.recognition.task import RecognitionTask
from side4video.training import loop, nonfinite
from side4video.training.loop import train
from side4video.training.nonfinite import has_finite_gradients, reload_clips
from side4video.training.run_log import read_log

BAD_STEP = 4  # the second of the second epoch of three steps


class Poisoned(RecognitionTask):
    """A real task with one clip that has a NaN pixel."""

    def train_batches(self, order):
        step = order.start_step
        for batch in super().train_batches(order):
            if step == BAD_STEP and order.rank == 0:
                batch.clips[1, 0, 0, 3, 3] = torch.nan
            yield batch
            step += 1


@pytest.fixture
def poisoned(monkeypatch):
    monkeypatch.setattr(loop, "build_task", Poisoned)


def weights(folder):
    return load_file(folder / "last" / "model.safetensors")


def test_the_run_stops_before_the_update_and_names_its_clips(poisoned, small_run, tmp_path):
    with pytest.raises(FloatingPointError, match=r"The loss is nan at step 4 on .*\.mp4.*--train\.on-nonfinite skip"):
        train(small_run(), out=tmp_path / "run")
    content = json.loads((tmp_path / "run" / "nonfinite-step-4.json").read_text())
    assert (content["step"], content["epoch"], content["seed"]) == (4, 1, 1024)
    (process,) = content["processes"]
    assert process["losses"] == ["nan"]
    assert len(process["indices"]) == len(process["names"]) == 8


def test_the_same_clips_can_be_read_again(poisoned, small_run, tmp_path, monkeypatch):
    seen = []
    original = loop._Run._backward

    def backward(self, loss, batches):
        seen[:] = batches
        original(self, loss, batches)

    monkeypatch.setattr(loop._Run, "_backward", backward)
    with pytest.raises(FloatingPointError):
        train(small_run(), out=tmp_path / "run")
    content = json.loads((tmp_path / "run" / "nonfinite-step-4.json").read_text())
    task = RecognitionTask(small_run(), torch.device("cpu"))
    again = reload_clips(content, task.train_set)
    assert again.names == seen[0].names == content["processes"][0]["names"]
    different = (again.clips != seen[0].clips).nonzero().tolist()
    assert different == [[1, 0, 0, 3, 3]], "bit for bit, but for the pixel that was spoiled"


@pytest.mark.slow
def test_the_run_resumes_with_skip_or_after_the_cause_is_fixed(small_run, tmp_path, monkeypatch):
    train(small_run(), out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "build_task", Poisoned)
        for name in ("mended", "skipped"):
            with pytest.raises(FloatingPointError):
                train(small_run(), out=tmp_path / name)
        train(small_run(train={"on_nonfinite": "skip"}), out=tmp_path / "skipped", resume=True)
    train(small_run(), out=tmp_path / "mended", resume=True)
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "mended")[name], tensor), f"{name}: the spoiled step left a trace"
    entries = [entry for entry in read_log(tmp_path / "skipped") if entry["kind"] == "nonfinite"]
    assert [(entry["step"], entry["file"]) for entry in entries] == [(4, "nonfinite-step-4.json")]
    assert any(
        not torch.equal(tensor, weights(tmp_path / "skipped")[name])
        for name, tensor in weights(tmp_path / "whole").items()
    )


def test_a_skipped_step_leaves_no_trace_in_the_model(poisoned, small_run, tmp_path, capsys):
    """If the last step is skipped, weights and BatchNorm statistics equal those before it."""
    config = small_run(train={"on_nonfinite": "skip", "checkpoint_minutes": 0}, data={"test": None})
    train(config, out=tmp_path / "run")
    assert "skipped a step: The loss is nan at step 4" in capsys.readouterr().out
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())
    trained = [entry["step"] for entry in read_log(tmp_path / "run") if entry["kind"] == "train"]
    assert trained == [1, 2, 3, 4, 6], "the step counts, its values do not"


def test_too_many_skipped_steps_end_the_run(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(nonfinite, "MAX_CONSECUTIVE_STEPS", 2)
    config = small_run(train={"on_nonfinite": "skip", "lr": 1e30, "warmup_epochs": 0.0}, data={"test": None})
    with pytest.raises(FloatingPointError, match="3 steps in a row were not finite: the weights are the cause"):
        train(config, out=tmp_path / "run")


class NanGradient(RecognitionTask):
    """A real task whose gradient is NaN, whatever the loss is multiplied by."""

    def __init__(self, *args):
        super().__init__(*args)
        self.model.head.linear.weight.register_hook(lambda gradient: gradient * torch.nan)


def test_fp16_stops_at_gradients_that_no_loss_scale_makes_finite(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "build_task", NanGradient)
    config = small_run(train={"precision": "fp16", "batch": 1, "epochs": 1}, data={"test": None})
    with pytest.raises(FloatingPointError, match="gradient is not finite at step 17"):  # from a scale of 2^16
        train(config, out=tmp_path / "run")


def test_gradients_without_a_finite_norm_are_detected():
    parameters = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    assert has_finite_gradients(parameters)
    parameters[0].grad = torch.ones(3)
    assert has_finite_gradients(parameters)
    for bad in (torch.inf, torch.nan):
        parameters[1].grad = torch.tensor([0.0, bad, 0.0])
        assert not has_finite_gradients(parameters)
