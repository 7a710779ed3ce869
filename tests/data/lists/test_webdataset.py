"""Shards as lists of labelled and captioned videos, as video2dataset, open_clip and Hugging Face have them."""

import json
from pathlib import Path

import pytest

from side4video.checking.entries import detect_task, read_entries
from side4video.config import DataConfig
from side4video.config.absolute_paths import with_absolute_paths
from side4video.config.run import RunConfig
from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.data.lists.captions import check_caption_list, read_caption_list
from side4video.data.lists.configured_lists import read_configured_list
from side4video.data.lists.list_formats import detect_format
from side4video.inference.inputs import expand_inputs
from small_shards import write_tar, write_with_webdataset


def labelled(key, label, **more):
    return {"__key__": key, "mp4": b"video", "cls": str(label), **more}


@pytest.fixture
def downloaded(tmp_path):
    """A folder as video2dataset leaves it: one download failed."""
    for shard in range(2):
        samples = []
        for place in range(3):
            key = f"{shard:05d}{place:04d}"
            about = {"url": f"https://v/{place}", "caption": f"clip {key}", "key": key, "status": "success"}
            about |= {"start": 70.5, "end": 80.0, "clips": [[70.5, 80.0]], "error_message": None, "duration": 9.5}
            samples.append({"__key__": key, "mp4": b"video", "txt": f"clip {key}", "json": json.dumps(about)})
        failed = {"caption": "gone", "status": "failed_to_download", "error_message": "404"}
        samples.append({"__key__": f"{shard:05d}0003", "txt": "gone", "json": json.dumps(failed)})
        write_with_webdataset(tmp_path / f"set/{shard:05d}.tar", samples)
        (tmp_path / f"set/{shard:05d}.parquet").write_bytes(b"PAR1")
        (tmp_path / f"set/{shard:05d}_stats.json").write_text("{}")
    (tmp_path / "set/_tmp").mkdir()
    return tmp_path / "set"


# --- labels -----------------------------------------------------------------------------------------------------------


def test_class_numbers_and_names(tmp_path):
    samples = [labelled("0", 1), labelled("1", 0), labelled("2", 1)]
    shard = write_with_webdataset(tmp_path / "0.tar", samples)
    listed = read_video_list(shard)
    assert listed.class_names == ("0", "1")
    assert [video.label for video in listed.videos] == [1, 0, 1]
    assert [video.name for video in listed.videos] == ["0.tar/0.mp4", "0.tar/1.mp4", "0.tar/2.mp4"]
    assert [video.path for video in listed.videos] == [shard / f"{n}.mp4" for n in range(3)]
    assert listed.notes[:3] == (
        "Read as webdataset.",
        "Shards: 1, with 3 videos (3 .mp4).",
        "Labels: .cls (members, 3 of 3).",
    )
    (tmp_path / "names.txt").write_text("walk\nrun\n")
    assert read_video_list(shard, class_names=tmp_path / "names.txt").class_names == ("walk", "run")
    assert check_video_list(listed).num_found == 3


def test_names_of_the_numbers_next_to_the_shards_or_above(tmp_path):
    write_with_webdataset(tmp_path / "test/0.tar", [labelled("0", 1), labelled("1", 0)])
    (tmp_path / "classnames.txt").write_text("walk\nrun\nswim\n")
    listed = read_video_list(tmp_path / "test")
    assert listed.class_names == ("walk", "run", "swim")
    assert [video.label for video in listed.videos] == [1, 0]
    assert f"Class names: {tmp_path / 'classnames.txt'}." in listed.notes
    other_order = read_video_list(tmp_path / "test", class_names=("swim", "run", "walk"), class_numbers=False)
    assert [video.label for video in other_order.videos] == [1, 2]
    (tmp_path / "classnames.txt").write_text("walk\n")
    with pytest.raises(DataError, match=r"0.tar/0.mp4 has class 1 in .cls, but there are the names of 1 classes"):
        read_video_list(tmp_path / "test")


def test_names_in_cls(tmp_path):
    shard = write_with_webdataset(tmp_path / "0.tar", [labelled("0", "run\n"), labelled("1", "walk")])
    listed = read_video_list(shard)
    assert (listed.class_names, [video.label for video in listed.videos]) == (("run", "walk"), [0, 1])


