"""The comparison of accuracy: a run on a tiny set, and resuming it."""

import csv
import json
import shutil

import numpy as np
import pytest

import accuracy
import few_clips
import learning_curve
from rivals import OURS, RIVALS
from rivals.picture import summarise

SMALL = {"patch_size": 8, "embed_dim": 64, "depth": 4, "num_heads": 2}
CLASSES = ("clockwise", "anticlockwise")


@pytest.fixture(scope="module")
def sets(motion_videos, tmp_path_factory):
    """Two motions in the form of the development set `egogestar`, each clip a recording of its own."""
    folder = tmp_path_factory.mktemp("sets")
    base = folder / "egogestar"
    (base / "videos").mkdir(parents=True)
    rows, lines = [], {"train": [], "test": []}
    for split in lines:
        for label in CLASSES:
            for path in sorted((motion_videos / split / label).glob("*.mp4")):
                name = f"videos/{split}_{label}_{path.name}"
                shutil.copy(path, base / name)
                rows.append({"path": name, "label": label, "group": f"{split}{path.stem}", "split": split})
                lines[split].append(f"{name} {label}")
    for split, content in lines.items():
        (base / f"{split}.txt").write_text("\n".join(content) + "\n")
    with (base / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def make(sets, tmp_path):
    def arguments(**changes):
        return accuracy.Arguments(
            **{
                "sets": sets,
                "weights": "random",
                "only_sets": ("egogestar",),
                "seeds": 1,
                "epochs": 1,
                "image_size": 32,
                "work": tmp_path / "work",
                "out": tmp_path / "accuracy.json",
                "model_args": SMALL,
                **changes,
            }
        )

    return arguments


@pytest.mark.slow
def test_every_rival_runs_once(make, capsys):
    given = make(methods=tuple(RIVALS))
    accuracy.main(given)
    results = json.loads(given.out.read_text())
    assert {row["method"] for row in results["rows"]} == set(RIVALS)
    for row in results["rows"]:
        assert row["accuracy"] in {0.0, 0.5, 1.0}  # two test clips
        assert row["seconds"] > 0
        assert row["all_seconds"] > row["seconds"]
    saved = {row["method"]: row["saved_bytes"] for row in results["rows"]}
    assert saved["full"] > saved["evl"] > 0  # EVL keeps nothing of the frozen model's inside
    assert given.out.with_suffix(".svg").read_text().startswith("<?xml")
    assert "| full fine-tuning |" in capsys.readouterr().out
    log = (given.work / "log.jsonl").read_text()
    assert len(log.splitlines()) == len(RIVALS) * (3 * 2 + 1)  # three rates on two folds, one seed
    accuracy.main(given)
    assert (given.work / "log.jsonl").read_text() == log


@pytest.mark.slow
def test_run_out_of_time_resumes_and_settings_are_separate(make):
    given = make(methods=("full",), minutes=0.0)
    accuracy.main(given)
    assert not (given.work / "log.jsonl").exists()
    accuracy.main(make(methods=("full",)))
    first = len((given.work / "log.jsonl").read_text().splitlines())
    accuracy.main(make(methods=("full",), epochs=2))
    assert len((given.work / "log.jsonl").read_text().splitlines()) == 2 * first


def test_the_same_seed_gives_the_same_accuracy_and_pixels_are_read_once(make):
    first = accuracy.Comparison(make(), accuracy.Log(make().work / "a.jsonl", {}))
    sets = first._load("egogestar")
    assert sets.train.pixels.shape == (6, 8, 8, 3, 32, 32)
    assert not (np.diff(sets.train.pixels.astype(int), axis=1) == 0).all()  # copies are augmented differently
    assert sets.test.pixels.shape == (2, 3, 8, 3, 32, 32)
    files = {path: path.stat().st_mtime_ns for path in (make().work / "pixels").iterdir()}
    first._load("egogestar")
    assert files == {path: path.stat().st_mtime_ns for path in (make().work / "pixels").iterdir()}


def test_folds_keep_recordings_together(make):
    sets = accuracy.Comparison(make(), accuracy.Log(make().work / "a.jsonl", {}))._load("egogestar")
    assert len(sets.groups) == 6
    assert len(set(sets.groups)) == 3
    folds = accuracy.make_folds(sets.train.labels.tolist(), sets.groups, class_names=CLASSES, num_folds=2)
    for train, held in folds.parts:
        assert not {sets.groups[row] for row in train} & {sets.groups[row] for row in held}


def test_learning_rate_is_the_best_over_all_folds(make):
    log = accuracy.Log(make().work / "log.jsonl", {})
    comparison = accuracy.Comparison(make(), log)
    for rate, scores in zip(accuracy.RATES, ((0.4, 0.4), (0.9, 0.2), (0.5, 0.7)), strict=True):
        for fold, score in enumerate(scores):
            log.add(set="egogestar", method="full", rate=rate, fold=fold, accuracy=score)
    assert comparison._best_rate({"set": "egogestar", "method": "full"}) == accuracy.RATES[2]


def test_rows_have_means_and_deviations_and_probes_are_rows():
    parts = [
        {"set": "camera", "method": OURS, "seed": seed, "accuracy": score, "seconds": 60.0, "saved_bytes": 5}
        | {"probes": {"linear": 0.25}}
        for seed, score in enumerate((0.5, 0.7))
    ]
    ours, probe = summarise(parts)
    assert ours["accuracy"] == pytest.approx(0.6)
    assert ours["deviation"] == pytest.approx(0.02**0.5)
    assert (probe["method"], probe["accuracy"], probe["deviation"]) == ("linear probe", 0.25, 0.0)


@pytest.mark.slow
def test_own_row_runs_the_command(make):
    given = make(methods=(OURS,), ours_flags=("--data.workers", "0", "--eval.probe", "linear,motion"))
    accuracy.main(given)
    ours, probe, *_ = json.loads(given.out.read_text())["rows"]
    assert ours["method"] == OURS
    assert ours["seconds"] > 0
    assert probe["method"] == "linear probe"


@pytest.mark.slow
def test_learning_curve_uses_the_given_clips_per_class(sets, tmp_path):
    given = learning_curve.Arguments(
        sets=sets,
        weights="random",
        only_sets=("egogestar",),
        shots=(2, 40),
        seeds=1,
        epochs=1,
        image_size=32,
        work=tmp_path / "work",
        out=tmp_path / "curve.json",
        ours_flags=("--data.workers", "0", "--eval.probe", "linear,motion"),
        model_args=SMALL,
    )
    learning_curve.main(given)
    rows = json.loads(given.out.read_text())["rows"]
    assert {row["shots"] for row in rows} == {2}  # there are three clips of each class, and not 40
    assert {row["method"] for row in rows} >= {OURS, "linear probe"}
    config = (given.work / "egogestar-2-0/config.yaml").read_text()
    assert "shots: 2" in config
    assert given.out.with_suffix(".svg").exists()


@pytest.mark.slow
def test_the_choice_among_probes_alone_is_that_of_the_command(sets, tmp_path):
    rows = {}
    for alone in (True, False):
        given = few_clips.Arguments(
            sets=sets,
            weights="random",
            only_sets=("egogestar",),
            splits=("as given",),
            seeds=1,
            image_size=32,
            probes_alone=alone,
            work=tmp_path / str(alone),
            out=tmp_path / f"{alone}.json",
            ours_flags=("--data.workers", "0", "--search", "probes"),
            model_args=SMALL,
        )
        few_clips.main(given)
        (rows[alone],) = json.loads(given.out.read_text())["runs"]
    for figure in ("chosen", "accuracy", "cv", "num_clips"):
        assert rows[True][figure] == rows[False][figure]
    frames = rows[True]["chosen"].split(", ")[1]  # the report scores probes on the frames of the choice
    for name, score in rows[False]["probes"].items():
        assert rows[True]["probes"][f"{name}, {frames}"] == score


def test_unknown_names_are_refused(make):
    with pytest.raises(ValueError, match="methods: fll not known"):
        make(methods=("fll",))
