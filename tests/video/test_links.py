"""Videos behind links to folders: each is found once by all that search folders, and loops end."""

import os
import shutil
from pathlib import Path

import pytest

from file_permissions import without_permission
from side4video.data.lists.annotations import read_video_list
from side4video.data.lists.class_folders import class_folders, read_class_folders
from side4video.data.lists.rows import ReadOptions
from side4video.data.lists.video_finder import find_recursively
from side4video.inference.inputs import expand_inputs
from side4video.video.decoding import find_videos

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def linked(tmp_path, make_video):
    """Class folders with two links to one folder elsewhere, and in both classes links to folders above them."""
    for name in ("train/a/1.mp4", "train/b/2.mp4", "elsewhere/3.mp4", "elsewhere/deep/4.mp4", "train/.kept/5.mp4"):
        make_video(tmp_path / name, [100] * 2)
    links = {
        "train/a/more": "elsewhere",
        "train/a/again": "elsewhere",
        "train/a/b": "train/b",
        "train/b/kept": "train/.kept",
        "train/b/loop": "train",
        "train/b/self": "train/b",
        "train/a/up": ".",
        "elsewhere/back": "train",
    }
    for link, target in links.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    return tmp_path / "train"


ONCE = ["a/1.mp4", "a/again/3.mp4", "a/again/deep/4.mp4", "b/2.mp4", "b/kept/5.mp4"]


def relative(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_folder_is_searched_behind_links_once(linked):
    assert relative(find_videos(linked), linked) == ONCE
    assert relative(expand_inputs([str(linked)]), linked) == ONCE


@pytest.mark.parametrize("pattern", ["**/*.mp4", "**/[0-9].*", "**/**/*.mp4"])
def test_a_pattern_is_matched_behind_links_once(pattern, linked, monkeypatch):
    assert relative(expand_inputs([str(linked / pattern)]), linked) == ONCE
    monkeypatch.chdir(linked)
    assert relative(expand_inputs([pattern]), Path()) == ONCE
    assert relative(expand_inputs(["?/" + pattern]), Path()) == ONCE


@pytest.mark.parametrize("pattern", ["*", "**", "**/*", "[ab]", "a*", "?/**"])
def test_a_pattern_of_folders_gives_their_videos(tmp_path, make_video, pattern):
    for name in ("a/1.mp4", "b/deep/2.MP4", "@eaDir/3.mp4", "a/@eaDir/4.mp4"):
        make_video(tmp_path / name, [100] * 2)
    for name in ("a/1.srt", "a/1.jpg", "notes.txt"):
        (tmp_path / name).touch()
    expected = {"a/1.mp4", "b/deep/2.MP4"} if pattern != "a*" else {"a/1.mp4"}
    assert {*relative(expand_inputs([str(tmp_path / pattern)]), tmp_path)} == expected


def test_a_pattern_of_other_files_only_gives_all(tmp_path):
    for name in ("1.dat", "2.dat"):
        (tmp_path / name).touch()
    assert relative(expand_inputs([str(tmp_path / "*.dat")]), tmp_path) == ["1.dat", "2.dat"]


def test_classes_have_the_videos_behind_their_links_once(linked):
    table = read_class_folders(linked, ReadOptions())
    assert table.class_names == ("a", "b")
    assert [row.name for row in table.rows] == [*ONCE[:3], "a/b/2.mp4", "a/b/kept/5.mp4", *ONCE[3:]]


def test_a_link_to_another_split_is_a_split(linked):
    shutil.copytree(linked / "a", linked.parent / "set/test/a", ignore=lambda folder, names: set(names) - {"1.mp4"})
    (linked.parent / "set/val").symlink_to(linked.parent / "set/test")
    assert class_folders(linked.parent / "set") == ["test", "val"]
    assert [row.name for row in read_class_folders(linked.parent / "set", ReadOptions(split="val")).rows] == [
        "val/a/1.mp4"
    ]


def test_names_are_found_behind_links_once(linked):
    found = find_recursively(linked, ["2", "3.mp4", "5"])
    assert {name: relative(paths, linked) for name, paths in found.items()} == {
        "2": ["b/2.mp4"],
        "3.mp4": ["a/again/3.mp4"],
        "5": ["b/kept/5.mp4"],
    }


def test_a_folder_that_cannot_be_listed_is_an_error(linked):
    """Without it, its videos were missing without a message."""
    closed = linked / "b"
    with without_permission(closed):
        with pytest.raises(PermissionError, match=r"b cannot be read: Permission denied\. Its videos"):
            find_videos(linked)
        with pytest.raises(PermissionError, match="leave it out"):
            list(expand_inputs([str(linked)]))
        with pytest.raises(PermissionError, match="leave it out"):
            read_video_list(linked)
        assert relative(expand_inputs([str(linked)], exclude=["b"]), linked)