def test_labels_in_json(tmp_path):
    samples = [
        {"__key__": str(n), "MP4": b"video", "json": {"Action": label, "quality": "good"}}
        for n, label in enumerate(("run", "walk", "run"))
    ]
    shard = write_with_webdataset(tmp_path / "0.tar", samples)
    assert [video.label for video in read_video_list(shard).videos] == [0, 1, 0]
    assert read_video_list(shard, label_field="quality").class_names == ("good",)
    assert read_video_list(shard, columns={"label": "quality"}).class_names == ("good",)
    with pytest.raises(DataError, match=r"no member or json field 'verb'. There are 'action', 'quality'. Name the one"):
        read_video_list(shard, label_field="verb")


def test_several_labels_groups_and_splits_in_json(tmp_path):
    about = [
        {"labels": ["run", "jump"], "split": "train", "group": "monday", "url": "u"},
        {"labels": ["run"], "split": "train", "group": "tuesday", "url": "u"},
        {"labels": [], "split": "val", "group": "friday", "url": "v"},
    ]
    samples = [{"__key__": str(n), "webm": b"v", "json": fields} for n, fields in enumerate(about)]
    shard = write_with_webdataset(tmp_path / "0.tar", samples)
    listed = read_video_list(shard)
    assert listed.multi_label
    assert listed.class_names == ("jump", "run")
    assert [video.labels for video in listed.videos] == [(0, 1), (1,), ()]
    assert [video.group for video in listed.videos] == ["monday", "tuesday", "friday"]
    assert [video.group for video in read_video_list(shard, group="url").videos] == ["u", "u", "v"]
    assert [video.name for video in read_video_list(shard, split="test").videos] == ["0.tar/2.webm"]


def test_a_sample_without_label_is_named(tmp_path):
    shard = write_with_webdataset(tmp_path / "0.tar", [labelled("0", 0), {"__key__": "1", "mp4": b"video"}])
    with pytest.raises(DataError, match=r"1 videos have no label: '0.tar/1.mp4'. Give a labelled list"):
        check_video_list(read_video_list(shard))


def test_times_of_the_original_video_are_no_segments(downloaded):
    listed = read_video_list(downloaded, label_field="status")
    assert {(video.start_seconds, video.end_seconds) for video in listed.videos} == {(None, None)}
    named = read_video_list(downloaded, label_field="status", columns={"start": "start", "end": "end"})
    assert {(video.start_seconds, video.end_seconds) for video in named.videos} == {(70.5, 80.0)}


def test_segments_of_a_stored_video(tmp_path):
    parts = [{"start_seconds": 0, "end_seconds": 1.5, "label": "run"}, {"start_seconds": 2, "label": "walk"}]
    shard = write_tar(tmp_path / "0.tar", [("0.json", {"segments": parts}), ("0.mp4", b"video")])
    videos = read_video_list(shard).videos
    assert [(v.label, v.start_seconds, v.end_seconds) for v in videos] == [(0, 0.0, 1.5), (1, 2.0, None)]
    assert {video.path for video in videos} == {shard / "0.mp4"}


def test_split_folders_and_a_held_out_part(tmp_path):
    for split in ("train", "val"):
        write_with_webdataset(tmp_path / split / "0.tar", [labelled(f"{split}{n}", n % 2) for n in range(10)])
    assert detect_format(tmp_path) == "webdataset"
    config = DataConfig(train=tmp_path, test=tmp_path)
    for name, split in (("train", "train"), ("test", "val")):
        listed = read_configured_list(config, name)
        assert {video.path.parent.parent.name for video in listed.videos} == {split}
    with pytest.raises(DataError, match=r"contains the splits 'train', 'val'. Give one of them"):
        read_video_list(tmp_path)
    config = DataConfig(train=tmp_path / "train", val_fraction=0.2)
    parts = [{video.name for video in read_configured_list(config, name).videos} for name in ("train", "test")]
    assert list(map(len, parts)) == [8, 2]
    assert not parts[0] & parts[1]


