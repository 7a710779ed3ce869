"""Zero-shot on real small videos from the command line, and training that starts from class names."""

import json
from collections import Counter

import pytest
import torch

from separate_processes import SeparateProcesses
from side4video.adapters.adapter import load_adapter
from side4video.cli import main
from side4video.config import dump_config
from side4video.models.text.class_names import embed_classes
from side4video.models.text.text_tower import load_configured_tower
from side4video.tasks.recognition.task import RecognitionTask
from side4video.tasks.recognition.zero_shot import evaluate_zero_shot
from side4video.training.loop import train
from side4video.training.run_log import read_log

CPU = torch.device("cpu")
BACKBONE = {
    "name": "vit_base_patch16_clip_quickgelu_224",
    "weights": "random",
    "image_size": 32,
    "model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
}
TEXT = {
    "name": "ViT-B-16-quickgelu",
    "weights": "random",
    "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 2},
}
NAMED = {"backbone": BACKBONE, "text": TEXT, "head": {"fused": True, "init": "text", "frozen_probe": True}}


@pytest.fixture
def from_names(small_run):
    def make(**groups):
        return small_run(**{**NAMED, **groups})

    return make


def test_every_video_is_scored_once(from_names):
    evaluation = evaluate_zero_shot(from_names())
    assert len(evaluation.predictions) == 8
    assert Counter(prediction.label for prediction in evaluation.predictions).most_common(1)[0][1] == 1
    assert not evaluation.unread


def test_the_command_prints_and_writes_scores(motion_videos, capsys, tmp_path):
    out = tmp_path / "scores.json"
    small = (
        "--backbone.name vit_base_patch16_clip_quickgelu_224 --backbone.weights random --backbone.image-size 32 "
        "--backbone.model-args patch_size 8 embed_dim 32 depth 2 num_heads 2 --text.weights random "
        "--text.model-args embed_dim 16 width 32 heads 2 layers 2 --data.workers 0 --device cpu"
    )
    command = ["zero-shot", "b16", "--data.test", str(motion_videos / "test"), *small.split(), "--json", str(out)]
    assert main([*command, "--text.prompts", "a shape moves {}.", "{}"]) == 0
    assert "8 videos" in capsys.readouterr().out
    assert json.loads(out.read_text())["num_videos"] == 8
    with pytest.raises(SystemExit):
        main([*command, "--text.prompts", "a shape"])
    assert "for the class name" in " ".join(capsys.readouterr().err.split())
    assert main(["zero-shot", "b16", *small.split()]) == 2
    assert "--data.test" in capsys.readouterr().err


def test_a_text_tower_of_another_model_is_refused(motion_videos, capsys):
    command = ["zero-shot", "b32", "--data.test", str(motion_videos / "test"), "--text.name", "ViT-B-16-quickgelu"]
    assert main(command) == 2
    assert "ViT-B-32-quickgelu" in capsys.readouterr().err


def test_training_starts_from_zero_shot_and_the_adapter_needs_no_text_tower(from_names, tmp_path):
    config = from_names()
    task = RecognitionTask(config, CPU)
    task.prepare(tmp_path, resumed=False)
    start, zero_shot = task.evaluate(), evaluate_zero_shot(config)
    for one, other in zip(start.predictions, zero_shot.predictions, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
    train(config, out=tmp_path / "run")
    text = config.text.model_copy(update={"weights": str(tmp_path / "gone.pt")})
    model, adapter = load_adapter(tmp_path / "run", device=CPU)
    classes = embed_classes(load_configured_tower(config), adapter.class_names, config.text.prompts)
    torch.testing.assert_close(model.head.probe.classes, classes)  # frozen: as they were
    path = tmp_path / "run/best/config.json"
    content = json.loads(path.read_text())
    content["settings"]["text"] |= {"weights": text.weights}
    path.write_text(json.dumps(content))
    load_adapter(tmp_path / "run/best", device=CPU)


def test_class_embeddings_are_trained_and_a_run_resumes(from_names, tmp_path):
    config = from_names(head={"fused": True, "init": "text", "frozen_probe": False}, train={"finetuned_lr_scale": 1.0})
    train(config, out=tmp_path / "run")
    model, adapter = load_adapter(tmp_path / "run/last", device=CPU)
    classes = embed_classes(load_configured_tower(config), adapter.class_names, config.text.prompts)
    assert (model.head.probe.classes - classes).abs().max() > 1e-4
    again = train(config, out=tmp_path / "run", resume=True)
    assert again.evaluation is not None
    kept, _ = load_adapter(tmp_path / "run/last", device=CPU)
    torch.testing.assert_close(kept.head.probe.classes, model.head.probe.classes, atol=0, rtol=0)


@pytest.mark.slow
def test_two_processes_with_sharded_frozen_weights_start_and_train_alike(from_names, tmp_path):
    settings = {"batch": 8, "sync_bn": True, "epochs": 2, "log_every": 1, "device": "cpu"}
    train(from_names(train=settings), out=tmp_path / "one")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_config(from_names(train=settings | {"shard_backbone": True})))
    with SeparateProcesses(tmp_path, ["train", recipe, "--out", tmp_path / "two"], world=2) as processes:
        processes.finish()
    losses = [
        [entry["loss"] for entry in read_log(tmp_path / run) if entry["kind"] == "train"] for run in ("one", "two")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_head_from_class_names_works_with_cached_tokens(from_names, tmp_path):
    config = from_names(data={"cache": tmp_path / "cache", "cache_copies": 1}, side={"width": 16, "stem": False})
    task = RecognitionTask(config, CPU)
    task.prepare(tmp_path, resumed=False)
    for one, other in zip(task.evaluate().predictions, evaluate_zero_shot(config).predictions, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)
