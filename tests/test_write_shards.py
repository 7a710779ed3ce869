"""The command `write-shards`, and runs on shards, whose results equal those on files."""

import gc
import hashlib
import json
import subprocess
import tarfile
from types import SimpleNamespace

import pytest
import torch
import webdataset

from side4video.cli import main
from side4video.config.recipes import dump_config
from side4video.data.datasets import ClipKey
from side4video.data.lists.annotations import read_video_list
from side4video.data.lists.captions import read_caption_list
from side4video.data.loading.order import TrainOrder
from side4video.tasks.data_identity import identify_videos
from side4video.tasks.recognition.data import read_data, training_clips
from side4video.video.file_access import open_bytes


def write(source, out, *flags):
    return main(["write-shards", str(source), "--out", str(out), "--processes", "1", *flags])


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def shards(captioned_videos, tmp_path_factory):
    """Shards of the motion videos: labelled train and test, several in each, and captioned."""
    folder = tmp_path_factory.mktemp("written")
    for name in ("train", "test"):
        assert write(captioned_videos / name, folder / name, "--max-count", "5") == 0
    assert write(captioned_videos / "train.csv", folder / "captions") == 0
    return folder


def test_labelled_shards_contain_the_videos_of_the_list(shards, motion_videos):
    files, members = (read_video_list(place) for place in (motion_videos / "train", shards / "train"))
    assert members.class_names == files.class_names
    assert [video.label for video in members.videos] == [video.label for video in files.videos]
    for file, member in zip(files.videos, members.videos, strict=True):
        with open_bytes(member.path) as content:
            assert content.read() == file.path.read_bytes()
    about = json.loads((shards / "train/shards.json").read_text())
    assert [one["file"] for one in about["shards"]] == sorted(path.name for path in (shards / "train").glob("*.tar"))
    assert max(one["videos"] for one in about["shards"]) == 5
    assert sum(one["videos"] for one in about["shards"]) == about["videos"] == len(files.videos)
    for one in about["shards"]:
        assert one["bytes"] == (shards / "train" / one["file"]).stat().st_size


def test_captioned_shards_contain_all_captions(shards, captioned_videos):
    files, members = (read_caption_list(place) for place in (captioned_videos / "train.csv", shards / "captions"))
    assert members.captions == files.captions
    assert {len(own) for own in members.captions} == {2}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the library leaves shards open
def test_the_library_and_tar_read_the_shards(shards, motion_videos):
    files = read_video_list(motion_videos / "train")
    pattern = str(shards / "train/{000000..000001}.tar")
    found = list(webdataset.WebDataset(pattern, shardshuffle=False).decode())
    gc.collect()
    assert len(found) == 10
    for file, sample in zip(files.videos, found, strict=False):
        assert sample["mp4"] == file.path.read_bytes()
        assert sample["cls"] == file.label
        assert sample["json"] == {"file": file.name, "label": files.class_names[file.label]}
    listed = subprocess.run(["tar", "tf", shards / "captions/000000.tar"], capture_output=True, text=True, check=True)
    assert listed.stdout.split()[:3] == ["00000000.json", "00000000.mp4", "00000000.txt"]