def test_class_folders_with_an_archive_stay_class_folders(tmp_path):
    write_tar(tmp_path / "original.tar", [("a.mp4", b"x")])
    for name in ("run/a.mp4", "walk/b.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"video")
    assert detect_format(tmp_path) == "folder"


def test_root_keeps_shards_inside(tmp_path):
    shard = write_with_webdataset(tmp_path / "here/0.tar", [labelled("0", 0)])
    assert len(read_video_list(shard, root=tmp_path / "here").videos) == 1
    with pytest.raises(DataError, match=r"names videos outside of the root .*0.tar/0.mp4"):
        read_video_list(shard, root=tmp_path / "other")


def test_a_csv_names_members(tmp_path):
    shard = write_with_webdataset(tmp_path / "0.tar", [labelled("0", 0), labelled("1", 1)])
    (tmp_path / "list.csv").write_text(f"video,label\n{shard}/1.mp4,run\n0.tar/0,walk\n")
    checked = check_video_list(read_video_list(tmp_path / "list.csv"))
    assert [video.path for video in checked.videos.videos] == [shard / "1.mp4", shard / "0.mp4"]
    (tmp_path / "list.csv").write_text("video,label\n0.tar/7.mp4,run\n")
    with pytest.raises(DataError, match="1 of 1 videos are missing"):
        check_video_list(read_video_list(tmp_path / "list.csv"))


# --- captions ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_video2dataset(downloaded):
    listed = read_caption_list(downloaded)
    assert len(listed.videos) == 6
    assert listed.captions[4] == ("clip 000010001",)
    assert listed.videos[4].path == downloaded / "00001.tar/000010001.mp4"
    assert {(video.start_seconds, video.end_seconds) for video in listed.videos} == {(None, None)}
    assert listed.understood == (
        "Shards: 2, with 6 videos (6 .mp4).",
        "2 samples have no video and are left out (status failed_to_download: 2).",
        "Captions: .txt (6).",
    )
    assert check_caption_list(listed).num_found == 6
    by_url = read_caption_list(downloaded, columns={"caption": "url"})
    assert by_url.captions[1] == ("https://v/1",)
    with pytest.raises(DataError, match="has no captions in 'title'"):
        read_caption_list(downloaded, columns={"caption": "title"})


def test_patterns_of_open_clip(downloaded):
    pattern = f"{downloaded}/{{00000..00001}}.tar"
    assert read_caption_list(pattern).captions == read_caption_list(downloaded).captions
    assert read_caption_list(Path(f"{downloaded}/00001.tar::{downloaded}/00000.tar")).captions[0] == ("clip 000010000",)
    assert len(list(expand_inputs([pattern]))) == len(list(expand_inputs([str(downloaded)]))) == 6
    member = f"{downloaded}/00000.tar/000000001.mp4"
    assert list(expand_inputs(member)) == [Path(member)]


def test_where_captions_are(tmp_path):
    samples = [
        {"__key__": "0", "mp4": b"v", "txt": "of txt", "json": {"caption": "of json"}},
        {"__key__": "1", "mp4": b"v", "txt": "of txt", "json": {"caption": ["one", "two"]}},
        {"__key__": "2", "mp4": b"v", "txt": "", "json": {"caption": "of json"}},
        {"__key__": "3", "mp4": b"v", "txt": "\ufeffa\nb \n"},
        {"__key__": "4", "mp4": b"v"},
    ]
    listed = read_caption_list(write_with_webdataset(tmp_path / "0.tar", samples))
    assert listed.captions == (("of txt",), ("one", "two"), ("of json",), ("a\nb",))
    assert "1 of 5 videos have no caption; they are skipped: '0.tar/4.mp4'." in listed.notes


def test_captions_of_segments_and_splits(tmp_path):
    parts = [{"start_seconds": 0, "end_seconds": 1, "caption": "one"}, {"start_seconds": 1, "caption": ["two", "2"]}]
    samples = [
        {"__key__": "0", "mp4": b"v", "json": {"segments": parts, "split": "train"}},
        {"__key__": "1", "mp4": b"v", "txt": "three", "json": {"split": "val"}},
        {"__key__": "2", "mp4": b"v", "txt": "four", "json": {"split": "Val"}},
    ]
    shard = write_with_webdataset(tmp_path / "0.tar", samples)
    listed = read_caption_list(shard, split="train")
    assert listed.captions == (("one",), ("two", "2"))
    assert [(video.start_seconds, video.end_seconds) for video in listed.videos] == [(0.0, 1.0), (1.0, None)]
    assert read_caption_list(shard, split="test").captions == (("three",), ("four",))


# --- bad input --------------------------------------------------------------------------------------------------------


def test_keys_in_several_shards_count_as_different_videos(tmp_path):
    for number in range(2):
        write_with_webdataset(tmp_path / f"{number}.tar", [labelled("0000", 0)])
    listed = read_video_list(tmp_path)
    assert [video.name for video in listed.videos] == ["0.tar/0000.mp4", "1.tar/0000.mp4"]
    assert "1 keys occur in several shards and count as different videos: '0000'." in listed.notes


def test_shards_of_one_name_in_two_folders(tmp_path):
    for folder in ("a", "b"):
        write_with_webdataset(tmp_path / folder / "0.tar", [labelled("0", folder)])
    videos = read_video_list(f"{tmp_path}/a/0.tar::{tmp_path}/b/0.tar").videos
    assert [video.path for video in videos] == [tmp_path / "a/0.tar/0.mp4", tmp_path / "b/0.tar/0.mp4"]
    assert len({video.name for video in videos}) == 2


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("0.txt", "a")], "contains no videos in 1 samples. Give shards with members such as 0001.mp4"),
        ([("0.json", {"status": "failed_to_download"})], "status failed_to_download: 1"),
        (
            [("v.1.mp4", b"x"), ("v.2.mp4", b"y")],
            "1 samples have several videos: '0.tar/v: 1.mp4, 2.mp4'. A key ends at",
        ),
        ([("0.mp4", b"x"), ("0.json", "{")], "0.tar/0.json is not JSON"),
        ([("0.mp4", b"x"), ("0.json", "[1]")], "0.tar/0.json is no JSON object"),
        ([("0.mp4", b"x"), ("0.json", '{"a": 1, "a": 2}')], "0.tar/0.json has a duplicate name"),
        (
            [("0.mp4", b"x")],
            "has no labels: no .cls members, and no json field with a usual name. There are only videos",
        ),
        ([], "contains no videos in 0 samples"),
    ],
)
def test_shards_that_are_no_list(members, message, tmp_path):
    shard = write_tar(tmp_path / "0.tar", members)
    with pytest.raises(DataError, match=message):
        read_video_list(shard)


