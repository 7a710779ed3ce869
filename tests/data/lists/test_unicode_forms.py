"""Finding files whose names have another Unicode form in the list than on disk."""

import unicodedata

import pytest

from side4video.data.lists.annotations import read_video_list
from side4video.data.lists.captions import check_caption_list, read_caption_list
from side4video.data.lists.video_finder import VideoFinder, find_recursively

FORMS = [("NFC", "NFD"), ("NFD", "NFC")]
NAME = "Müllabfuhr/Café 가나.mp4"


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(("on_disk", "in_list"), FORMS)
def test_lists_find_files_in_the_other_unicode_form(tmp_path, on_disk, in_list):
    path = touch(tmp_path / unicodedata.normalize(on_disk, NAME))
    name = unicodedata.normalize(in_list, NAME)
    assert VideoFinder(tmp_path).find_existing([name]) == path
    assert VideoFinder(tmp_path).find_existing([name.removesuffix(".mp4")]) == path
    assert VideoFinder(tmp_path, ignore_case=True).find_existing([name.upper()]) == path
    assert find_recursively(tmp_path, [name.split("/")[1]]) == {name.split("/")[1]: [path]}
    (tmp_path / "list.csv").write_text(f"path,label\n{name},a\n", encoding="utf-8")
    assert read_video_list(tmp_path / "list.csv").videos[0].path == path
    (tmp_path / "captions.csv").write_text(f"video,caption\n{name},a lorry\n", encoding="utf-8")
    assert check_caption_list(read_caption_list(tmp_path / "captions.csv")).num_found == 1


def test_the_exact_form_comes_first(tmp_path):
    paths = {form: touch(tmp_path / unicodedata.normalize(form, NAME)) for form in ("NFC", "NFD")}
    for form, path in paths.items():
        assert VideoFinder(tmp_path).find_existing([unicodedata.normalize(form, NAME)]) == path


def test_other_letters_stay_different(tmp_path):
    touch(tmp_path / "cafe.mp4")
    assert VideoFinder(tmp_path).find_existing(["café.mp4"]) is None