def test_clips_of_shards_equal_clips_of_files(shards, motion_videos, small_run):
    backbone = SimpleNamespace(image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic")
    identities, clips = [], []
    for train in (motion_videos / "train", shards / "train"):
        config = small_run(data={"train": train, "test": None})
        data = read_data(config.data)
        identities.append(identify_videos(data.train.videos, data.class_names))
        clips.append(training_clips(data, config=config, backbone=backbone))
    assert identities[0] == identities[1]  # so that a run of files is resumed on their shards
    for key in (ClipKey(0, 0), ClipKey(3, 7), ClipKey(1, 23)):
        file, member = (one[key] for one in clips)
        assert torch.equal(file.frames, member.frames)
        assert file.labels == member.labels


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_has_every_sample_of_all_shards_once_over_all_processes(shards, world):
    videos = read_video_list(shards / "train").videos
    taken = []
    for rank in range(world):
        order = TrainOrder(
            num_samples=len(videos), global_batch=7, micro_batch=3, seed=1, total_steps=4, world=world, rank=rank
        )
        taken += [videos[key.index].path for batch in order for key in batch]
    assert len({path.parent for path in taken}) == 5, "shards"
    assert sorted(taken) == sorted(video.path for video in videos)


@pytest.mark.slow  # trains twice
def test_runs_on_shards_equal_runs_on_files(shards, motion_videos, small_run, tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(dump_config(small_run(train={"epochs": 1}, eval={"probe": False})))
    sets = {
        "files": (motion_videos / "train", motion_videos / "test", "0"),
        "shards": (shards / "train/{000000..000004}.tar", shards / "test", "1"),
    }
    for name, (train, test, workers) in sets.items():
        flags = ["--data.train", str(train), "--data.test", str(test), "--data.workers", workers]
        assert main(["train", str(tmp_path / "small.yaml"), *flags, "--out", str(tmp_path / name)]) == 0
    assert "Shards:" in capsys.readouterr().out
    logs = [
        [json.loads(line).get("loss") for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in sets
    ]
    assert logs[0] == logs[1]
    scores = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in sets]
    assert scores[0]["top1"] == scores[1]["top1"]
    assert main(["evaluate", str(tmp_path / "shards")]) == 0
    member = shards / "test/000000.tar/0000000.mp4"
    assert main(["predict", str(tmp_path / "shards"), str(shards / "test"), "--json", str(tmp_path / "all.json")]) == 0
    assert main(["predict", str(tmp_path / "shards"), str(member), "--json", str(tmp_path / "one.json")]) == 0
    found = [json.loads((tmp_path / name).read_text())["predictions"] for name in ("all.json", "one.json")]
    assert found[1][0]["path"] == str(member) == found[0][0]["path"]
    assert found[1][0]["classes"] == found[0][0]["classes"]


def test_check_data_takes_shards_and_its_list_names_members(shards, tmp_path, capsys):
    flags = ["--data.train", str(shards / "test"), "--out", str(tmp_path / "checked"), "--processes", "1"]
    assert main(["check-data", *flags]) == 0
    listed = read_video_list(tmp_path / "checked/train.csv")
    assert [video.path for video in listed.videos] == [video.path for video in read_video_list(shards / "test").videos]
    assert "Labels: .cls" in capsys.readouterr().out


def test_the_same_list_gives_the_same_bytes_also_after_a_stop(shards, motion_videos, tmp_path, capsys):
    out = tmp_path / "again"
    assert write(motion_videos / "train", out, "--max-count", "5") == 0
    assert digests(out) == digests(shards / "train")
    (out / "000001.tar").unlink()
    (out / ".000001.tar.abcdefgh.tmp").write_bytes(b"of a killed process")
    (out / ".000001.tar.abcdefgh.lock").write_bytes(b"")
    kept = (out / "000000.tar").stat().st_mtime_ns
    assert write(motion_videos / "train", out, "--max-count", "5") == 0
    assert f"{len(list(out.glob('*.tar'))) - 1} of them written before" in capsys.readouterr().out
    assert digests(out) == digests(shards / "train")
    assert (out / "000000.tar").stat().st_mtime_ns == kept


def test_other_shards_and_files_are_not_overwritten(shards, motion_videos, tmp_path, capsys):
    before = digests(shards / "test")
    assert write(motion_videos / "train", shards / "test") == 2
    assert "contains shards of another list" in capsys.readouterr().err
    assert digests(shards / "test") == before
    (tmp_path / "notes.txt").write_text("mine")
    assert write(motion_videos / "train", tmp_path) == 2
    assert "contains files that are no shards" in capsys.readouterr().err


def test_sizes_and_order(motion_videos, tmp_path):
    first = read_video_list(motion_videos / "train")
    assert write(motion_videos / "train", tmp_path / "a", "--max-size", "30KB", "--shuffle-seed", "3") == 0
    files = sorted((tmp_path / "a").glob("*.tar"))
    assert len(files) > 1
    assert all(file.stat().st_size <= 30_000 for file in files)
    names = []
    for file in files:
        with tarfile.open(file) as archive:
            contents = [archive.extractfile(member).read() for member in archive if member.name.endswith(".json")]
        names += [json.loads(content)["file"] for content in contents]
    assert sorted(names) == sorted(video.name for video in first.videos)
    assert names != [video.name for video in first.videos]


def test_bad_videos_are_reported_before_anything_is_written(motion_videos, tmp_path, capsys):
    [good, *_] = sorted((motion_videos / "train").glob("*/*.mp4"))
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:900])
    (tmp_path / "list.csv").write_text(f"video,label\n{good},a\ncut.mp4,b\nnone.mp4,b\n")
    assert write(tmp_path / "list.csv", tmp_path / "out") == 1
    printed = capsys.readouterr().err
    assert "cut.mp4: " in printed
    assert "none.mp4: missing: the file does not exist." in printed
    assert "nothing was written: 2 of 3 entries cannot be used" in printed
    assert not (tmp_path / "out").exists()
    assert write(tmp_path / "list.csv", tmp_path / "out", "--on-error", "skip") == 0
    assert [video.label for video in read_video_list(tmp_path / "out").videos] == [0]