def test_the_suffix_of_the_videos_can_be_named(tmp_path):
    shard = write_tar(
        tmp_path / "0.tar", [("0.gif", b"x"), ("0.left.mp4", b"y"), ("0.right.mp4", b"z"), ("0.cls", "0")]
    )
    [video] = read_video_list(shard, columns={"path": "right.mp4"}).videos
    assert video.path.name == "0.right.mp4"


@pytest.mark.parametrize("name", ["0.tar.gz", "0.tgz", "0.tar.zst"])
def test_compressed_shards_are_refused_with_the_remedy(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    for source in (tmp_path / name, tmp_path):
        with pytest.raises(DataError, match=r"are compressed.*Uncompress them to .tar files: gunzip, zstd -d"):
            read_video_list(source)


def test_a_truncated_shard_is_named(downloaded):
    shard = downloaded / "00001.tar"
    shard.write_bytes(shard.read_bytes()[:3000])
    for read in (read_caption_list, read_video_list):
        with pytest.raises(DataError, match=r"00001.tar is (truncated|not a whole tar archive)"):
            read(downloaded)


def test_a_missing_shard_of_a_range_is_named(downloaded):
    with pytest.raises(DataError, match=r"1 of 3 shards .*: .*/00002.tar. Correct the range"):
        read_caption_list(f"{downloaded}/{{00000..00002}}.tar")


# --- tasks and settings -----------------------------------------------------------------------------------------------


def test_the_task_is_detected(downloaded, tmp_path):
    assert detect_task(DataConfig(train=downloaded)) == "retrieval"
    assert detect_task(DataConfig(train=downloaded, label_field="status")) == "recognition"
    shard = write_with_webdataset(tmp_path / "0.tar", [labelled("0", 0, txt="a caption too")])
    assert detect_task(DataConfig(train=shard)) == "recognition"
    [entries] = read_entries(DataConfig(train=downloaded), "retrieval")
    assert "Captions: .txt (6)." in entries.notes


def test_several_shards_in_settings_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = {"train": "a/{0..1}.tar::s3://bucket/b.tar", "test": "a/{0..1}.tar"}
    data = with_absolute_paths(RunConfig(data=DataConfig(**given))).data
    assert data.train.as_posix() == f"{tmp_path}/a/{{0..1}}.tar::s3:/bucket/b.tar"
    assert data.test == tmp_path / "a/{0..1}.tar"
