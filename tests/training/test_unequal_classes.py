"""Runs on classes with unequal numbers of clips: weights, balanced draws, the score that selects the best adapter."""

import json

import pytest
from safetensors.torch import load_file

from side4video.tasks.recognition.task import RecognitionTask
from side4video.training import loop
from side4video.training.loop import train
from side4video.training.nonfinite import reload_clips
from side4video.training.run_log import read_log

BALANCED = {"sampling_weights": "balanced"}


@pytest.fixture(scope="module")
def unequal(motion_videos, small_run):
    """Settings of runs on seven clips of two classes, one of which has a single clip."""
    names = sorted(path.name for path in (motion_videos / "train").iterdir())[:3]
    for split, counts in (("train", (3, 3, 1)), ("test", (1, 1, 1))):
        clips = [
            clip
            for name, count in zip(names, counts, strict=True)
            for clip in sorted((motion_videos / split / name).glob("*.mp4"))[:count]
        ]
        rows = [f"{clip.relative_to(motion_videos)},{clip.parent.name}" for clip in clips]
        (motion_videos / f"unequal-{split}.csv").write_text("\n".join(["path,label", *rows]))
    lists = {split: motion_videos / f"unequal-{split}.csv" for split in ("train", "test")}

    def make(**groups):
        return small_run(**groups | {"data": lists | groups.get("data", {}), "train": {"batch": 4} | groups["train"]})

    return make, names


def weights(folder):
    return load_file(folder / "last/model.safetensors")


def test_balanced_draws_are_resumed_bit_for_bit(unequal, tmp_path, capsys, monkeypatch):
    make, names = unequal
    config = make(data=BALANCED, train={"epochs": 2, "best_by": f"recall:{names[2]}", "checkpoint_minutes": 0})
    train(config, out=tmp_path / "whole")
    assert (
        "3 classes with 2 to 3 places each in an epoch of 7 clips; a clip is used 0.67 to " in capsys.readouterr().out
    )
    evaluations = [entry for entry in read_log(tmp_path / "whole") if entry["kind"] == "evaluation"]
    assert len(evaluations) == 2

    original, steps = loop._Run._step, []

    def step(self, number, batches):
        steps.append(number)
        if number == 3 and len(steps) == 4:
            raise RuntimeError("stopped here")
        return original(self, number, batches)

    monkeypatch.setattr(loop._Run, "_step", step)
    with pytest.raises(RuntimeError, match="stopped here"):
        train(config, out=tmp_path / "run")
    train(config, out=tmp_path / "run", resume=True)
    assert steps == [0, 1, 2, 3, 3]
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_the_clips_of_a_balanced_step_can_be_read_again(unequal, tmp_path, monkeypatch):
    make, _ = unequal
    seen = []

    class Poisoned(RecognitionTask):
        def train_batches(self, order):
            for number, batch in enumerate(super().train_batches(order)):
                if number == 1:
                    seen.append((batch.indices, batch.epochs, batch.clips.clone()))
                    batch.clips[0, 0, 0, 0, 0] = float("nan")
                yield batch

    monkeypatch.setattr(loop, "build_task", Poisoned)
    config = make(data=BALANCED, train={"epochs": 1})
    with pytest.raises(FloatingPointError, match=r"--train\.on-nonfinite skip"):
        train(config, out=tmp_path / "run")
    content = json.loads((tmp_path / "run/nonfinite-step-1.json").read_text())
    ((indices, epochs, clips),) = seen
    assert (content["processes"][0]["indices"], content["processes"][0]["epochs"]) == (indices, epochs)
    task = loop.build_task(config, loop.torch.device("cpu"))
    assert reload_clips(content, task.train_set).clips.equal(clips)


def test_class_weights_change_the_loss_and_the_chosen_score_selects(unequal, tmp_path, capsys):
    make, names = unequal
    settings = {"epochs": 2, "class_weights": "balanced", "best_by": "macro-f1", "patience": 1, "lr": 1e-8}
    result = train(make(train=settings), out=tmp_path / "run")
    assert f"class weights (balanced): {names[0]!r} 0.778 (3 clips) to {names[2]!r} 2.33" in capsys.readouterr().out
    found = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert found["macro_f1"] == result.evaluation.macro_f1
    assert [row["videos"] for row in found["classes"]] == [1, 1, 1]
    plain = train(make(train=settings | {"class_weights": None}), out=tmp_path / "plain")
    losses = [read_log(folder)[0]["loss"] for folder in (tmp_path / "run", plain.folder)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("best_by", "complaint"),
    [("recall:left", "there is no class 'left'"), ("recall:{2}", "has no video of this class")],
)
def test_a_recall_that_is_undefined_is_refused_before_the_first_step(unequal, tmp_path, best_by, complaint):
    make, names = unequal
    config = make(train={"best_by": best_by.replace("{2}", names[2])})
    test = config.data.test
    shorter = test.with_name("shorter.csv")
    shorter.write_text("\n".join(test.read_text().splitlines()[:-1]))
    config = config.model_copy(update={"data": config.data.model_copy(update={"test": shorter})})
    with pytest.raises(ValueError, match=complaint):
        train(config, out=tmp_path / "run")
    assert not (tmp_path / "run/checkpoint.safetensors").exists()
