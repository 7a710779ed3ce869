"""Commands on videos in an object store: results equal those of the same files on this disk."""

import csv
import json
from multiprocessing import forkserver

import pytest
from s3fs import S3FileSystem

from s3_server import BUCKET, running_s3
from side4video.cli import main
from side4video.config.recipes import dump_config
from side4video.data.lists.annotations import read_video_list
from side4video.video.file_access import open_bytes
from side4video.video.remote import video_path
from side4video.video.remote_file import RemoteContent
from small_shards import write_tar


@pytest.fixture(scope="module")
def store(motion_videos):
    """The address of a copy of the motion videos in S3."""
    with running_s3() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT"])
        S3FileSystem.clear_instance_cache()  # of other tests, with other servers
        forkserver._forkserver._stop()  # the next one starts with these variables
        for path in sorted(motion_videos.glob("t*/*/*.mp4")):
            address = f"s3://{BUCKET}/clips/{path.relative_to(motion_videos).as_posix()}"
            video_path(address).write_bytes(path.read_bytes())
        yield f"s3://{BUCKET}/clips"
        forkserver._forkserver._stop()


@pytest.fixture(scope="module")
def runs(store, motion_videos, small_run, tmp_path_factory):
    """Two runs: on this disk's files and on those of the store."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.yaml").write_text(dump_config(small_run(train={"epochs": 1})))
    for name, place in (("here", str(motion_videos)), ("there", store)):
        flags = ["--data.train", f"{place}/train", "--data.test", f"{place}/test", "--out", str(folder / name)]
        assert main(["train", str(folder / "small.yaml"), *flags]) == 0
    return folder


@pytest.mark.slow
def test_training_in_a_store_equals_training_on_disk(runs):
    here, there = (
        [{**json.loads(line), "seconds": 0} for line in (runs / name / "log.jsonl").read_text().splitlines()]
        for name in ("here", "there")
    )
    assert [line.get("loss") for line in here] == [line.get("loss") for line in there]
    scores = [json.loads((runs / name / "evaluation.json").read_text())["top1"] for name in ("here", "there")]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_predict_takes_addresses_folders_and_patterns(runs, store, motion_videos, tmp_path, capsys):
    local = sorted(motion_videos.glob("test/*/*.mp4"))
    outputs = []
    for name, inputs in {
        "here": [str(motion_videos / "test")],
        "folder": [f"{store}/test"],
        "pattern": [f"{store}/test/*/*.mp4"],
    }.items():
        assert main(["predict", str(runs / "here/best"), *inputs, "--json", str(tmp_path / f"{name}.json")]) == 0
        found = json.loads((tmp_path / f"{name}.json").read_text())
        outputs.append([(one["path"].rpartition("/test/")[2], one["classes"]) for one in found["predictions"]])
    assert len(outputs[0]) == len(local)
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_list_names_addresses(runs, store, motion_videos, tmp_path):
    local = sorted(motion_videos.glob("test/*/*.mp4"))
    rows = [(f"{store}/test/{path.parent.name}/{path.name}", path.parent.name) for path in local]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    out = tmp_path / "evaluation.json"
    assert (
        main(["evaluate", str(runs / "here/best"), "--data.test", str(tmp_path / "list.csv"), "--json", str(out)]) == 0
    )
    expected = json.loads((runs / "here/evaluation.json").read_text())
    assert json.loads(out.read_text())["top1"] == expected["top1"]


def test_shards_in_a_store_are_read_by_ranges(runs, store, motion_videos, tmp_path, monkeypatch):
    files = sorted(motion_videos.glob("test/*/*.mp4"))
    padding = ("padding.bin", b"\0" * 2**21)  # not read
    members = [(f"{number:04d}.mp4", path.read_bytes()) for number, path in enumerate(files)]
    labels = [(f"{number:04d}.cls", path.parent.name) for number, path in enumerate(files)]
    for number, chosen in enumerate((slice(0, 4), slice(4, None))):
        shard = write_tar(tmp_path / f"{number}.tar", [*members[chosen], padding, *labels[chosen]])
        video_path(f"{store}/shards/{number}.tar").write_bytes(shard.read_bytes())
    read = []
    original = RemoteContent._read
    monkeypatch.setattr(RemoteContent, "_read", lambda self, *part: read.append(part) or original(self, *part))
    listed = read_video_list(f"{store}/shards/{{0..1}}.tar")
    assert [listed.class_names[video.label] for video in listed.videos] == [path.parent.name for path in files]
    for file, video in zip(files, listed.videos, strict=True):
        with open_bytes(video.path) as content:
            assert content.read() == file.read_bytes()
    assert sum(length for _, length in read) < 2**21
    outputs = []
    for name, inputs in {"here": [str(motion_videos / "test")], "there": [f"{store}/shards/{{0..1}}.tar"]}.items():
        assert main(["predict", str(runs / "here/best"), *inputs, "--json", str(tmp_path / f"{name}.json")]) == 0
        found = json.loads((tmp_path / f"{name}.json").read_text())
        outputs.append([one["classes"] for one in found["predictions"]])
    assert outputs[0] == outputs[1]


def test_check_data_names_what_is_wrong_in_a_store(store, motion_videos, tmp_path, capsys):
    name = next(iter(sorted(motion_videos.glob("test/*/*.mp4")))).relative_to(motion_videos).as_posix()
    rows = [(name, "a"), ("broken.mp4", "b"), ("none.mp4", "b")]
    video_path(f"{store}/broken.mp4").write_bytes(b"<html>no video</html>")
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    flags = ["--data.train", str(tmp_path / "list.csv"), "--data.root", store, "--out", str(tmp_path / "out")]
    assert main(["check-data", *flags, "--processes", "1"]) == 1
    with (tmp_path / "out/reasons.csv").open(newline="") as file:
        found = {(row["name"], row["kind"]) for row in csv.DictReader(file)}
    assert {("broken.mp4", "no-video"), ("none.mp4", "missing")} <= found


def test_addresses_outside_of_the_root_are_refused(store, motion_videos, tmp_path, capsys):
    for root, name in (
        (store, "../other/a.mp4"),
        (store, "s3://elsewhere/a.mp4"),
        (str(motion_videos), f"{store}/test/a.mp4"),
    ):
        (tmp_path / "list.csv").write_text(f"path,label\n{name},a\nb.mp4,b\n")
        flags = ["--data.train", str(tmp_path / "list.csv"), "--data.root", root, "--out", str(tmp_path / "out")]
        assert main(["train", "own-clips", *flags]) == 2
        assert "outside of the root" in capsys.readouterr().err
