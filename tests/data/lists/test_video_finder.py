"""Files of list entries in other Unicode forms and with backslashes."""

import unicodedata

import pytest

from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.data.lists.video_finder import VideoFinder

NAME = "Schl\u00e4ge"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_list", ["NFC", "NFD"])
def test_unicode_forms(tmp_path, on_disk, in_list):
    path = tmp_path / unicodedata.normalize(on_disk, NAME) / unicodedata.normalize(on_disk, "t\u00fcr.mp4")
    path.parent.mkdir()
    path.touch()
    listed = unicodedata.normalize(in_list, f"{NAME}/t\u00fcr.mp4")
    assert VideoFinder(tmp_path).find([listed]).samefile(path)
    assert VideoFinder(tmp_path).find([listed.removesuffix(".mp4")]).samefile(path)


def test_folder_and_list_in_different_forms_are_one_class(tmp_path):
    folder = tmp_path / unicodedata.normalize("NFD", NAME)
    folder.mkdir()
    (folder / "a.mp4").touch()
    train = read_video_list(tmp_path)
    (tmp_path / "test.csv").write_text(f"video,label\n{NAME}/a.mp4,{NAME}\n", encoding="utf-8")
    test = check_video_list(read_video_list(tmp_path / "test.csv", class_names=train.class_names))
    assert [video.label for video in test.videos.videos] == [0]


def test_backslashes_between_folders(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.mp4").touch()
    (tmp_path / "x\\b.mp4").touch()  # a valid name on Linux
    finder = VideoFinder(tmp_path)
    assert finder.find(["x\\a.mp4"]) == tmp_path / "x/a.mp4"
    assert finder.find(["x\\a"]) == tmp_path / "x/a.mp4"
    assert finder.find(["x\\b.mp4"]) == tmp_path / "x\\b.mp4"
    assert finder.find_existing(["y\\a.mp4"]) is None


def test_backslashes_do_not_leave_the_root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.mp4").touch()
    (tmp_path / "root/list.csv").write_text("video,label\n..\\secret.mp4,x\n")
    with pytest.raises(DataError, match="outside of the root"):
        read_video_list(tmp_path / "root/list.csv", root=tmp_path / "root")
