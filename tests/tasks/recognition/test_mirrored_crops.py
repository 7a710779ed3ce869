"""Ten crops: five of them are mirrored, and show the other one of two classes that differ in left and right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from side4video.config import EvalConfig, RunConfig
from side4video.data.lists.annotations import LabelledVideo, VideoList
from side4video.data.loading.loader import test_loader as make_loader
from side4video.demo.videos import write_video
from side4video.inference.predictor import Predictor
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.recognition.baselines import training_tokens
from side4video.tasks.recognition.data import RecognitionData, mirrored_views_warning
from side4video.tasks.recognition.evaluate import evaluate

EARLIER = Path(__file__).parents[2] / "earlier" / "adapter"
SIDES = ("lean left", "lean right")


class BrighterSide(nn.Module):
    """Two logits: how bright the left and the right half of the frames are. It makes no mistake."""

    def forward(self, clips):
        left, right = clips.chunk(2, dim=-1)
        return torch.stack([left.mean(dim=(1, 2, 3, 4)), right.mean(dim=(1, 2, 3, 4))], dim=1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("sides"), []
    for label, name in enumerate(SIDES):
        frames = np.zeros((12, 32, 48, 3), np.uint8)
        frames[:, :, 24 * label : 24 * (label + 1)] = 255
        write_video(folder / f"{name}.mp4", frames, frames_per_second=10)
        found.append(LabelledVideo(folder / f"{name}.mp4", label, name))
    return found


@pytest.fixture(scope="module")
def predictor():
    found = Predictor(EARLIER, device="cpu", num_crops=10)
    found.adapter = replace(found.adapter, class_names=SIDES)
    return found


def scores_of(clips, class_names):
    batches = make_loader(clips, batch_clips=1, workers=0)
    settings = EvalConfig(crops=10, batch=32)
    found = evaluate(BrighterSide(), batches, class_names=class_names, device=torch.device("cpu"), settings=settings)
    return {prediction.name: prediction.scores[0] for prediction in found.predictions if prediction.right}


@pytest.mark.parametrize("class_names", [SIDES, ("SwipeLeft", "SwipeRight"), ("clockwise", "anticlockwise")])
def test_mirrored_crops_count_for_the_other_class(predictor, videos, class_names):
    config = RunConfig.model_validate({"eval": {"crops": 10}, "data": {"num_frames": 4}})
    clips = evaluation_clips(videos, config=config, backbone=predictor.model.backbone)
    scores = scores_of(clips, class_names)
    assert scores.keys() == set(SIDES)
    assert min(scores.values()) > 0.6  # each view is above it, and the mean of a view and its mirror image is 0.5


def test_other_classes_keep_their_scores_in_mirrored_crops(predictor, videos):
    config = RunConfig.model_validate({"eval": {"crops": 10}, "data": {"num_frames": 4}})
    clips = evaluation_clips(videos, config=config, backbone=predictor.model.backbone)
    assert not {name for name, score in scores_of(clips, ("jump", "run")).items() if score > 0.55}


def test_a_prediction_with_ten_crops_does_the_same(predictor, videos, monkeypatch):
    monkeypatch.setattr(predictor.model, "classify", lambda frames, blocks: BrighterSide()(frames))
    for video in videos:
        best = predictor.predict(video.path)[0]
        assert best.name == video.name
        assert best.score > 0.6


def test_probes_do_not_learn_from_mirrored_crops(predictor, videos):
    settings = {"eval": {"crops": 10}, "data": {"num_frames": 4, "workers": 0}, "augment": {"flip": 0.0}}
    data = RecognitionData(VideoList(tuple(videos), SIDES, "sides"), None, SIDES, ())
    tokens = training_tokens(RunConfig.model_validate(settings), data, predictor.model.backbone)
    assert tokens.views == 5
    others = replace(data, class_names=("jump", "run"))
    assert training_tokens(RunConfig.model_validate(settings), others, predictor.model.backbone).views == 10


def test_directions_without_their_opposite_get_a_warning():
    assert "'turn left'" in mirrored_views_warning(["turn left", "jump"], 10)
    assert mirrored_views_warning(["turn left", "jump"], 5) is None
    assert mirrored_views_warning(SIDES, 10) is None
