"""A run on videos with several labels, and everything that uses its adapter."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from side4video.adapters.adapter import CONFIG, read_adapter
from side4video.cli import main
from side4video.commands.predict import predict
from side4video.config import ConfigError
from side4video.inference.predictor import Predictor
from side4video.reports.run_report import write_run_report
from side4video.selection.run import train as train_or_search
from side4video.tasks.recognition.evaluate import evaluate_adapter
from side4video.training.loop import train
from side4video.training.run_log import read_log

CLASSES = ("fast", "left", "right")


@pytest.fixture(scope="module")
def lists(motion_videos):
    """Lists of two motions: one shows "left" and "fast", the other "right" alone; one clip of it shows nothing."""
    motions = sorted(path.name for path in (motion_videos / "train").iterdir())[:2]
    for split, count in (("train", 3), ("test", 1)):
        rows = [
            f"{clip.relative_to(motion_videos)},{labels}"
            for motion, labels in zip(motions, ("left|fast", "right"), strict=True)
            for clip in sorted((motion_videos / split / motion).glob("*.mp4"))[:count]
        ]
        if split == "train":
            rows[-1] = rows[-1].replace("right", "")
        (motion_videos / f"several-{split}.csv").write_text("\n".join(["path,label", *rows]))
    return {split: motion_videos / f"several-{split}.csv" for split in ("train", "test")} | {"label_separator": "|"}


@pytest.fixture(scope="module")
def run(lists, small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "run"
    head = {"fused": True}
    config = small_run(
        data=lists | {"cache": folder.parent / "tokens", "cache_copies": 2, "sampling_weights": "balanced"},
        train={"epochs": 2, "batch": 3, "label_smoothing": 0.1},
        head=head,
        eval={"crops": 3, "pool": "max"},
    )
    return train(config, out=folder)


def test_the_run_is_scored_by_map(run):
    found = run.evaluation
    assert found.class_names == CLASSES
    assert 0 < found.mean_average_precision <= 1
    entries = read_log(run.folder)
    assert [set(entry) >= {"mAP", "micro_mAP", "macro_f1"} for entry in entries if entry["kind"] == "evaluation"]
    assert all(0 <= entry["train_top1"] <= 1 for entry in entries if entry["kind"] == "train")
    assert json.loads((run.folder / "probe.json").read_text()).keys() == {"mAP"}


@pytest.mark.parametrize("cached", [False, True])
def test_the_arrow_of_time_ignores_the_labels(lists, small_run, tmp_path, cached):
    data = lists | {"arrow_of_time": True, "cache": tmp_path / "tokens" if cached else None}
    found = train(small_run(data=data, train={"epochs": 1, "batch": 3}), out=tmp_path / "run").evaluation
    assert (found.class_names, found.num_videos) == (("forward", "reversed"), 4)


def test_the_adapter_keeps_its_thresholds_and_where_they_come_from(run, lists):
    adapter = read_adapter(run.folder)
    assert adapter.thresholds == run.evaluation.thresholds
    assert adapter.thresholds.origin.startswith(f"best F1 of each class on 2 videos of {lists['test'].name}")


def test_corrupt_thresholds_are_refused(run, tmp_path):
    for name in ("model.safetensors", CONFIG):
        (tmp_path / name).write_bytes((run.folder / "best" / name).read_bytes())
    content = json.loads((tmp_path / CONFIG).read_text())
    for values in ([0.5, 0.5], [0.5, 0.5, 2.0], [0.5, 0.5, "a"]):
        (tmp_path / CONFIG).write_text(json.dumps(content | {"thresholds": {"values": values, "origin": "x"}}))
        with pytest.raises(ValueError, match="not 3 numbers from 0 to 1"):
            read_adapter(tmp_path)


def test_evaluate_uses_the_thresholds_of_the_adapter(run, lists):
    config = read_adapter(run.folder).config
    found = evaluate_adapter(run.folder, data=config.data, settings=config.eval, device="cpu")
    assert found.thresholds == run.evaluation.thresholds
    assert found.mean_average_precision == pytest.approx(run.evaluation.mean_average_precision)
    assert found.views == 3


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor(run.folder, device="cpu")


def test_predict_gives_every_class_above_its_threshold(run, predictor, lists):
    path = lists["test"].parent / lists["test"].read_text().splitlines()[1].split(",")[0]
    every = predictor.predict(path, top_k=3)
    assert sum(one.score for one in every) != pytest.approx(1)
    limits = dict(zip(CLASSES, run.evaluation.thresholds.values, strict=True))
    assert all(one.threshold == limits[one.name] for one in every)
    assert predictor.predict(path) == [one for one in every if one.score >= limits[one.name]]


def test_the_command_writes_json_and_csv(run, lists, tmp_path, capsys):
    path = lists["test"].parent / lists["test"].read_text().splitlines()[1].split(",")[0]
    files = ["--json", str(tmp_path / "all.json"), "--csv", str(tmp_path / "all.csv")]
    assert predict([str(run.folder), str(path), "--device", "cpu", *files]) == 0
    (found,) = json.loads((tmp_path / "all.json").read_text())["predictions"]
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["label"] for row in rows] == [one["name"] for one in found["classes"]]
    assert all(one["score"] >= one["threshold"] for one in found["classes"])
    assert f"{path}: " in capsys.readouterr().out


def test_classes_of_a_timeline_overlap(run, predictor, lists):
    path = lists["test"].parent / lists["test"].read_text().splitlines()[1].split(",")[0]
    found = predictor.timeline(path, window_seconds=1.0, min_score=0.0)
    assert {moment.name for moment in found.moments} == set(CLASSES)
    assert all(moment.start_seconds == 0 for moment in found.moments)
    by_threshold = predictor.timeline(path, window_seconds=1.0)
    assert by_threshold.min_score is None
    limits = predictor.least_scores(None)
    assert all(moment.score >= limits[moment.name] for moment in by_threshold.moments)


def test_the_report_shows_cooccurrence_and_no_confusion(run):
    page = write_run_report(run.folder).read_text(encoding="utf-8")
    text = re.sub(r"data:[^\"]+|<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "Co-occurrence" in text
    assert "Confusion matrix" not in text
    for words in ("mAP of all labels (micro)", '<th class="number">AP</th>', "fast + left"):
        assert words in text


def test_without_an_evaluation_set_thresholds_are_a_half_and_say_so(lists, small_run, tmp_path):
    config = small_run(data=lists | {"test": None}, train={"epochs": 1, "batch": 6})
    train(config, out=tmp_path / "run")
    found = read_adapter(tmp_path / "run/last").thresholds
    assert (set(found.values), found.origin) == ({0.5}, "0.5 for each class, because there was no evaluation set")


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ({"search": "quick"}, "several labels per video. The search expects one class.*--search off"),
        ({"probe": {"name": "linear"}}, "probe.name linear expects one class"),
        ({"eval": {"probe": "motion"}}, "eval.probe motion expects one class per video: use --eval.probe linear"),
        ({"head": {"fused": True, "init": "text"}}, "head.init text expects one class"),
        ({"train": {"best_by": "top1"}}, "expects one class per video.*use mAP"),
        ({"data": {"shots": 1}}, "data.shots = 1 chooses videos by their class"),
    ],
)
def test_what_expects_one_class_is_refused_before_training(lists, small_run, tmp_path, groups, complaint):
    groups = {**groups, "data": lists | groups.get("data", {})}
    if "text" in str(groups.get("head")):
        groups["backbone"] = {"name": "vit_base_patch16_clip_quickgelu_224"}
    with pytest.raises((ValueError, ConfigError), match=f"(?s){complaint}"):
        train_or_search(small_run(**groups), out=tmp_path / "run")
    assert not (tmp_path / "run/checkpoint.safetensors").exists()


def test_a_list_of_one_label_is_scored_as_one_of_several(run, lists, tmp_path):
    single = tmp_path / "single.csv"
    rows = lists["test"].read_text().splitlines()
    path, _ = rows[1].split(",")
    single.write_text(f"path,label\n{lists['test'].parent / path},left\n")
    config = read_adapter(run.folder).config
    data = config.data.model_copy(update={"test": single, "label_separator": None, "multi_label": None})
    assert evaluate_adapter(run.folder, data=data, settings=config.eval, device="cpu").videos == (0, 1, 0)


def test_zero_shot_refuses_several_labels(lists, capsys):
    flags = ["--data.test", str(lists["test"]), "--data.label-separator", "|", "--device", "cpu"]
    assert main(["zero-shot", "b16", *flags, "--data.workers", "0"]) == 2
    assert "Zero-shot classification expects one class per video: train a model" in capsys.readouterr().err


def test_flips_swap_left_and_right_among_several_labels():
    from side4video.data.datasets import encode_label
    from side4video.data.transforms import TrainTransform

    transform = TrainTransform(
        image_size=8, mean=[0.5] * 3, std=[0.5] * 3, flip=1.0, crop_scale=None, flip_labels={1: 2, 2: 1}
    )
    _, labels = transform(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), (0, 1))
    assert np.array_equal(encode_label(labels, 3), [1, 0, 1])
