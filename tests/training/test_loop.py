"""The training loop on real small videos: files of a run, resuming, initialising from an adapter, errors."""

import csv
import itertools
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

from side4video.adapters.adapter import load_adapter, read_adapter
from side4video.config import ConfigError, TrainConfig, load_config
from side4video.tasks.recognition.task import read_probe
from side4video.training.loop import train
from side4video.training.optimizer import learning_rate
from side4video.training.run_log import read_log
from side4video.training.training_state import TrainingState


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_bit_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run, shared by tests that do not change it."""
    return tmp_path_factory.mktemp("finished") / "run"


def run_once(folder, config):
    if not folder.exists():
        train(config, out=folder)
    return folder


def test_a_run_leaves_adapters_logs_and_scores(finished, small_run):
    config = small_run()
    folder = run_once(finished, config)
    assert load_config(folder / "config.yaml") == config
    log = read_log(folder)
    steps = [entry for entry in log if entry["kind"] == "train"]
    assert [entry["step"] for entry in steps] == list(range(1, 7))  # 24 clips, 8 at a time, 2 epochs
    assert all(math.isfinite(entry["loss"]) and entry["clips_per_second"] > 0 for entry in steps)
    evaluations = [entry for entry in log if entry["kind"] == "evaluation"]
    assert [(entry["epoch"], entry["step"], entry["videos"]) for entry in evaluations] == [(1, 3, 8), (2, 6, 8)]
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3
    assert rows[0].startswith("step,epoch,")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["num_videos"] == 8
    assert sum(map(sum, evaluation["confusion"])) == 8
    best = max(entry["top1"] for entry in evaluations)
    assert evaluation["top1"] == read_adapter(folder / "best").scores["top1"] == best


def test_adapters_contain_only_trained_tensors_and_load_without_the_run(finished, small_run, tmp_path):
    folder = run_once(finished, small_run())
    moved = tmp_path / "adapter"
    shutil.copytree(folder / "last", moved)
    model, adapter = load_adapter(moved, device=torch.device("cpu"))
    assert not model.training
    assert adapter.class_names[0] == "anticlockwise"
    assert not [name for name in weights(moved) if name.startswith("backbone")]
    assert_bit_equal(model.trained_state(), weights(moved))
    assert (moved / "model.safetensors").stat().st_mode & 0o777 == (folder / "log.jsonl").stat().st_mode & 0o777


def test_the_frozen_part_does_not_change_and_everything_else_does(finished, small_run):
    from side4video.models.video_model import build_video_model

    folder = run_once(finished, small_run())
    fresh = build_video_model(small_run(), num_classes=8, device=torch.device("cpu"))
    trained = weights(folder / "last")
    for name, tensor in fresh.trained_state().items():
        assert not torch.equal(tensor, trained[name]), f"{name} was not trained"
    assert fresh.backbone.fingerprint == read_adapter(folder / "last").fingerprint


def test_gradient_accumulation_gives_the_gradient_of_the_whole_batch(small_run, make_video, tmp_path):
    """On still clips that are all alike, so that BatchNorm sees the same statistics in every micro-batch."""
    for name in ("a", "b"):
        for clip in range(4):
            make_video(tmp_path / f"clips/{name}/{clip}.mp4", [100] * 6, height=32, width=32)
    moments = []
    for micro_batch in (8, 3):  # 3: parts of unequal size
        config = small_run(
            data={"train": tmp_path / "clips", "test": None},
            augment={"erasing": 0.0, "crop_scale": [1.0, 1.0]},
            train={"epochs": 1, "batch": 8, "micro_batch": micro_batch, "lr": 1e-9},
        )
        train(config, out=tmp_path / f"run{micro_batch}")
        state = load_file(tmp_path / f"run{micro_batch}" / "checkpoint.safetensors")
        moments.append({name: tensor for name, tensor in state.items() if name.endswith(".exp_avg")})
    whole, parts = moments  # after one step the first moment is 0.1 x the gradient
    assert max(tensor.abs().max() for tensor in whole.values()) > 1e-3
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize("cached", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_resume_after_any_step_is_bit_identical(cached, small_run, tmp_path):
    """The run is stopped by an exception after each step in turn; the checkpoint before it is resumed from."""
    config = small_run(
        train={"checkpoint_minutes": 0},
        head={"dropout": 0.2},
        augment={"mixup": 0.0 if cached else 0.3},
        data={"cache": tmp_path / "cache" if cached else None},
    )
    train(config, out=tmp_path / "whole")
    expected = weights(tmp_path / "whole" / "last")
    for stop_after in (1, 3, 5):
        folder = tmp_path / f"stopped{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            _train_until(config, folder, stop_after)
        result = train(config, out=folder, resume=True)
        assert_bit_equal(weights(folder / "last"), expected)
        assert [e["step"] for e in read_log(folder) if e["kind"] == "train"] == list(range(1, 7))
        assert result.evaluation is not None


def _train_until(config, folder, stop_after):
    from side4video.training import run_log

    original = run_log.RunLog.update_progress

    def update_progress(self, **shown):
        original(self, **shown)
        if self._bar.n > stop_after:  # one step more than the last checkpoint
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_log.RunLog, "update_progress", update_progress)
        train(config, out=folder)


def test_resuming_a_run_without_checkpoint_starts_it(small_run, tmp_path):
    result = train(small_run(train={"epochs": 1}), out=tmp_path / "new", resume=True)
    assert result.evaluation is not None


def test_a_folder_with_a_run_is_not_overwritten(finished, small_run):
    folder = run_once(finished, small_run())
    with pytest.raises(ConfigError, match="already contains a run"):
        train(small_run(), out=folder)


def test_resuming_with_other_settings_is_refused_with_a_diff(finished, small_run):
    folder = run_once(finished, small_run())
    with pytest.raises(ConfigError, match=r"train\.lr: 0\.001 -> 0\.002"):
        train(small_run(train={"lr": 2e-3}), out=folder, resume=True)


def test_init_from_loads_everything_or_discards_the_classifier(finished, small_run, motion_videos, tmp_path, capsys):
    folder = run_once(finished, small_run())
    train(small_run(train={"epochs": 1, "lr": 1e-12}), out=tmp_path / "same", init_from=folder)
    assert "including the classifier" in capsys.readouterr().out
    two = tmp_path / "two_classes"
    for name in ("clockwise", "anticlockwise"):
        shutil.copytree(motion_videos / "train" / name, two / name)
    config = small_run(train={"epochs": 1, "lr": 1e-12}, data={"train": two, "test": None})
    train(config, out=tmp_path / "other", init_from=folder)
    assert "its classifier for 8 classes was discarded" in capsys.readouterr().out
    before, after = weights(folder / "best"), weights(tmp_path / "other" / "last")
    assert torch.allclose(before["side.stem.weight"], after["side.stem.weight"], atol=1e-6)
    assert after["head.linear.weight"].shape[0] == 2


def test_init_from_keeps_a_fused_head_that_fits(small_run, tmp_path):
    def probe(epochs, lr, out, init_from=None):
        config = small_run(head={"fused": True}, train={"epochs": epochs, "lr": lr, "weight_decay": 0.0})
        train(config, out=tmp_path / out, init_from=init_from)
        return weights(tmp_path / out / "last")["head.probe.weight"]

    trained = probe(2, 1e-2, "first")
    assert torch.allclose(probe(1, 1e-12, "again", tmp_path / "first" / "last"), trained, atol=1e-6)
    assert not torch.allclose(probe(1, 1e-12, "fitted"), trained, atol=1e-3)


def test_init_from_another_side_network_is_refused(finished, small_run, tmp_path):
    folder = run_once(finished, small_run())
    with pytest.raises(ValueError, match=r"another side network, with side\.width 16, not 32"):
        train(small_run(side={"width": 32}), out=tmp_path / "wider", init_from=folder)


def test_early_stop(small_run, tmp_path):
    config = small_run(train={"epochs": 30, "lr": 1e-12, "patience": 2})
    train(config, out=tmp_path / "run")
    evaluations = [entry for entry in read_log(tmp_path / "run") if entry["kind"] == "evaluation"]
    assert len(evaluations) < 30
    train(config, out=tmp_path / "run", resume=True)  # stays stopped
    assert [entry for entry in read_log(tmp_path / "run") if entry["kind"] == "evaluation"] == evaluations


def test_unreadable_training_videos_are_skipped_and_counted_or_stop_the_run(small_run, motion_videos, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(motion_videos / "train", videos)
    broken = videos / "clockwise" / "0001.mp4"
    broken.write_bytes(b"no video")
    train(small_run(data={"train": videos, "test": None}, train={"epochs": 2}), out=tmp_path / "skip")
    failures = [entry for entry in read_log(tmp_path / "skip") if entry["kind"] == "failure"]
    assert [entry["path"] for entry in failures] == [str(broken)] * 2
    with pytest.raises(RuntimeError, match=r"0001\.mp4.*--data\.on-error skip"):
        train(small_run(data={"train": videos, "test": None, "on_error": "stop"}), out=tmp_path / "stop")


def test_unreadable_evaluation_videos_are_reported_and_not_scored(small_run, motion_videos, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(motion_videos / "test", videos)
    (videos / "clockwise" / "0001.mp4").write_bytes(b"no video")
    result = train(small_run(data={"test": videos}, train={"epochs": 1}), out=tmp_path / "run")
    assert result.evaluation.num_videos == 7
    assert [video.name for video in result.evaluation.unread] == ["clockwise/0001.mp4"]


def test_an_evaluation_without_a_score_never_replaces_the_best(small_run, motion_videos, tmp_path, monkeypatch):
    """The drive is available again after the first epoch."""
    videos = tmp_path / "videos"
    shutil.copytree(motion_videos / "test", videos)
    away = (videos / "clockwise").rename(tmp_path / "away")
    (videos / "clockwise").mkdir()
    (videos / "clockwise" / "0001.mp4").write_bytes(b"no video")
    save_adapter = TrainingState.save_adapter

    def saving(self, name, *arguments, **options):
        save_adapter(self, name, *arguments, **options)
        if name == "last" and away.is_dir():
            shutil.copytree(away, videos / "clockwise", dirs_exist_ok=True)

    monkeypatch.setattr(TrainingState, "save_adapter", saving)
    config = small_run(data={"test": videos}, train={"epochs": 2, "lr": 1e-12})
    result = train(config, out=tmp_path / "run")
    first, second = (entry for entry in read_log(tmp_path / "run") if entry["kind"] == "evaluation")
    assert "top1" not in first
    assert second["top1"] == result.evaluation.top1
    assert result.evaluation.num_videos == 8
    assert json.loads((tmp_path / "run/best/config.json").read_text())["run"]["epochs"] == 2
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines()))
    assert [(row["top1"], row["unread"]) for row in rows] == [("", "1"), (str(second["top1"]), "0")]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_and_keeps_the_weights_in_32_bits(precision, small_run, tmp_path):
    train(small_run(train={"epochs": 1, "precision": precision}), out=tmp_path / "run")
    assert {tensor.dtype for name, tensor in weights(tmp_path / "run" / "last").items() if "tracked" not in name} == {
        torch.float32
    }


def test_gradient_clipping_and_tensorboard(small_run, tmp_path):
    config = small_run(train={"epochs": 1, "clip_grad_norm": 0.1, "log": "tensorboard"})
    train(config, out=tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_fused_head_starts_as_the_fitted_probe(small_run, tmp_path):
    config = small_run(
        head={"fused": True}, train={"epochs": 1, "lr": 1e-12, "weight_decay": 0.0}, eval={"probe": True}
    )
    result = train(config, out=tmp_path / "run")
    assert read_probe(tmp_path / "run") == result.evaluation.top1


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_probe_stays_as_it_was_fitted(frozen, small_run, tmp_path):
    probes = []
    for epochs in (1, 2):
        config = small_run(head={"fused": True, "frozen_probe": frozen}, train={"epochs": epochs})
        train(config, out=tmp_path / str(epochs))
        probes.append(weights(tmp_path / str(epochs) / "last")["head.probe.weight"])
    assert torch.equal(*probes) == frozen


def test_arrow_of_time_has_two_classes_and_twice_the_clips(small_run, tmp_path):
    result = train(small_run(data={"arrow_of_time": True}, train={"epochs": 1}), out=tmp_path / "run")
    assert result.evaluation.class_names == ("forward", "reversed")
    assert result.evaluation.num_videos == 16


def test_learning_rate_warms_up_and_falls_to_zero():
    config = TrainConfig(epochs=30, warmup_epochs=4, lr=1e-3)
    rates = [learning_rate(step, steps_per_epoch=10, config=config) for step in range(300)]
    assert rates[0] == pytest.approx(1e-3 / 40)
    assert max(rates) == rates[40] == 1e-3
    assert rates[39] == 1e-3
    assert all(a >= b for a, b in itertools.pairwise(rates[40:]))
    assert rates[170] == pytest.approx(0.5e-3)
    assert 0 < rates[-1] < 1e-7
    assert max(learning_rate(s, steps_per_epoch=1, config=TrainConfig(epochs=2)) for s in range(2)) == 1e-3


@pytest.mark.parametrize("test", [True, False])
def test_settings_that_need_an_evaluation_set_get_a_warning_without_one(small_run, tmp_path, capsys, test):
    config = small_run(
        train={"patience": 1, "best_by": "top5", "epochs": 1}, **({} if test else {"data": {"test": None}})
    )
    train(config, out=tmp_path / "run")
    said = "warning: train.patience and train.best_by without effect: there is no evaluation set. Give --data.test."
    assert (said in capsys.readouterr().out) != test
