"""A search on small real videos: its files, repeating and resuming it, and that it reads no test clip."""

import itertools
import json
import shutil

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from side4video.adapters.adapter import read_adapter
from side4video.config import PROBES, ConfigError, load_config
from side4video.data.sampling import FrameSampling
from side4video.inference.predictor import Predictor
from side4video.models.video_model import build_backbone
from side4video.reports.run_report import compare_frozen_and_trained, write_run_report
from side4video.selection.fold_results import read_search
from side4video.selection.run import train
from side4video.selection.side_folds import SideFolds
from side4video.tasks.recognition.data import read_data
from side4video.tasks.recognition.probe_fitting import MAX_ROWS
from side4video.training.loop import train as train_with_the_loop


@pytest.fixture(scope="module")
def searching(small_run):
    """Settings of a small run with a search."""

    def make(**groups):
        return small_run(
            **{"search": "quick", "side": {"stem": False, "attention": False, "centred": True, "taps": [1]}} | groups
        )

    return make


@pytest.fixture(scope="module")
def finished(tmp_path_factory, searching):
    folder = tmp_path_factory.mktemp("search") / "run"
    return train(searching(), out=folder).folder


def weights(folder):
    return load_file(folder / "best" / "model.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def outcome(folder):
    result = read_search(folder)
    return result.chosen, {one.name: one.right for one in result.tried}


def test_search_writes_a_table_a_choice_and_an_adapter(finished):
    result = read_search(finished)
    assert {one.name for one in result.tried} >= {"linear probe, segments", "side network of the recipe"}
    assert result.chosen in {one.name for one in result.tried}
    assert max(len(one.right) for one in result.tried) == result.num_clips == len(result.guess.right) == 24
    assert load_config(finished / "config.yaml").search == "off"
    assert read_adapter(finished).scores["videos"] == 8


def test_a_search_of_probes_tries_them_in_both_samplings_and_no_side_network(finished, searching, tmp_path):
    found = read_search(train(searching(search="probes"), out=tmp_path / "run").folder)
    names = [f"{name} probe, {frames}" for name in PROBES if name != "attentive" for frames in ("segments", "dense")]
    assert [one.name for one in found.tried] == names
    rows = {one.name: one.losses for one in read_search(finished).tried}
    assert all(rows[one.name] == one.losses for one in found.tried)


def test_directions_of_time_are_searched(searching, tmp_path):
    folder = train(searching(search="probes", data={"arrow_of_time": True}), out=tmp_path / "run").folder
    found = read_search(folder)
    assert found.num_clips == 48
    assert found.guess.mean == 0.5
    assert all(
        found.groups[place] == found.groups[place + 1] for place in range(0, 48, 2)
    )  # one video, both directions
    assert read_adapter(folder).class_names == ("forward", "reversed")


def test_stored_config_repeats_the_run_without_the_search(finished, tmp_path):
    train(load_config(finished / "config.yaml"), out=tmp_path / "again")
    assert_same(weights(finished), weights(tmp_path / "again"))
    assert not (tmp_path / "again" / "search").exists()


@pytest.mark.slow
def test_interrupted_search_resumes(finished, searching, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished / "search", folder / "search")
    kept = sorted((folder / "search").glob("*.json"))
    for path in kept[::3]:
        path.unlink()
    with pytest.raises(ConfigError, match="holds a search already"):
        train(searching(), out=folder)
    train(searching(), out=folder, resume=True)
    assert outcome(folder) == outcome(finished)
    assert_same(weights(folder), weights(finished))


def wrong_labels(folder, copy):
    """A copy of a folder of classes in which each class has the clips of another one."""
    classes = sorted(path.name for path in folder.iterdir())
    for name, wrong in zip(classes, classes[1:] + classes[:1], strict=True):
        shutil.copytree(folder / name, copy / wrong)


def started_search(finished, folder):
    """A run folder whose search is complete, but whose training has not begun."""
    shutil.copytree(finished / "search", folder / "search")
    return folder


def test_resume_with_other_labels_is_refused(finished, searching, motion_videos, tmp_path):
    wrong_labels(motion_videos / "train", tmp_path / "clips")
    data = {"train": tmp_path / "clips"}
    with pytest.raises(ConfigError, match="started with other data"):
        train(searching(data=data), out=started_search(finished, tmp_path / "run"), resume=True)


def test_a_missing_test_set_ends_the_search_before_it_starts(searching, tmp_path):
    with pytest.raises(ValueError, match="absent"):
        train(searching(data={"test": tmp_path / "absent"}), out=tmp_path / "run")
    assert not (tmp_path / "run" / "search").exists()


def test_a_search_resumes_with_another_test_set(finished, searching, motion_videos, tmp_path):
    shutil.copytree(motion_videos / "test", tmp_path / "elsewhere")
    folder = started_search(finished, tmp_path / "run")
    train(searching(data={"test": tmp_path / "elsewhere"}), out=folder, resume=True)
    assert outcome(folder) == outcome(finished)


def test_a_finished_search_resumes_with_data_that_moved_and_more_epochs(finished, searching, motion_videos, tmp_path):
    folder, clips = tmp_path / "run", tmp_path / "clips"
    shutil.copytree(finished, folder)
    shutil.copytree(motion_videos, clips)
    moved = {"train": clips / "train", "test": clips / "test"}
    train(searching(data=moved, train={"log_every": 3, "epochs": 3}), out=folder, resume=True)
    stored = load_config(folder / "config.yaml")
    assert (stored.data.train, stored.data.test) == tuple(moved.values())
    assert (stored.train.log_every, stored.train.epochs) == (3, 3)
    assert outcome(folder) == outcome(finished)
    wrong_labels(motion_videos / "train", tmp_path / "wrong")
    with pytest.raises(ConfigError, match="started with other data"):
        train(searching(data={"train": tmp_path / "wrong"}, train={"epochs": 3}), out=folder, resume=True)


def write_clip(path, frames, *, damaged=()):
    """A Motion JPEG video in which the frames with the numbers `damaged` cannot be decoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    with av.open(path, "w") as file:
        stream = file.add_stream("mjpeg", rate=10, width=width, height=height, pix_fmt="yuvj420p")
        for number, frame in enumerate(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")):
                written = packet
                if number in damaged:
                    written = av.Packet(bytes(64))
                    written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
                    written.stream, written.is_keyframe = stream, True
                file.mux(written)
        file.mux(stream.encode())


def test_candidates_are_compared_on_the_clips_that_every_sampling_can_read(searching, tmp_path, capsys):
    samplings = FrameSampling(4, "dense", stride=4), FrameSampling(4, "segments")
    dense, segments = (set(sampling.test(40)[0]) for sampling in samplings)
    damaged = {("a", 0): {min(dense - segments)}, ("b", 1): {min(segments - dense)}}
    for label, place in itertools.product("ab", range(4)):
        frames = np.random.default_rng([ord(label), place]).integers(0, 255, (40, 32, 32, 3), np.uint8)
        clip = tmp_path / "clips" / label / f"{label}{place}.avi"
        write_clip(clip, frames, damaged=damaged.get((label, place), ()))
    data = {"train": tmp_path / "clips", "test": None}
    config = searching(search="probes", data=data)
    result = read_search(train(config, out=tmp_path / "run").folder)
    assert {len(one.right) for one in result.tried} == {6}
    assert "2 of 8 training clips cannot be read completely: 'a/a0.avi', 'b/b1.avi'." in capsys.readouterr().out
    with pytest.raises(ValueError, match="on-error skip"):
        train(searching(search="probes", data=data | {"on_error": "stop"}), out=tmp_path / "stopped")


def passing_squares(label, place):
    """Frames of a square that passes to the right (class a) or to the left (class b)."""
    start, row = np.random.default_rng([ord(label), place]).integers(0, 12, 2)
    frames = np.full((16, 64, 64, 3), 90, np.uint8)
    for number, frame in enumerate(frames if label == "a" else frames[::-1]):
        frame[20 + row : 32 + row, start + 2 * number : start + 2 * number + 12] = 220
    return frames


@pytest.mark.parametrize(
    ("names", "max_rows"),
    [(("a", "b"), MAX_ROWS), pytest.param(("a", "b"), 12, id="one view of each clip"), (("right", "left"), MAX_ROWS)],
)
def test_mirrored_clips_are_switched_off_where_they_contradict_the_classes(
    names, max_rows, searching, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("side4video.tasks.recognition.probe_fitting.MAX_ROWS", max_rows)
    for label, place in itertools.product("ab", range(8)):
        split = "train" if place < 6 else "test"
        clip = tmp_path / split / names["ab".index(label)] / f"{place}.avi"
        write_clip(clip, passing_squares(label, place))
    data = {"train": tmp_path / "train", "test": tmp_path / "test", "sampling": "dense", "stride": 2}
    config = searching(search="probes", data=data, augment={"flip": 0.5})
    result = train(config, out=tmp_path / "run")
    contradicts = names == ("a", "b")  # clips of "right" and "left" exchange their classes
    assert load_config(result.folder / "config.yaml").augment.flip == (0.0 if contradicts else 0.5)
    notes = [note for note in read_search(result.folder).notes if "augment.flip 0.5 -> 0" in note]
    assert len(notes) == contradicts == capsys.readouterr().out.count("augment.flip 0.5 -> 0")
    assert result.evaluation.top1 == 1.0


def test_resume_with_other_settings_is_refused(finished, searching):
    with pytest.raises(ConfigError, match=r"train.lr: 0.001 -> 0.5"):
        train(searching(train={"lr": 0.5}), out=finished, resume=True)


def test_wrong_test_labels_change_only_the_score(finished, searching, motion_videos, tmp_path):
    wrong_labels(motion_videos / "test", tmp_path / "poisoned")
    folder = tmp_path / "run"
    train(searching(data={"test": tmp_path / "poisoned"}), out=folder)
    assert outcome(folder) == outcome(finished)
    assert_same(weights(folder), weights(finished))
    truth, poisoned = (json.loads((run / "evaluation.json").read_text()) for run in (finished, folder))
    assert truth["confusion"] != poisoned["confusion"]


def test_labels_that_mean_nothing_give_a_warning_on_the_screen_and_in_the_report(
    searching, motion_videos, tmp_path, capsys
):
    for split in ("train", "test"):
        rows = [
            f"{clip},{'ab'[place % 2]}" for place, clip in enumerate(sorted((motion_videos / split).rglob("*.mp4")))
        ]
        (tmp_path / f"{split}.csv").write_text("\n".join(["path,label", *rows]))
    data = {"train": tmp_path / "train.csv", "test": tmp_path / "test.csv"}
    folder = train(searching(search="probes", data=data), out=tmp_path / "run").folder
    warning = "is not clearly better than guessing"
    assert warning in capsys.readouterr().out
    assert warning in write_run_report(folder, explain=False).read_text()


COMBINED = {
    "name": "combined",
    "parts": [
        {"name": "linear", "block": -1, "grid": 1, "weight": 1.0},
        {"name": "correlation", "block": 0, "grid": 1, "weight": 2.0},
    ],
}


@pytest.mark.parametrize(
    "probe",
    [pytest.param({"name": "motion", "block": 1, "grid": 2}, marks=pytest.mark.slow), COMBINED],
    ids=lambda probe: probe["name"],
)
def test_trained_probe_is_an_adapter(probe, small_run, motion_videos, tmp_path):
    config = small_run(probe=probe, eval={"probe": f"linear,{probe['name']}", "final_clips": 2})
    result = train(config, out=tmp_path / "run")
    assert result.final.views == 2
    assert [*compare_frozen_and_trained(tmp_path / "run")][-1] == f"with the {probe['name']} probe: top-1"
    clip = next((motion_videos / "test").rglob("*.mp4"))
    predicted = Predictor(tmp_path / "run").predict(clip)[0].name
    name = clip.relative_to(motion_videos / "test").as_posix()
    mine = next(one for one in result.evaluation.predictions if one.name == name)
    assert predicted == mine.classes[0]
    part = "parts.0." if probe["name"] == "combined" else ""
    assert f"head.classifier.{part}mean" in weights(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"search": "off", "probe": {"name": "motion", "block": 5}}, "has 2 blocks"),
        ({"side": {"taps": [7]}}, "has 2 blocks"),
        ({"seed": -1}, "seed"),
    ],
)
def test_inconsistent_settings_are_refused_before_anything_is_tried(searching, tmp_path, changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        train(searching(**changes), out=tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.json"))


def test_an_adapter_to_start_from_is_refused(searching, tmp_path):
    with pytest.raises(ValueError, match="Give --search off"):
        train(searching(), out=tmp_path / "run", init_from=tmp_path)


def test_training_loop_refuses_search_settings(searching, tmp_path):
    with pytest.raises(ValueError, match=r"Call side4video\.train instead"):
        train_with_the_loop(searching(), out=tmp_path / "run")


def test_several_processes_are_refused(searching, small_run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="Let one process search"):
        train(searching(), out=tmp_path / "run")
    with pytest.raises(ValueError, match="fitted by one process"):
        train(small_run(probe={"name": "linear"}), out=tmp_path / "run")


def test_two_clips_give_the_linear_probe(searching, motion_videos, tmp_path, capsys):
    clips = sorted((motion_videos / "train").rglob("*.mp4"))
    (tmp_path / "train.csv").write_text(f"path,label\n{clips[0]},turn left\n{clips[-1]},b\n")
    data = {"train": tmp_path / "train.csv", "test": None}
    train(searching(data=data, augment={"flip": 0.5}), out=tmp_path / "run")
    printed = capsys.readouterr().out
    assert "mirrors clips of 'turn left'" in printed
    assert "No cross-validation: 2 clips of 2 classes" in printed
    assert "no two could be compared" in printed
    assert load_config(tmp_path / "run" / "config.yaml").probe.name == "linear"


def test_the_report_shows_candidates_and_baselines(finished, small_run, tmp_path):
    text = write_run_report(finished, explain=False).read_text()
    assert "Candidates, by cross-validation" in text
    assert "side network of the recipe" in text
    assert "Baselines" not in text
    train(small_run(eval={"probe": "motion"}, train={"epochs": 1}), out=tmp_path / "run")
    text = write_run_report(tmp_path / "run", explain=False).read_text()
    assert "majority class" in text
    assert "motion probe" in text
    assert "Candidates" not in text


def test_side_networks_of_a_search_scale_the_loss_in_fp16_as_runs_do(small_run, monkeypatch, tmp_path):
    scaled, scale = [], torch.amp.GradScaler.scale
    monkeypatch.setattr(
        torch.amp.GradScaler, "scale", lambda self, loss: scaled.append(self.is_enabled()) or scale(self, loss)
    )
    config = small_run(train={"precision": "fp16", "epochs": 1}, data={"cache": tmp_path}, side={"stem": False})
    backbone = build_backbone(config, device=torch.device("cpu"))
    sides = SideFolds(config, read_data(config.data), backbone, torch.device("cpu"))
    assert sides.scores(np.arange(20), np.arange(20, 24), {})
    assert scaled == [True] * 3
