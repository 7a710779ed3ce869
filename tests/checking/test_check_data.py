"""The command as a user types it, on good and on bad sets."""

import csv
import json
import os
import shutil

import numpy as np
import pytest

from side4video.cli import main
from side4video.data.lists.annotations import check_video_list, read_video_list
from side4video.data.lists.captions import read_caption_list


@pytest.fixture
def clips(tmp_path, make_video):
    """Two classes, two videos each in training and one in evaluation, all different."""
    level = iter(range(0, 240, 10))
    for split, numbers in {"train": (1, 2), "test": (3,)}.items():
        for name in ("run", "sit"):
            for number in numbers:
                first = next(level)
                make_video(tmp_path / f"clips/{split}/{name}/{number}.mp4", range(first, first + 10))
    return tmp_path / "clips"


def check(clips, out, *flags):
    sets = ["--data.train", str(clips / "train"), "--data.test", str(clips / "test")]
    return main(["check-data", *sets, "--out", str(out), "--processes", "2", *flags])


def reasons(out):
    with (out / "reasons.csv").open(newline="") as file:
        return [(row["set"], row["name"], row["kind"], row["severity"]) for row in csv.DictReader(file)]


def test_good_set_gives_complete_lists_and_exit_code_0(clips, tmp_path, capsys):
    out = tmp_path / "out"
    assert check(clips, out) == 0
    assert reasons(out) == []
    names = out / "class_names.json"
    for split in ("train", "test"):
        listed, read = read_video_list(clips / split), read_video_list(out / f"{split}.csv", class_names=names)
        assert read.class_names == listed.class_names == ("run", "sit")
        assert [(v.path, v.label) for v in read.videos] == [(v.path, v.label) for v in listed.videos]
        check_video_list(read)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["files"] == 6
    assert summary["sets"]["train"] | {"source": ""} == {
        "source": "", "listed": 4, "segments": 0, "usable": 4, "errors": 0, "warnings": 0, "by_kind": {},
        "notes": ["Read as folder.", "4 videos, 2 classes: 'run' (2), 'sit' (2)."],
    }  # fmt: skip
    page = (out / "index.html").read_text()
    assert "No problems were found" in page
    assert "train: Read as folder." in page
    assert f"--data.train {out / 'train.csv'}" in " ".join(capsys.readouterr().out.split())


