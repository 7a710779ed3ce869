"""A finished run goes on: more epochs, data and folders elsewhere, and the trackers continue the same run."""

import json
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from side4video.config import ConfigError, TrainConfig, load_config, parse_config
from side4video.tasks.recognition.task import RecognitionTask
from side4video.training import trackers
from side4video.training.loop import train
from side4video.training.optimizer import learning_rate
from side4video.training.run_log import RunLog, read_log

ALL = "wandb,mlflow,tensorboard"


@pytest.fixture(scope="module")
def home(motion_videos, tmp_path_factory):
    """A folder with clips of two classes, in which a run is started."""
    home = tmp_path_factory.mktemp("home")
    for split in ("train", "test"):
        for motion in sorted((motion_videos / split).iterdir())[:2]:
            shutil.copytree(motion, home / "clips" / split / motion.name)
    return home


@pytest.fixture
def own_clips(motion_videos, tmp_path):
    """Folders of clips of two classes, which a test may change."""
    for split in ("train", "test"):
        for motion in sorted((motion_videos / split).iterdir())[:2]:
            shutil.copytree(motion, tmp_path / split / motion.name)
    return {split: tmp_path / split for split in ("train", "test")}


def config_for(small_run, **groups):
    data = {"train": Path("clips/train"), "test": Path("clips/test")}
    return small_run(**{**groups, "data": data | groups.get("data", {})})


@pytest.fixture(scope="module")
def gone_on(home, small_run):
    """One epoch with every tracker, started in `home` with relative paths; the data moves and a second one follows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(home)
        settings = {"batch": 3, "log": ALL, "patience": 1, "lr": 1e-8}
        train(config_for(small_run, train=settings | {"epochs": 1}), out=Path("run"))
        (home / "moved").mkdir()
        shutil.move(home / "clips", home / "moved/clips")
        patch.chdir(home / "moved")
        train(config_for(small_run, train=settings | {"epochs": 2}), out=Path("../run"), resume=True)
    return home / "run"


@pytest.mark.slow
def test_the_data_moved_and_the_epochs_grew(gone_on):
    stored = load_config(gone_on / "config.yaml")
    assert stored.data.train == gone_on.parent / "moved/clips/train"
    assert stored.train.epochs == 2
    entries = read_log(gone_on)
    assert [entry["step"] for entry in entries if entry["kind"] == "train"] == [1, 2, 3, 4]
    adapter = json.loads((gone_on / "best/config.json").read_text())
    assert adapter["settings"]["data"]["train"].startswith("/")


def test_the_learning_rate_follows_the_schedule_of_all_epochs(gone_on):
    rates = [entry["lr"] for entry in read_log(gone_on) if entry["kind"] == "train"]
    expected = [
        learning_rate(step, steps_per_epoch=2, config=TrainConfig(epochs=epochs, lr=1e-8))
        for step, epochs in ((0, 1), (1, 1), (2, 2), (3, 2))
    ]
    assert rates == pytest.approx(expected)


def test_tensorboard_has_the_numbers_of_both_parts(gone_on):
    events = EventAccumulator(str(gone_on / "tensorboard"))
    events.Reload()
    losses = {event.step: event.value for event in events.Scalars("train/loss")}
    wanted = {entry["step"]: entry["loss"] for entry in read_log(gone_on) if entry["kind"] == "train"}
    assert losses == pytest.approx(wanted)


def test_mlflow_continues_the_same_run(gone_on):
    from mlflow import MlflowClient

    known = json.loads((gone_on / "trackers.json").read_text())["mlflow"]
    assert known["address"] == f"sqlite:///{gone_on.parent}/mlflow.db"
    client = MlflowClient(tracking_uri=known["address"])
    experiment = client.get_experiment_by_name("side4video")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status, run.data.params["train.epochs"]) == (known["id"], "FINISHED", "1")
    history = client.get_metric_history(known["id"], "train/loss")
    assert sorted(one.step for one in history) == [1, 2, 3, 4]


def wandb_records(path):
    """The records of an offline run: a log of LevelDB's format, in blocks of 32 KiB, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = path.read_bytes(), 7, []
    while place + 7 <= len(content):
        if (left := 2**15 - place % 2**15) < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + 7])
        parts.append(content[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(b"".join(parts))
            yield record
            parts = []


def test_wandb_continues_the_same_run_offline(gone_on):
    known = json.loads((gone_on / "trackers.json").read_text())["wandb"]
    first, second = sorted((gone_on / "wandb").glob("offline-run-*/*.wandb"))
    assert first.name == second.name == f"run-{known['id']}.wandb"
    steps = []
    for path in (first, second):
        for record in wandb_records(path):
            values = {
                item.nested_key[0] if item.nested_key else item.key: item.value_json for item in record.history.item
            }
            if "train/loss" in values:
                steps.append(int(values["step"]))
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("epochs", r"train\.epochs: 2 -> 1"),
        ("clip", r"data\.train: 6 videos as before, but their order, labels, times, sizes or content differ"),
        ("missing", r"data\.train: there were 6 videos, now there are 5"),
    ],
)
def test_other_data_and_fewer_epochs_are_refused(gone_on, small_run, tmp_path, change, complaint):
    data = gone_on.parent / "moved/clips"
    shutil.copytree(data, tmp_path / "clips")
    clip = sorted((tmp_path / "clips/train").glob("*/*.mp4"))[0]
    if change == "clip":
        content = bytearray(clip.read_bytes())
        content[-1] ^= 1
        clip.write_bytes(content)
    if change == "missing":
        clip.unlink()
    paths = {"train": tmp_path / "clips/train", "test": tmp_path / "clips/test"}
    settings = {"batch": 3, "patience": 1, "lr": 1e-8, "epochs": 1 if change == "epochs" else 3}
    with pytest.raises(ConfigError, match=complaint):
        train(small_run(data=paths, train=settings), out=gone_on, resume=True)


