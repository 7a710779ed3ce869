"""Evaluation clips that are held out of one list: stratified, by group, reproducible, the same in all commands."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from side4video.checking.entries import read_entries
from side4video.config import DataConfig, RunConfig
from side4video.data.lists.annotations import DataError
from side4video.data.lists.configured_lists import read_configured_list
from side4video.data.lists.held_out import divide
from side4video.tasks.recognition.data import read_data


def write_clips(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Ten clips of run, five of walk, three of jump."""
    counts = {"run": 10, "walk": 5, "jump": 3}
    names = [f"{name}/{number}.mp4" for name, count in counts.items() for number in range(count)]
    return write_clips(tmp_path_factory.mktemp("clips"), names)


def split(source: Path, **settings) -> dict[str, list[str]]:
    config = DataConfig(train=source, **settings)
    return {name: [video.name for video in read_configured_list(config, name).videos] for name in ("train", "test")}


def classes(names: list[str]) -> Counter:
    return Counter(name.split("/")[0] for name in names)


class TestFraction:
    @pytest.mark.parametrize(
        ("fraction", "expected"),
        [
            (0.2, {"run": 2, "walk": 1, "jump": 1}),
            (0.4, {"run": 4, "walk": 2, "jump": 1}),
            (0.01, {"run": 1, "walk": 1, "jump": 1}),
        ],
    )
    def test_each_class_in_the_same_proportion(self, clips, fraction, expected):
        found = split(clips, val_fraction=fraction)
        assert classes(found["test"]) == expected
        assert sorted(found["train"] + found["test"]) == sorted(str(p.relative_to(clips)) for p in clips.glob("*/*"))

    def test_the_seed_decides(self, clips):
        found = [split(clips, val_fraction=0.2, split_seed=seed)["test"] for seed in (0, 0, 1)]
        assert found[0] == found[1] != found[2]

    def test_the_order_of_a_list_does_not_decide(self, tmp_path):
        rows = [f"{n}.mp4,{'ab'[n % 2]}" for n in range(12)]
        lists = [tmp_path / "one.csv", tmp_path / "two.csv"]
        for path, order in zip(lists, (rows, rows[::-1]), strict=True):
            path.write_text("\n".join(["video,label", *order]))
        assert sorted(split(lists[0], val_fraction=0.25)["test"]) == sorted(split(lists[1], val_fraction=0.25)["test"])

    def test_train_evaluate_and_check_data_agree(self, clips):
        config = DataConfig(train=clips, val_fraction=0.2)
        data = read_data(config)
        evaluated = read_data(config, class_names=data.class_names, test_only=True)
        checked = read_entries(config, "recognition")
        names = [video.name for video in data.test.videos]
        assert [video.name for video in evaluated.test.videos] == names
        assert [[entry.video.name for entry in one.entries] for one in checked] == [
            [video.name for video in data.train.videos],
            names,
        ]
        assert evaluated.train is None

    def test_the_parts_are_printed(self, clips):
        notes = read_configured_list(DataConfig(train=clips, val_fraction=0.2), "train").notes
        text = (
            r"Held out for evaluation: 20% of the clips \(split seed 0, clips [0-9a-f]{8}\): 14 to train \+ 4 to "
            r"evaluate; by class: 'jump' 2 \+ 1, 'run' 8 \+ 2, 'walk' 4 \+ 1\."
        )
        assert any(re.fullmatch(text, note) for note in notes)

    def test_a_split_column_comes_first(self, tmp_path):
        rows = [f"{n}.mp4,{'ab'[n % 2]},{'test' if n > 7 else 'train'}" for n in range(10)]
        (tmp_path / "all.csv").write_text("\n".join(["video,label,split", *rows]))
        found = split(tmp_path / "all.csv", val_fraction=0.25)
        assert sorted(found["train"] + found["test"]) == [f"{n}.mp4" for n in range(8)]

    def test_an_evaluation_list_too_is_refused(self, clips):
        config = DataConfig(train=clips, test=clips, val_fraction=0.2)
        with pytest.raises(DataError, match=r"but data\.test is given too"):
            read_configured_list(config, "train")
        assert len(read_configured_list(config, "test").videos) == 18  # evaluate ADAPTER --data.test OTHER

    def test_one_clip_is_too_few(self, tmp_path):
        write_clips(tmp_path, ["run/1.mp4", "run/2.mp4", "walk/1.mp4"])
        with pytest.raises(
            DataError, match=r"1 of 2 classes have fewer clips than the 2 parts .* 'walk' \(1\).*these classes\.$"
        ):
            split(tmp_path, val_fraction=0.2)