def test_segments_are_stored_with_their_video_once(motion_videos, tmp_path):
    paths = sorted((motion_videos / "train").glob("*/*.mp4"))[:2]
    rows = [f"{paths[0]},a,0,0.5,m", f"{paths[0]},b,0.5,1,m", f"{paths[1]},b,,,t"]
    (tmp_path / "list.csv").write_text("\n".join(["video,label,start,end,group", *rows]))
    assert write(tmp_path / "list.csv", tmp_path / "out") == 0
    before, after = read_video_list(tmp_path / "list.csv"), read_video_list(tmp_path / "out")
    assert after.class_names == before.class_names
    shown = [[(v.label, v.start_seconds, v.end_seconds, v.group) for v in one.videos] for one in (before, after)]
    assert shown[0] == shown[1]
    assert len({video.path for video in after.videos}) == 2


def test_classes_come_before_texts_and_the_choice_is_printed(motion_videos, tmp_path, capsys):
    path = next((motion_videos / "train").glob("*/*.mp4"))
    (tmp_path / "list.csv").write_text(f"video,label,text\n{path},run,a shape\n")
    assert write(tmp_path / "list.csv", tmp_path / "out") == 0
    assert "Read as a list of classes (action recognition)" in capsys.readouterr().out
    assert read_video_list(tmp_path / "out").class_names == ("run",)


def test_several_labels_are_kept(motion_videos, tmp_path):
    paths = sorted((motion_videos / "train").glob("*/*.mp4"))[:3]
    labels = (["a", "b"], ["b"], [])
    lines = [json.dumps({"video": str(path), "labels": own}) for path, own in zip(paths, labels, strict=True)]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    assert write(tmp_path / "list.jsonl", tmp_path / "out") == 0
    after = read_video_list(tmp_path / "out")
    assert (after.class_names, [video.labels for video in after.videos]) == (("a", "b"), [(0, 1), (1,), ()])


def test_shards_are_written_again_in_other_sizes(shards, tmp_path):
    assert write(shards / "captions", tmp_path / "again", "--max-count", "4") == 0
    before, after = (read_caption_list(place) for place in (shards / "captions", tmp_path / "again"))
    assert after.captions == before.captions


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max-size", "big"], "max_size = 'big' is no size. Write a number with a unit"),
        (["--max-count", "0"], "max_count = 0"),
        (["--data.train", "x"], "The list is the first argument"),
    ],
)
def test_wrong_arguments(flags, message, motion_videos, tmp_path, capsys):
    assert write(motion_videos / "train", tmp_path / "out", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_of_frames_are_refused(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / f"set/{name}/v").mkdir(parents=True)
        for number in range(2):
            from PIL import Image

            Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / f"set/{name}/v/img_{number:05d}.jpg")
    assert write(tmp_path / "set", tmp_path / "out") == 2
    assert "2 videos are folders of frames, such as 'a/v'" in capsys.readouterr().err