def test_all_faults_are_found_and_left_out(clips, tmp_path, capsys, make_video):
    train, test, out = clips / "train/run", clips / "test/run", tmp_path / "out"
    (train / "empty.mp4").touch()
    (train / "page <b>.mp4").write_text("<html>gone</html>")
    whole = make_video(tmp_path / "whole.avi", np.random.default_rng(0).integers(0, 255, 90)).read_bytes()
    (train / "cut.avi").write_bytes(whole[: len(whole) * 3 // 4])
    shutil.copy(train / "1.mp4", train / "again.mp4")
    shutil.copy(train / "2.mp4", clips / "train/sit/other class.mp4")
    shutil.copy(test / "3.mp4", train / "leaked.mp4")
    make_video(test / "short.mp4", [0, 50, 100])
    make_video(tmp_path / "w.mp4", range(100, 120)).rename(test / "wrong.webm")
    (test / "broken.mp4").write_bytes(bytes(range(1, 256)) * 9)
    assert check(clips, out) == 1
    assert sorted(reasons(out)) == sorted(
        [
            ("train", "run/empty.mp4", "empty", "error"),
            ("train", "run/page <b>.mp4", "no-video", "error"),
            ("train", "run/cut.avi", "truncated", "error"),
            ("train", "run/again.mp4", "duplicate", "warning"),
            ("train", "run/2.mp4", "two-labels", "error"),
            ("train", "sit/other class.mp4", "two-labels", "error"),
            ("train", "run/leaked.mp4", "test-in-train", "error"),
            ("test", "run/short.mp4", "too-short", "warning"),
            ("test", "run/wrong.webm", "wrong-suffix", "warning"),
            ("test", "run/broken.mp4", "unreadable", "error"),
        ]
    )
    kept = {split: [v.path.name for v in read_video_list(out / f"{split}.csv").videos] for split in ("train", "test")}
    assert kept == {"train": ["1.mp4", "1.mp4", "2.mp4"], "test": ["3.mp4", "short.mp4", "wrong.webm", "3.mp4"]}
    page = (out / "index.html").read_text()
    assert "page &lt;b&gt;.mp4" in page
    assert "<b>" not in page
    assert "://" not in page
    assert "error: truncated, 1" in capsys.readouterr().out
    again = ["--data.train", str(out / "train.csv"), "--data.test", str(out / "test.csv")]
    names = ["--data.class-names", str(out / "class_names.json")]
    assert main(["check-data", *again, *names, "--out", str(tmp_path / "again")]) == 0, "only warnings are left"


def test_missing_files_and_duplicate_entries(clips, tmp_path):
    lines = ["video,label", "run/1.mp4,run", "run/1.mp4,run", "sit/gone.mp4,sit"]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    arguments = ["--data.train", str(tmp_path / "train.csv"), "--data.root", str(clips / "train")]
    assert main(["check-data", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert reasons(tmp_path / "out") == [
        ("train", "run/1.mp4", "listed-twice", "warning"),
        ("train", "sit/gone.mp4", "missing", "error"),
    ]


def test_slow_file_times_out_and_is_reported(clips, tmp_path):
    for name in (
        "endless.mp4",
        "endless too.mp4",
    ):  # of the same size, so that they are read to the end; no bytes on disk
        (clips / "train/run" / name).touch()
        os.truncate(clips / "train/run" / name, 2**40)
    assert check(clips, tmp_path / "out", "--timeout-seconds", "3") == 1
    assert reasons(tmp_path / "out") == [
        ("train", "run/endless too.mp4", "time-out", "error"),
        ("train", "run/endless.mp4", "time-out", "error"),
    ]
    assert json.loads((tmp_path / "out/summary.json").read_text())["sets"]["train"]["usable"] == 4


def test_captions_are_kept(clips, tmp_path):
    (tmp_path / "test.csv").write_text('video,caption\nrun/3.mp4,"one, two"\nrun/3.mp4,three\nsit/3.mp4,four\n')
    (clips / "test/sit/3.mp4").write_bytes(b"")
    arguments = ["--data.test", str(tmp_path / "test.csv"), "--data.root", str(clips / "test")]
    assert main(["check-data", *arguments, "--out", str(tmp_path / "out")]) == 1
    read = read_caption_list(tmp_path / "out/test.csv")
    assert (read.captions, read.split) == ((("one, two", "three"),), "test")
    assert read.videos[0].path == clips / "test/run/3.mp4"
    assert not (tmp_path / "out/class_names.json").exists()


def test_classes_come_before_texts_and_the_choice_is_printed(clips, tmp_path, capsys):
    (tmp_path / "list.csv").write_text("video,label,description\nrun/1.mp4,run,first\nsit/1.mp4,sit,second\n")
    arguments = ["--data.train", str(tmp_path / "list.csv"), "--data.root", str(clips / "train")]
    assert main(["check-data", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert "note: Read as a list of classes (action recognition). For its captions" in capsys.readouterr().out
    assert read_video_list(tmp_path / "out/train.csv").class_names == ("run", "sit")


def test_recipe_sets_task_and_frames(clips, tmp_path, capsys):
    arguments = ["--data.train", str(clips / "train"), "--out", str(tmp_path / "out")]
    assert main(["check-data", "own-clips", *arguments, "--data.num-frames", "11"]) == 0
    assert {kind for _, _, kind, _ in reasons(tmp_path / "out")} == {"too-short"}
    assert main(["check-data", "own-captions", *arguments]) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--data.train"),
        (["--data.train", "nowhere"], "does not exist"),
        (["own-clip"], "Did you mean 'own-clips'"),
    ],
)
def test_invalid_input_is_refused(flags, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check-data", *flags]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_existing_files_are_not_overwritten(clips, tmp_path, capsys):
    (tmp_path / "lists").mkdir()
    listed = tmp_path / "lists/train.csv"
    listed.write_text(f"video,label\n{clips / 'train/run/1.mp4'},run\n")
    assert main(["check-data", "--data.train", str(listed), "--out", str(tmp_path / "lists")]) == 2
    assert "contains a list to be checked" in capsys.readouterr().err
    assert main(["check-data", "--data.train", str(clips / "train"), "--out", str(tmp_path / "lists")]) == 2
    assert "not from an earlier check" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["train.csv"]
    for _ in range(2):
        assert main(["check-data", "--data.train", str(listed), "--out", str(tmp_path / "out")]) == 0
    again = ["check-data", "--data.train", str(tmp_path / "out/train.csv"), "--out", str(tmp_path / "out")]
    assert main(again) == 2


def test_lists_of_an_earlier_check_are_removed(clips, tmp_path):
    assert check(clips, tmp_path / "out") == 0
    assert main(["check-data", "--data.test", str(clips / "test"), "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out/train.csv").exists()
    assert (tmp_path / "out/test.csv").exists()


@pytest.mark.parametrize("flag", ["--timeout-seconds", "--processes"])
def test_zero_seconds_and_zero_processes_are_refused(flag, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["check-data", "--data.train", str(tmp_path), flag, "0"])
    assert caught.value.code == 2
    assert flag.strip("-").replace("-", "_") in capsys.readouterr().err


def test_segments_are_counted_and_their_faults_have_lines(tmp_path, make_video, capsys):
    make_video(tmp_path / "film.mp4", range(0, 240, 2))  # 12 seconds
    rows = ["0,4,a", "3,6,b", "0:00:10,0:00:13,a", "0:01:00,0:01:05,b", "8,9,a"]
    table = tmp_path / "list.csv"
    lines = [f"film.mp4,{label},{start},{end}" for start, end, label in (row.split(",") for row in rows)]
    table.write_text("video,label,start,end\n" + "\n".join(lines) + "\n")
    out = tmp_path / "out"
    assert main(["check-data", "--data.train", str(table), "--data.num-frames", "4", "--out", str(out)]) == 1
    summary = json.loads((out / "summary.json").read_text())["sets"]["train"]
    assert (summary["segments"], summary["usable"]) == (5, 4)
    assert summary["by_kind"] == {"overlap": 1, "ends-late": 1, "beyond-end": 1}
    with (out / "reasons.csv").open(newline="") as file:
        found = {row["kind"]: row["reason"] for row in csv.DictReader(file)}
    assert found["overlap"] == "line 3, 3.0 to 6.0 s: it overlaps film.mp4 from 0.0 to 4.0 (line 2)."
    assert found["ends-late"] == "line 4, 10.0 to 13.0 s: it ends at 13 seconds, the video at 12.000."
    assert found["beyond-end"].startswith("line 5, 60.0 to 65.0 s: there is no frame from")
    assert "train: 5 segments of 1 file, 16.0 s in all" in capsys.readouterr().out
    kept = read_video_list(out / "train.csv").videos
    assert [(video.start_seconds, video.end_seconds) for video in kept] == [(0, 4), (3, 6), (10, 13), (8, 9)]


def test_captions_that_training_would_cut_are_counted(clips, tmp_path, capsys):
    videos = sorted(clips.glob("train/*/*.mp4"))
    rows = [f"{path},{'a dog ' * (20 if place == 0 else 2)}" for place, path in enumerate(videos)]
    listed = tmp_path / "captions.csv"
    listed.write_text("\n".join(["video,caption", *rows]))
    assert main(["check-data", "--data.train", str(listed), "--out", str(tmp_path / "out")]) == 0
    message = f"1 of {len(videos)} captions are longer than --text.max-words 32"
    assert message in capsys.readouterr().out
    assert message in json.loads((tmp_path / "out/summary.json").read_text())["sets"]["train"]["notes"][0]