class TestFolds:
    def test_folds_are_a_partition(self, clips):
        folds = [split(clips, folds=3, fold=fold)["test"] for fold in (1, 2, 3)]
        assert sorted(name for held in folds for name in held) == sorted(
            str(path.relative_to(clips)) for path in clips.glob("*/*")
        )
        for held in folds:
            assert 3 <= classes(held)["run"] <= 4
            assert 1 <= classes(held)["walk"] <= 2
            assert classes(held)["jump"] == 1
        assert {len(held) for held in folds} == {6}

    def test_a_class_with_fewer_clips_than_folds(self, clips):
        with pytest.raises(DataError, match=r"fewer clips than the 5 parts of the split: 'jump' \(3\)"):
            split(clips, folds=5)

    @pytest.mark.parametrize(
        "settings", [{"fold": 4}, {"folds": 3, "fold": 4}, {"folds": 1}, {"folds": 2, "val_fraction": 0.2}]
    )
    def test_impossible_settings(self, settings):
        with pytest.raises(ValueError, match=r"fold|val_fraction"):
            DataConfig(**settings)

    def test_retrieval_refuses_them(self):
        with pytest.raises(ValueError, match=r"data\.val_fraction: not supported by task retrieval"):
            RunConfig(
                task="retrieval", backbone={"name": "vit_base_patch32_clip_quickgelu_224"}, data={"val_fraction": 0.2}
            )


class TestGroups:
    def test_groups_stay_whole(self, tmp_path):
        names = [f"{label}/day{day}_{n}.mp4" for label in ("run", "walk") for day in range(5) for n in range(day + 1)]
        found = split(write_clips(tmp_path, names), val_fraction=0.3, group=r"day\d")
        days = {part: {re.search(r"day\d", name)[0] for name in own} for part, own in found.items()}
        assert not days["train"] & days["test"]
        assert classes(found["test"])["run"] == classes(found["test"])["walk"] in (4, 5)

    def test_parts_of_one_file_stay_together(self, tmp_path):
        rows = [f"{film}.mp4,{'ab'[n % 2]},{n},{n + 1}" for film in range(4) for n in range(6)]
        (tmp_path / "all.csv").write_text("\n".join(["video,label,start,end", *rows]))
        found = split(tmp_path / "all.csv", val_fraction=0.25)
        assert (len(set(found["test"])), len(found["test"])) == (1, 6)

    def test_groups_that_hold_a_class(self, tmp_path):
        write_clips(
            tmp_path, [f"{label}/{day}_{n}.mp4" for label, day in (("run", "a"), ("walk", "b")) for n in range(4)]
        )
        with pytest.raises(
            DataError, match=r"have fewer groups than the 2 parts of the split: 'run' \(1\), 'walk' \(1\)"
        ):
            split(tmp_path, val_fraction=0.25, group="[ab]_")

    def test_the_error_names_the_origin_of_groups_and_the_setting(self, tmp_path):
        write_clips(tmp_path, [f"{label}/v_{label}_g01_c0{n}.mp4" for label in ("run", "walk") for n in range(4)])
        with pytest.raises(DataError, match=r"names, read as UCF101 .* give --data\.group: a column, a file"):
            split(tmp_path, val_fraction=0.25)
        assert len(split(tmp_path, val_fraction=0.25, group=".+")["test"]) == 2

    def test_several_labels(self, tmp_path):
        lines = [
            f'{{"video": "{n}.mp4", "labels": {["a"] if n % 3 else ["a", "b"]}}}'.replace("'", '"') for n in range(12)
        ]
        (tmp_path / "all.jsonl").write_text("\n".join(lines))
        config = DataConfig(train=tmp_path / "all.jsonl", folds=4, fold=2)
        held = read_configured_list(config, "test").videos
        assert Counter(label for video in held for label in video.labels) == {0: 3, 1: 1}


@given(st.lists(st.integers(0, 2), min_size=4, max_size=40), st.sampled_from([0.1, 0.25, 0.5, 0.8]), st.integers(0, 3))
def test_each_class_gets_its_share(labels, fraction, seed):
    parts = divide(
        [(label,) for label in labels], [str(n) for n in range(len(labels))], [fraction, 1 - fraction], seed=seed
    )
    for label, count in Counter(labels).items():
        if count > 1:
            held = sum(part == 0 for own, part in zip(labels, parts, strict=True) if own == label)
            assert abs(held - min(max(fraction * count, 1), count - 1)) <= 1
            assert 1 <= held < count
