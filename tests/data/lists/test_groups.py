"""Groups of clips: from a column, a file, a pattern, or known patterns of names."""

import itertools
from pathlib import Path

import pytest

from side4video.data.lists.annotations import DataError, LabelledVideo, read_video_list
from side4video.data.lists.groups import find_groups


@pytest.fixture
def clips(tmp_path):
    """`clips(*names, column=values)` reads a list of these names, with a column where one is given."""

    def make(*names, setting=None, **columns):
        path = tmp_path / "clips.csv"
        head = ",".join(["path", "label", *columns])
        rows = [",".join([name, "cat", *values]) for name, *values in zip(names, *columns.values(), strict=True)]
        path.write_text("\n".join([head, *rows]))
        return read_video_list(path, group=setting).videos

    return make


def test_a_column_named_group_is_used(clips):
    found = find_groups(clips("a.mp4", "b.mp4", "c.mp4", group="xxy"), None)
    assert found.groups == ("x", "x", "y")
    assert found.origin == "Groups: 2 of 1 to 2 clips each (column group of the list)."


def test_another_column_by_name(clips):
    videos = clips("a.mp4", "b.mp4", group="xx", setting="scene", scene="12")
    assert find_groups(videos, "scene").groups == ("1", "2")


@pytest.mark.parametrize("missing", ["", "nan"])
def test_an_empty_field_of_the_column_is_an_error(clips, missing):
    with pytest.raises(DataError, match=r"empty for 1 of 2 clips: 'b.mp4'"):
        find_groups(clips("a.mp4", "b.mp4", group=["x", missing]), None)


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["Run/v_Run_g01_c01.avi", "Run/v_Run_g01_c02.avi", "Run/v_Run_g12_c01.avi"], "v_Run_g01 v_Run_g01 v_Run_g12"),
        (["a-cut_clip1.mp4", "a-cut_clip12.mp4", "b-part3.mp4"], "a-cut a-cut b"),
        (["abcdefghijk_000001_000011.mp4", "abcdefghijk_000020_000030.mp4", "-bcdefghij__000001_000011.mp4"], None),
        (["Tom_run_f_cm_np1_le_med_0.avi", "Tom_run_f_cm_np1_ri_bad_1.avi", "Al_run_f_nm_np1_le_med_0.avi"], None),
    ],
)
def test_names_with_known_patterns(clips, names, groups):
    found = find_groups(clips(*names), None)
    first, second, third = groups.split() if groups else found.groups
    assert found.groups == (first, second, third)
    assert first == second != third
    assert "names, read as" in found.origin


def of_classes(*names):
    """Clips of the classes `cat` and `dog` with these names, in which CLASS stands for the class."""
    clips = [(name.replace("CLASS", label), place) for place, label in enumerate(("cat", "dog")) for name in names]
    return [LabelledVideo(Path(f"{label}/{name}"), label, name) for name, label in clips]


def numbered(form, *counts):
    """Names with all combinations of numbers from 1 on."""
    return [form.format(*numbers) for numbers in itertools.product(*(range(1, count + 1) for count in counts))]


@pytest.mark.parametrize(
    ("names", "groups", "form"),
    [
        (numbered("CLASS/cam{}_2021-05-0{}_00{}.mp4", 2, 4, 3), 8, "days"),
        (numbered("CLASS/VID_2021050{}_{}3005.mp4", 5, 3), 5, "days"),
        (numbered("CLASS/cam{}_{}.mp4", 4, 5), 4, "a recording and a number"),
        (numbered("CLASS/session{}/{}.mp4", 3, 4), 3, "folders below"),
        (numbered("session{}/CLASS/{}.mp4", 3, 4), 3, "folders below"),
        (numbered("CLASS/person0{}_CLASS_d{}.avi", 4, 3), 4, "persons"),
        (numbered("S0{}_T{}_clip{}.mp4", 3, 2, 3), 6, "numbered parts"),
    ],
)
def test_names_of_recordings_are_recognised_and_shown(names, groups, form):
    found = find_groups(of_classes(*names), None)
    assert len(set(found.groups)) == groups
    assert f"read as {form}" in found.origin
    assert "such as" in found.origin
    assert "give --data.group" in found.origin


@pytest.mark.parametrize(
    "names",
    [
        numbered("CLASS_{:04}.mp4", 40),
        numbered("CLASS_clip_{}.mp4", 40),  # without the check, each class would be one group
        numbered("CLASS/{}.mp4", 40),
        numbered("CLASS/VID_20210501_{}3005.mp4", 9),
        ["CLASS/14aa451c-a69c-fb85-d432-f8db6a174c1c.mp4", "CLASS/21e15094-9efe-e464-da90-123456789012.mp4"],
        numbered("CLASS/cam_a_{}.mp4", 9) + [f"CLASS/normal{n}.mp4" for n in range(9)],
    ],
)
def test_counters_are_no_recordings(names):
    found = find_groups(of_classes(*names), None)
    assert found.groups is None
    assert "not read as" not in found.origin


def test_a_class_in_one_large_group_is_not_believed():
    names = [(f"cam{n % 5}_{n}.mp4", 0) for n in range(20)] + [(f"normal_{n}.mp4", 1) for n in range(20)]
    assert find_groups([LabelledVideo(Path(name), label, name) for name, label in names], None).groups is None


def test_few_groups_are_not_believed_but_named():
    found = find_groups(of_classes(*numbered("CLASS/cam{}_{}.mp4", 2, 9)), None)
    assert found.groups is None
    assert "not read as a recording and a number (NAME_3), such as 'cam1' and 'cam2'" in found.origin


@pytest.mark.parametrize("names", [["left_1.mp4", "left_2.mp4"], ["v_Run_g01_c01.avi", "other.avi"]])
def test_unknown_name_patterns_give_no_groups(clips, names):
    found = find_groups(clips(*names), None)
    assert found.groups is None
    assert "--data.group" in found.origin


def test_a_pattern_over_the_names(clips):
    videos = clips("set1_01_kick.avi", "set1_01_push.avi", "set1_02_kick.avi")
    assert find_groups(videos, r"set\d_(\d+)").groups == ("01", "01", "02")
    assert find_groups(videos, r"set\d_\d+").groups == ("set1_01", "set1_01", "set1_02")


def test_a_file_of_groups(clips, tmp_path):
    file = tmp_path / "groups.csv"
    file.write_text("path,group\nb.mp4,y\na.mp4,x\n")
    assert find_groups(clips("a.mp4", "b.mp4"), str(file)).groups == ("x", "y")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("path,group\na.mp4,x\n", "no group for 1 of 2"), ("name,colour\na.mp4,x\n", "needs a column of paths")],
)
def test_an_incomplete_file_of_groups_is_an_error(clips, tmp_path, content, complaint):
    file = tmp_path / "groups.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=complaint):
        find_groups(clips("a.mp4", "b.mp4"), str(file))


@pytest.mark.parametrize(("setting", "complaint"), [("scene", "does not match"), ("(", "a regular expression")])
def test_an_invalid_setting_is_an_error(clips, setting, complaint):
    with pytest.raises(DataError, match=complaint):
        find_groups(clips("a.mp4", "b.mp4", setting=setting), setting)