@pytest.mark.parametrize("place", ["prepare", "step"])
def test_more_epochs_survive_an_interruption_before_the_next_checkpoint(
    small_run, tmp_path, monkeypatch, capsys, place
):
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    settings = {"batch": 12, "lr": 1e-9, "patience": 1}
    train(small_run(train=settings | {"epochs": 4}), out=tmp_path)
    stopped = read_log(tmp_path)[-1]["step"]
    assert stopped < 8, "it stopped early"
    more = small_run(train=settings | {"epochs": 8})
    with monkeypatch.context() as patch:
        patch.setattr(RecognitionTask, place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(more, out=tmp_path, resume=True)
    capsys.readouterr()
    train(more, out=tmp_path, resume=True)
    assert "train.epochs: 4 -> 8" in capsys.readouterr().out
    assert read_log(tmp_path)[-1]["step"] > stopped
    train(more, out=tmp_path, resume=True)
    assert "train.epochs" not in capsys.readouterr().out, "the number grew only once"


def test_data_may_change_until_the_first_checkpoint(own_clips, small_run, tmp_path, monkeypatch):
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    config = small_run(data=own_clips, train={"epochs": 1, "batch": 3})
    with monkeypatch.context() as patch:
        patch.setattr(RecognitionTask, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "run")
    assert not (tmp_path / "run/last").exists()
    sorted(own_clips["train"].glob("*/*.mp4"))[0].unlink()
    train(config, out=tmp_path / "run", resume=True)
    sorted(own_clips["train"].glob("*/*.mp4"))[0].unlink()
    with pytest.raises(ConfigError, match=r"there were 5 videos, now there are 4\n.*with --init-from .*run\."):
        train(config, out=tmp_path / "run", resume=True)


def test_no_adapter_is_recommended_before_there_is_one(own_clips, small_run, tmp_path, monkeypatch):
    """A run that was stopped in its first epoch has a checkpoint, but no adapter."""
    config = small_run(data=own_clips, train={"epochs": 1, "batch": 3})
    step, steps = RecognitionTask.step, []

    def fail_in_second_step(task, *arguments, **named):
        steps.append(1)
        if len(steps) == 2:
            raise OSError("the network disk is gone")
        return step(task, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(RecognitionTask, "step", fail_in_second_step)
        with pytest.raises(OSError, match="disk is gone"):
            train(config, out=tmp_path / "run")
    assert (tmp_path / "run/checkpoint.safetensors").is_file()
    sorted(own_clips["train"].glob("*/*.mp4"))[0].unlink()
    with pytest.raises(ConfigError, match=r"now there are 5\n.*or choose another --out\.$"):
        train(config, out=tmp_path / "run", resume=True)


def test_a_missing_tracker_is_named_in_one_line_before_any_work(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else SimpleNamespace())
    with pytest.raises(ModuleNotFoundError, match=r"^train\.log wandb: .*pip install 'side4video\[wandb\]'\.$"):
        train(small_run(train={"log": ALL}), out=tmp_path / "run")
    assert not (tmp_path / "run/config.yaml").exists()


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path, capsys):
    class Unreachable:
        def write(self, kind, step, values):
            raise ConnectionError("no route to host")

        def close(self, *, failed):
            raise AssertionError("it was given up")

    log = RunLog(tmp_path, total_steps=2, trackers={"mlflow": Unreachable()})
    for step in (1, 2):
        log.write("train", step, loss=0.5)
    log.close()
    assert capsys.readouterr().out.count("warning: mlflow failed and gets no more numbers") == 1
    assert len(read_log(tmp_path)) == 2


def test_names_of_trackers_and_the_earlier_setting():
    assert TrainConfig(log="TensorBoard, wandb,wandb").trackers == ("wandb", "tensorboard")
    assert parse_config({"train": {"tensorboard": True}}, source="an earlier run").train.log == "tensorboard"
    assert parse_config({"train": {"tensorboard": False}}, source="an earlier run").train.log == ""
    with pytest.raises(ConfigError, match=r"there is no tracker comet\. Use wandb, mlflow, tensorboard"):
        parse_config({"train": {"log": "comet"}}, source="test")
