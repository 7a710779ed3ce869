"""Checkpoints that are truncated, changed or missing are refused, and the previous one is used."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, safe_open

from side4video.models.video_model import build_video_model
from side4video.training.checkpoint import CHECKPOINT, PREVIOUS, Progress, load_checkpoint, save_checkpoint
from side4video.training.loop import train
from side4video.training.optimizer import build_optimizer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


def settings_of(small_run):
    return small_run(train={"checkpoint_minutes": 0})


@pytest.fixture
def finished(whole, small_run, tmp_path):
    """A copy of one finished run of six steps."""
    if not whole.exists():
        train(settings_of(small_run), out=whole)
    return shutil.copytree(whole, tmp_path / "run")


def step_of(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["progress"])["step"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def almost_empty(path):
    path.write_bytes(b"")


def flip_a_weight(path):
    """One bit in the middle of the tensors: safetensors itself does not notice."""
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)
    load_file(path)


def flip_the_progress(path):
    content = path.read_bytes()
    assert content.count(b'step\\": 6') == 1
    path.write_bytes(content.replace(b'step\\": 6', b'step\\": 5'))


def remove(path):
    path.unlink()


DAMAGES = [cut_short, almost_empty, flip_a_weight, flip_the_progress, remove]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_previous_checkpoint_is_used_with_a_warning(damage, finished, whole, small_run, capsys):
    assert (step_of(finished / CHECKPOINT), step_of(finished / PREVIOUS)) == (6, 5)
    damage(finished / CHECKPOINT)
    train(settings_of(small_run), out=finished, resume=True)
    said = capsys.readouterr().out
    assert f"warning: {finished / CHECKPOINT} is " in said
    assert "Using the previous checkpoint, of step 5." in said
    expected = (whole / "last" / "model.safetensors").read_bytes()
    assert (finished / "last" / "model.safetensors").read_bytes() == expected
    assert step_of(finished / CHECKPOINT) == 6
    assert step_of(finished / PREVIOUS) == 5, "a damaged file does not take the place of a whole one"


def test_an_intact_checkpoint_is_used_without_a_warning(finished, small_run, capsys):
    train(settings_of(small_run), out=finished, resume=True)
    assert "warning" not in capsys.readouterr().out


def test_two_corrupt_checkpoints_are_an_error_with_a_remedy(finished, small_run):
    flip_a_weight(finished / CHECKPOINT)
    cut_short(finished / PREVIOUS)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is a corrupt.*previous.* is a corrupt.*--init-from"):
        train(settings_of(small_run), out=finished, resume=True)


@pytest.mark.parametrize("place", range(0, 1000, 37))
def test_every_byte_of_the_file_is_checked(place, small_run, tmp_path):
    """Each byte is flipped in turn, including header and names: the change is detected or has no effect."""
    settings = small_run()
    model = build_video_model(settings, num_classes=8, device=torch.device("cpu"))
    optimizer = build_optimizer(model, settings.train)
    before = {name: tensor.clone() for name, tensor in model.trained_state().items()}
    save_checkpoint(tmp_path, model=model, optimizer=optimizer, progress=Progress(step=3))
    content = bytearray((tmp_path / CHECKPOINT).read_bytes())
    content[len(content) * place // 1000] ^= 4
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(ValueError, match=r"is a corrupt checkpoint.*There is no checkpoint to resume from"):
        load_checkpoint(tmp_path, model=model, optimizer=optimizer)
    for name, tensor in model.trained_state().items():
        assert torch.equal(tensor, before[name])
