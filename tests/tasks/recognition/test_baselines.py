"""Tokens of training clips for probes: the views of a test, and mirrored views with the right class."""

import shutil

import numpy as np
import pytest
import torch

from side4video.models.video_model import build_backbone
from side4video.tasks.recognition.baselines import training_folds, training_tokens
from side4video.tasks.recognition.data import read_data


@pytest.fixture(scope="module")
def tokens_of(small_run, motion_videos, tmp_path_factory):
    """Tokens of two clips of "turn left" and two of "turn right", with other settings."""
    folder = tmp_path_factory.mktemp("turns")
    sources = sorted((motion_videos / "train").glob("*/*.mp4"))
    for place, name in enumerate(("turn left", "turn right")):
        (folder / name).mkdir()
        for source in sources[2 * place : 2 * place + 2]:
            shutil.copy(source, folder / name / source.name)

    def tokens(**groups):
        config = small_run(**groups)
        config = config.model_copy(update={"data": config.data.model_copy(update={"train": folder, "test": None})})
        return training_tokens(config, read_data(config.data), build_backbone(config, device=torch.device("cpu")))

    return tokens


def test_training_clips_have_the_views_of_test_clips(tokens_of):
    tokens = tokens_of(eval={"resize": 40, "clips": 2, "crops": 3})
    assert tokens.views == 6
    assert tokens.places.tolist() == [0, 1, 2, 3]
    assert tokens.clip_labels.tolist() == [0, 0, 1, 1]
    assert not torch.equal(tokens.pooled[0], tokens.pooled[5])
    assert tokens.mirrored_labels is None  # augment.flip is 0


def test_left_and_right_are_exchanged_in_mirrored_views(tokens_of):
    assert tokens_of(augment={"resize": 32, "flip": 0.5}).mirrored_labels.tolist() == [1, 1, 0, 0]


def test_copies_of_a_file_are_not_on_both_sides_of_a_fold(tmp_path, small_run):
    """The clip 0 of class a is also 3 and, wrongly, in class b: a probe would know the held-out clip by heart."""
    for name in "ab":
        (tmp_path / name).mkdir()
        for place in range(5):
            (tmp_path / name / f"{name}{place}.mp4").write_bytes(f"{name}{place}".encode() * 1000)
    for copy in ("a/a3.mp4", "b/b1.mp4"):
        shutil.copy(tmp_path / "a" / "a0.mp4", tmp_path / copy)
    config = small_run(data={"train": tmp_path, "test": None})
    folds, notes = training_folds(np.arange(10), config, read_data(config.data))
    assert any("Copies of one file stay together: 'a/a0.mp4', 'a/a3.mp4', 'b/b1.mp4'." in note for note in notes)
    assert len(np.unique(folds.groups)) == 8
    assert folds.groups[0] == folds.groups[3] == folds.groups[6]
    for train, _ in folds.parts:
        assert {0, 3, 6} <= {*train.tolist()} or not {0, 3, 6} & {*train.tolist()}
