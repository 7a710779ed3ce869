"""Sets of clips from settings: the same frames in validation and evaluation, and sizes that are checked early."""

import json

import pytest
import torch

from side4video.adapters.adapter import read_adapter
from side4video.cli import main
from side4video.config import parse_config
from side4video.data.datasets import ClipKey
from side4video.data.transforms import EvalTransform, TrainTransform
from side4video.tasks.clips import check_resize, evaluation_clips, train_clips
from side4video.tasks.recognition.evaluate import evaluate_adapter
from side4video.tasks.recognition.task import RecognitionTask
from side4video.tasks.retrieval.task import RetrievalTask
from side4video.training.loop import train
from side4video.video.decoding import open_video

CPU = torch.device("cpu")
SQUASHED = {"augment": {"resize": (36, 43)}, "eval": {"resize": None}}


@pytest.fixture(scope="module")
def task(small_run):
    """A task that resizes frames of 32 x 32 pixels to 36 x 43 in training, otherwise with default settings."""
    return RecognitionTask(small_run(**SQUASHED), CPU)


def frames_of(clips, place=0):
    """The frames that the clips take from a video, as they are decoded."""
    with open_video(clips.videos[place].path) as file:
        return file.read(clips.sampling.test(file.num_frames)[0])


def transform(task, **settings):
    backbone = task.model.backbone
    return EvalTransform(
        image_size=32, mean=backbone.mean, std=backbone.std, interpolation=backbone.interpolation, **settings
    )


def test_evaluation_changes_the_aspect_ratio_if_training_does(task):
    found = task.test_set[0].frames
    assert torch.equal(found, transform(task, resize=(36, 43))(frames_of(task.test_set)))
    assert not torch.allclose(found, transform(task, resize=36)(frames_of(task.test_set)), atol=0.1)


@pytest.mark.parametrize("style", ["even", "paper"])
def test_crops_are_of_the_style_of_the_settings(task, small_run, style):
    config = small_run(augment={"resize": (36, 43)}, eval={"resize": None, "crops": 3, "crop_style": style})
    clips = evaluation_clips(task.test_set.videos, config=config, backbone=task.model.backbone)
    styles = {name: transform(task, resize=(36, 43), num_crops=3, style=name) for name in ("even", "paper")}
    crops = {name: transform(frames_of(clips)) for name, transform in styles.items()}
    assert torch.equal(clips[0].frames, crops.pop(style))
    assert not torch.equal(clips[0].frames, *crops.values())


@pytest.mark.parametrize("crop", ["torchvision", "paper"])
def test_random_crops_follow_the_settings(task, small_run, crop):
    config = small_run(augment={"resize": 32, "random_crop": crop, "erasing": 0.0})
    backbone = task.model.backbone
    clip = train_clips(task.data.train.videos, config=config, backbone=backbone)[ClipKey(0, 0)].frames
    clips = {}
    for name in ("torchvision", "paper"):
        transform = TrainTransform(
            image_size=32,
            mean=backbone.mean,
            std=backbone.std,
            interpolation=backbone.interpolation,
            resize=32,
            random_crop=name,
            flip=0.0,
        )
        kept = train_clips(task.data.train.videos, config=config, backbone=backbone)
        kept.transform = transform
        clips[name] = kept[ClipKey(0, 0)].frames
    assert torch.equal(clip, clips.pop(crop))
    assert not torch.equal(clip, *clips.values())


def test_training_validates_with_the_frames_of_the_final_evaluation(small_run, tmp_path):
    config = small_run(train={"epochs": 1}, **SQUASHED)
    validated = train(config, out=tmp_path / "run").evaluation.to_json()
    settings = read_adapter(tmp_path / "run" / "best").config.eval
    scored, kept = (
        evaluate_adapter(tmp_path / "run", data=config.data, settings=changed, device="cpu").to_json()
        for changed in (settings, settings.model_copy(update={"resize": 36}))
    )
    assert json.loads(json.dumps(scored)) == json.loads(json.dumps(validated))
    assert kept != scored  # frames of another shape are other frames


# Sizes


@pytest.mark.parametrize(
    ("trained", "given", "tested"),
    [
        (None, None, None),
        (256, None, None),
        ((256, 320), None, (256, 320)),
        ((256, 320), 224, 224),
        (None, (256, 320), (256, 320)),
        ((256, 320), (240, 300), (240, 300)),
    ],
)
def test_size_at_evaluation(trained, given, tested):
    config = parse_config({"augment": {"resize": trained}, "eval": {"resize": given}}, source="any")
    assert config.test_resize == tested


@pytest.mark.parametrize(
    ("trained", "tested", "message"),
    [
        (None, None, ""),
        (256, 240, ""),
        ((256, 320), None, ""),
        ((256, 320), (240, 300), ""),
        ((256, 320), 256, "(256, 320) gives all frames one shape, and eval.resize = 256 keeps the shape of the video"),
        (256, (256, 320), "256 keeps the shape of the video, and eval.resize = (256, 320) gives all frames one shape"),
        ((256, 320), (256, 256), "(256, 320) gives all frames one shape, and eval.resize = (256, 256) gives all"),
    ],
)
def test_other_shapes_at_evaluation_than_in_training_are_warned_about(trained, tested, message, capsys):
    check_resize(parse_config({"augment": {"resize": trained}, "eval": {"resize": tested}}, source="any"))
    printed = capsys.readouterr().out
    assert message in printed
    assert ("tested on frames of another shape than it was trained on" in printed) == bool(message)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"eval": {"resize": 200}}, r"eval\.resize = 200 makes frames smaller than image_size = 224"),
        ({"eval": {"resize": (256, 200)}}, r"eval\.resize = \(256, 200\) makes frames smaller than image_size = 224"),
        ({"augment": {"resize": (200, 320)}}, r"augment\.resize = \(200, 320\) makes .* image_size = 224"),
        (
            {"backbone": {"image_size": 288}, "eval": {"resize": 256}},
            r"eval\.resize = 256 makes frames smaller than image_size = 288",
        ),
    ],
)
@pytest.mark.parametrize("kind", [RecognitionTask, RetrievalTask])
def test_frames_smaller_than_the_crop_are_refused_before_anything_is_read_or_loaded(groups, message, kind):
    """The weights, the data and the text tower in these settings do not exist."""
    config = parse_config({"backbone": {"weights": "nowhere.safetensors"}, "train": {"batch": 2}} | groups, source="x")
    with pytest.raises(ValueError, match=message):
        kind(config, CPU)


def test_a_model_of_another_size_takes_smaller_frames():
    check_resize(parse_config({"backbone": {"image_size": 160}, "eval": {"resize": 200}}, source="any"))
    check_resize(parse_config({"backbone": {"name": "no_such_model"}, "eval": {"resize": 2}}, source="any"))


def test_the_command_line_takes_height_and_width_and_refuses_less_than_the_crop(tmp_path, capsys):
    command = ["train", "ssv2-b16", "--data.train", "none.json", "--out", str(tmp_path / "run")]
    assert main([*command, "--eval.resize", "256", "200"]) != 0
    printed = capsys.readouterr()
    assert "eval.resize = (256, 200) makes frames smaller than image_size = 224" in printed.out + printed.err
    assert main([*command, "--eval.resize", "256", "320"]) != 0
    printed = capsys.readouterr()
    assert "eval.resize" not in printed.out + printed.err
    assert "none.json" in printed.out + printed.err
