"""Clean lists: reading one as training does gives the entries that were written."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from side4video.atomic_files import write_json
from side4video.checking.clean_list import check_numeric_class_names, write_clean_list
from side4video.checking.entries import Entry, describe_task, detect_task, read_entries
from side4video.config import DataConfig
from side4video.data.lists.annotations import LabelledVideo, read_video_list
from side4video.data.lists.captions import read_caption_list
from side4video.data.lists.groups import find_groups
from side4video.data.lists.text_files import is_missing_value


def write_lines(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def video(name, label=None, start=None, end=None):
    return LabelledVideo(Path("/data") / name, label, name, start, end)


@pytest.mark.parametrize(
    "class_names",
    [
        ("run", "sit, then lie", 'say "hello"', "gehen über"),
        ("0", "1", "2", "10"),
        ("10", "2", "007", "3"),
        ("000", "001", "002", "003"),
        ("1", "a", "b", "c"),
        ("a", "-1", "5", "b"),
        (" a", "b ", "c\nd", "e"),
    ],
    ids=str,
)
@pytest.mark.parametrize("used", [(0, 1, 2, 3), (1, 2), (3,)], ids=str)
def test_labels_round_trip(tmp_path, class_names, used):
    entries = [Entry(video(f"clip {label}, one.mp4", label)) for label in used]
    write_clean_list(tmp_path / "train.csv", entries, class_names=class_names)
    write_json(tmp_path / "class_names.json", list(class_names))
    read = read_video_list(tmp_path / "train.csv", class_names=tmp_path / "class_names.json")
    assert read.class_names == class_names
    assert [(one.path, one.label) for one in read.videos] == [(e.video.path, e.video.label) for e in entries]


letters = st.characters(exclude_categories=["Cs", "Cc"])
texts = st.text(letters, min_size=1, max_size=12)
file_names = texts.map(lambda name: f"{name.strip().replace('/', '-')}.mp4")
odd_names = st.sampled_from(["1", "01", "-1", " a", "a ", "a,b", '"', "b\nc", "x\ty", "1 run", "#", "null", "٣"])


@given(st.lists(texts | odd_names, min_size=1, max_size=6, unique=True), st.data())
def test_any_labels_and_paths_round_trip(tmp_path_factory, class_names, data):
    rows = st.tuples(file_names, st.integers(0, len(class_names) - 1))
    assume(not all(name.isdecimal() for name in class_names) or len({*map(int, class_names)}) == len(class_names))
    entries = [Entry(video(name, label)) for name, label in data.draw(st.lists(rows, min_size=1, max_size=5))]
    folder = tmp_path_factory.mktemp("list")
    write_clean_list(folder / "train.csv", entries, class_names=class_names)
    write_json(folder / "class_names.json", class_names)
    read = read_video_list(folder / "train.csv", class_names=folder / "class_names.json")
    assert [(one.path, read.class_names[one.label]) for one in read.videos] == [
        (entry.video.path, class_names[entry.video.label]) for entry in entries
    ]


captions = (texts | odd_names).map(str.strip).filter(lambda text: text and not is_missing_value(text))


@given(
    st.lists(
        st.tuples(file_names, st.lists(captions, min_size=1, max_size=3)),
        min_size=1,
        max_size=4,
        unique_by=lambda row: row[0],
    )
)
def test_any_captions_round_trip(tmp_path_factory, videos):
    path = tmp_path_factory.mktemp("list") / "test.csv"
    write_clean_list(path, [Entry(video(name), tuple(several)) for name, several in videos])
    read = read_caption_list(path)
    assert [(one.name, list(several)) for one, several in zip(read.videos, read.captions, strict=True)] == [
        (f"/data/{name}", several) for name, several in videos
    ]


def test_class_names_equal_as_numbers_are_refused():
    check_numeric_class_names(["1", "01", "run"])
    check_numeric_class_names(["1", "02"])
    with pytest.raises(ValueError, match="1 and 01"):
        check_numeric_class_names(["1", "01"])


def test_plain_class_names_are_written_as_names(tmp_path):
    write_clean_list(tmp_path / "train.csv", [Entry(video("a.mp4", 1))], class_names=("run", "sit"))
    assert (tmp_path / "train.csv").read_text() == "video,label\n/data/a.mp4,sit\n"


@pytest.mark.parametrize("class_names", [("run", "jump", "sit"), ("run|jump", "run", "a, b"), ("0", "1", "7")])
def test_several_labels_round_trip(tmp_path, class_names):
    labels = [(0, 2), (), (1,)]
    entries = [Entry(replace(video(f"{place}.mp4", None), labels=found)) for place, found in enumerate(labels)]
    write_clean_list(tmp_path / "train.csv", entries, class_names=class_names)
    found = read_video_list(tmp_path / "train.csv", class_names=class_names, label_separator="|")
    assert [video.labels for video in found.videos] == labels


def test_names_that_look_like_several_labels_round_trip(tmp_path):
    names = ("run|jump", "run")
    write_clean_list(tmp_path / "train.csv", [Entry(video("a.mp4", 0)), Entry(video("b.mp4", 1))], class_names=names)
    found = read_video_list(tmp_path / "train.csv", class_names=names)
    assert [video.label for video in found.videos] == [0, 1]


def test_times_round_trip(tmp_path):
    entries = [Entry(video("a.mp4", 0, 0.1, 1 / 3)), Entry(video("a.mp4", 0, 2.5, None)), Entry(video("b.mp4", 0))]
    write_clean_list(tmp_path / "train.csv", entries, class_names=("run",))
    read = read_video_list(tmp_path / "train.csv").videos
    assert [(one.start_seconds, one.end_seconds) for one in read] == [(0.1, 1 / 3), (2.5, None), (None, None)]


def test_groups_round_trip(tmp_path):
    groups = ["monday, 1", None, "tuesday"]
    entries = [Entry(replace(video(f"{n}.mp4", 0, 0.5, None), group=group)) for n, group in enumerate(groups)]
    write_clean_list(tmp_path / "train.csv", entries, class_names=("run",))
    read = read_video_list(tmp_path / "train.csv").videos
    assert [(one.group, one.start_seconds) for one in read] == [(group, 0.5) for group in groups]


@pytest.mark.parametrize("setting", ["column", "file", "g[0-9]+"])
def test_groups_of_the_setting_are_those_of_the_clean_list(tmp_path, setting):
    rows = [("g1_a.mp4", "g1"), ("g2_a.mp4", "g2"), ("g1_b.mp4", "g1")]
    header, given = ("camera", "camera") if setting == "column" else ("note", setting)
    write_lines(tmp_path / "list.csv", f"video,label,{header}", *(f"{name},run,{group}" for name, group in rows))
    if setting == "file":
        given = str(write_lines(tmp_path / "groups.csv", "path,group", *map(",".join, rows)))
    [read] = read_entries(DataConfig(train=tmp_path / "list.csv", group=given), "recognition")
    write_clean_list(tmp_path / "train.csv", read.entries, class_names=read.class_names)
    clean = read_video_list(tmp_path / "train.csv").videos
    assert find_groups(clean, None).groups == ("g1", "g2", "g1")


def test_captions_round_trip(tmp_path):
    captions = ('a man, "on" a horse', "zwei Männer\nund ein Pferd", "a\ttab; and more", "caption")
    entries = [Entry(video("a b.mp4"), captions), Entry(video("c.mp4", None, 1.0, 2.0), ("one",))]
    write_clean_list(tmp_path / "test.csv", entries)
    read = read_caption_list(tmp_path / "test.csv")
    assert read.captions == (captions, ("one",))
    assert [one.path for one in read.videos] == [Path("/data/a b.mp4"), Path("/data/c.mp4")]
    assert read.videos[1].start_seconds == 1.0


def test_task_is_detected_from_the_files(tmp_path):
    contents = {
        "labels.csv": "video,label\na.mp4,run\n",
        "list.txt": "a.mp4 run\n",
        "captions.csv": "video,caption\na.mp4,a man runs\n",
        "lines.jsonl": '{"video": "a.mp4", "caption": "x"}\n{"video": "b.mp4", "caption": "y"}\n',
        "captions.json": json.dumps({"a.mp4": ["a man runs"]}),
        "both.csv": "video,label,description\na.mp4,run,a man runs\n",
        "both.jsonl": '{"video": "a.mp4", "text": "a man runs", "class": "run"}\n{"video": "b.mp4", "class": "run"}\n',
        "both.json": json.dumps([{"video": "a.mp4", "caption": "a man runs", "className": "run"}]),
        "something.json": json.dumps([{"id": "1", "label": "x", "template": "X"}]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    guessed = {name: detect_task(DataConfig(test=tmp_path / name)) for name in contents}
    assert guessed == dict.fromkeys(["captions.csv", "lines.jsonl", "captions.json"], "retrieval") | dict.fromkeys(
        ["labels.csv", "list.txt", "something.json", "both.csv", "both.jsonl", "both.json"], "recognition"
    )
    assert detect_task(DataConfig(test=tmp_path)) == "recognition"
    assert detect_task(DataConfig(test=tmp_path / "list.txt", captions=tmp_path / "captions.json")) == "retrieval"


@pytest.mark.parametrize("name", ["caption", "captions", "sentence", "text", "description", "query"])
def test_a_list_with_a_column_of_labels_is_a_list_of_classes(tmp_path, name):
    (tmp_path / "both.csv").write_text(f"video,label,{name}\na.mp4,run,a man runs\n")
    config = DataConfig(test=tmp_path / "both.csv")
    task = detect_task(config)
    assert (task, read_entries(config, task)[0].class_names) == ("recognition", ("run",))
    assert describe_task(config, task) == (
        f"Read as a list of classes (action recognition). For its captions instead, give --data.columns caption {name}."
    )
    config = DataConfig(test=tmp_path / "both.csv", columns={"caption": name})
    assert read_entries(config, detect_task(config))[0].entries[0].captions == ("a man runs",)


@pytest.mark.parametrize("name", ["caption", "sentence", "text"])
def test_captions_are_no_labels(tmp_path, name):
    (tmp_path / "captions.csv").write_text(f"video,{name}\na.mp4,a man runs\n")
    assert read_video_list(tmp_path / "captions.csv").videos[0].label is None
    named = read_video_list(tmp_path / "captions.csv", columns={"label": name})
    assert named.class_names == ("a man runs",)
    assert detect_task(DataConfig(test=tmp_path / "captions.csv", columns={"label": name})) == "recognition"


def test_no_sets_are_refused():
    with pytest.raises(ValueError, match=r"--data\.train"):
        read_entries(DataConfig(), "recognition")
