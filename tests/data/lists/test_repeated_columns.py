"""Columns of the same name: with different values they are refused, with equal ones they are one column."""

import json

import pytest

from side4video.data.lists.annotations import read_video_list
from side4video.data.lists.captions import read_caption_list
from side4video.data.lists.text_files import DataError
from side4video.search.metadata import read_metadata


@pytest.fixture
def clips(tmp_path, make_video):
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name, [100] * 2)
    return tmp_path


LABELS = "video,label,Label\na.mp4,run,run\nb.mp4,run,{other}\n"
OBJECTS = [{"video": "a.mp4", "label": "run", "Label": "run"}, {"video": "b.mp4", "label": "run", "Label": "{other}"}]
LINES = "\n".join(json.dumps(entry) for entry in OBJECTS)


@pytest.mark.parametrize(("name", "text"), [("list.csv", LABELS), ("list.jsonl", LINES)])
def test_labels(name, text, clips):
    source = clips / name
    source.write_text(text.replace("{other}", "run"))
    assert read_video_list(source).class_names == ("run",)
    source.write_text(text.replace("{other}", "jump"))
    with pytest.raises(
        DataError, match=r"line [23]: two columns are called label, with 'run' and 'jump'. Remove or renam"
    ):
        read_video_list(source)


def test_further_captions_are_no_columns_of_a_list_of_videos(clips):
    source = clips / "list.csv"
    source.write_text("video,label,caption,caption\na.mp4,run,one,two\n")
    assert len(read_video_list(source).videos) == 1


@pytest.mark.parametrize("name", ["list.jsonl", "list.json"])
def test_captions(name, clips):
    entries = [{"video": "a.mp4", "caption": "one"}, {"video": "b.mp4", "caption": "one", "Caption": "two"}]
    text = json.dumps(entries) if name == "list.json" else "\n".join(map(json.dumps, entries))
    (clips / name).write_text(text)
    with pytest.raises(DataError, match=r" 2: two columns are called caption, with 'one' and 'two'"):
        read_caption_list(clips / name)


def test_metadata(clips):
    source = clips / "metadata.csv"
    source.write_text("path,camera,camera\na.mp4,north,south\n")
    with pytest.raises(DataError, match=r"line 2: two columns are called camera, with 'north' and 'south'"):
        read_metadata(source)
