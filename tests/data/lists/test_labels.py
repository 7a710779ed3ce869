"""The class of each label: names and numbers in every spelling, and what is refused."""

from pathlib import Path

import pytest

from side4video.data.lists.annotations import DataError, read_video_list
from side4video.data.lists.list_checks import check_video_list
from side4video.data.lists.text_files import ClassIndex

FAULTS = Path(__file__).parents[3] / "../shared/data/faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")


def write_csv(path: Path, labels) -> Path:
    path.write_text("video,label\n" + "".join(f"{index}.mp4,{label}\n" for index, label in enumerate(labels)))
    return path


def classes(path: Path, **options) -> list[str]:
    found = read_video_list(path, **options)
    return [found.class_names[video.label] for video in found.videos]


class TestNumbers:
    def test_floats_and_leading_zeros_are_class_numbers(self, tmp_path):
        """pandas writes 10 as 10.0; sorted as text, class 2 would be 10.0."""
        numbers = list(range(12))
        train = read_video_list(write_csv(tmp_path / "train.csv", [f"{n}.0" for n in numbers]))
        assert [video.label for video in train.videos] == numbers
        assert "Labels such as '0.0' are read as class numbers." in train.notes
        for written in ("{}", "{:02d}", "{}.00"):
            test = write_csv(tmp_path / "test.csv", map(written.format, numbers))
            assert [video.label for video in read_video_list(test, class_names=train.class_names).videos] == numbers

    def test_numbers_with_decimals_are_names(self, tmp_path):
        versions = ["1.0", "1.1", "2.0", "1.0"]
        train = read_video_list(write_csv(tmp_path / "train.csv", versions))
        assert train.class_names == ("1.0", "1.1", "2.0")
        test = write_csv(tmp_path / "test.csv", ["2.0", "1.0"])
        assert classes(test, class_names=train.class_names) == ["2.0", "1.0"]

    def test_minus_one_is_no_label(self, tmp_path):
        found = read_video_list(write_csv(tmp_path / "test.csv", ["-1.0", "0.0"]))
        assert [video.label for video in found.videos] == [None, 0]

    def test_numbers_do_not_index_the_names_of_another_list(self, tmp_path):
        names = read_video_list(write_csv(tmp_path / "train.csv", ["walk", "run"])).class_names
        test = write_csv(tmp_path / "test.csv", [0, 1])
        with pytest.raises(DataError, match=r"class numbers \('0', '1'\), but the classes are names: 'run', 'walk'"):
            read_video_list(test, class_names=names, class_numbers=False)
        assert classes(test, class_names=["walk", "run"]) == ["walk", "run"]  # the caller states the numbering

    def test_numeric_classes_need_no_numbering(self, tmp_path):
        test = write_csv(tmp_path / "test.csv", [10, 2])
        assert classes(test, class_names=["10", "2"], class_numbers=False) == ["10", "2"]

    @needs_faults
    def test_lists_with_float_labels(self):
        folder = FAULTS / "float_labels"
        train = read_video_list(folder / "train.csv")
        test = read_video_list(folder / "test.csv", class_names=train.class_names, class_numbers=False)
        assert [video.label for video in test.videos] == [video.label for video in train.videos] == list(range(12))


class TestMissingLabels:
    """pandas and spreadsheets write missing values as text; a class of that name would be trained."""

    @pytest.mark.parametrize(("labels", "names"), [(["run", "walk"], ("run", "walk")), ([0, 1], ("0", "1"))])
    @pytest.mark.parametrize("missing", ["nan", "NaN", "#N/A", "<NA>"])
    def test_are_no_class(self, tmp_path, labels, names, missing):
        found = read_video_list(write_csv(tmp_path / "train.csv", [*labels, missing]))
        assert found.class_names == names
        assert [video.label for video in found.videos] == [0, 1, None]
        assert any(note.startswith(f"Read as no label: {missing!r}.") for note in found.notes)
        for index in range(3):
            (tmp_path / f"{index}.mp4").touch()
        with pytest.raises(DataError, match=r"1 videos have no label: '2\.mp4'"):
            check_video_list(found)

    def test_are_a_class_if_it_is_given(self, tmp_path):
        found = read_video_list(write_csv(tmp_path / "train.csv", ["run", "N/A"]), class_names=["N/A", "run"])
        assert [video.label for video in found.videos] == [1, 0]

    def test_common_names_of_a_background_class_stay(self, tmp_path):
        assert read_video_list(write_csv(tmp_path / "train.csv", ["none", "run"])).class_names == ("none", "run")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "classes"),
        [
            ("turn +90", ["turn -90"]),
            ("C++", ["C"]),
            ("की", ["का"]),
            ("C", ["C++", "C#"]),
            ("a.b", ["ab"]),
            ("", ["+"]),
        ],
    )
    def test_signs_and_marks_count(self, name, classes):
        assert ClassIndex(classes).find(name) is None

    def test_loose_names_keep_marks(self):
        assert ClassIndex(["का"], loose=True).find("की") is None
        assert (
            ClassIndex(["Holding something, then letting go"], loose=True).find("holding something then letting go")
            == 0
        )

    def test_names_that_a_form_makes_equal_are_unknown(self):
        index = ClassIndex(["Turn_left", "turn left"])
        assert (index.find("Turn_left"), index.find("turn left"), index.find("TURN LEFT")) == (0, 1, None)

    def test_near_names_are_offered(self, tmp_path):
        test = write_csv(tmp_path / "test.csv", ["turn +90"])
        with pytest.raises(DataError, match=r"'turn \+90' is near 'turn -90'"):
            read_video_list(test, class_names=["stay", "turn -90"])

    def test_another_spelling_is_reported(self, tmp_path):
        test = write_csv(tmp_path / "test.csv", ["Turn_Left", "stay"])
        found = read_video_list(test, class_names=["stay", "turn left"])
        assert [video.label for video in found.videos] == [1, 0]
        assert "Classes with another spelling: 'Turn_Left' = 'turn left'." in found.notes

    def test_unicode_forms_are_one_class(self, tmp_path):
        composed, decomposed = "Schl\u00e4ge", "Schla\u0308ge"
        found = read_video_list(write_csv(tmp_path / "train.csv", [composed, decomposed, f"{composed} "]))
        assert found.class_names == (composed,)
        assert read_video_list(write_csv(tmp_path / "t.csv", [composed]), class_names=[decomposed]).videos[0].label == 0

    @needs_faults
    def test_an_unknown_class_is_refused(self):
        folder = FAULTS / "signs"
        with pytest.raises(DataError, match=r"not among the 2 given ones: 'turn \+90'"):
            read_video_list(folder / "test.csv", class_names=read_video_list(folder / "train.csv").class_names)
