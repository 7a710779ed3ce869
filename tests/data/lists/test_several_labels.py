"""Lists whose videos have several labels: the forms that are read, what makes a list multi-label, what is refused."""

import json
from pathlib import Path

import pytest

from side4video.checking.entries import read_entries
from side4video.config import ConfigError, DataConfig
from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.tasks.recognition.data import read_data

FAULTS = Path(__file__).parents[3] / "../shared/data/faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def labels(source: Path, **options) -> dict[str, set[str]]:
    found = read_video_list(source, **options)
    assert found.multi_label
    assert all(video.label is None for video in found.videos)
    return {video.name: {found.class_names[label] for label in video.labels} for video in found.videos}


class TestSeparators:
    @pytest.mark.parametrize("separator", ["|", ";", " ; ", ",", ", "])
    def test_of_a_column(self, tmp_path, separator):
        source = write(tmp_path / "a.csv", f'video,label\na.mp4,"run{separator}jump"\nb.mp4,run\nc.mp4,\n')
        assert labels(source, multi_label=True) == {"a.mp4": {"run", "jump"}, "b.mp4": {"run"}, "c.mp4": set()}

    def test_the_stated_one(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,label\na.mp4,run/jump\nb.mp4,walk; fast\n")
        assert labels(source, label_separator="/") == {"a.mp4": {"run", "jump"}, "b.mp4": {"walk; fast"}}
        assert "Labels are separated by '/'." in read_video_list(source, label_separator="/").notes

    def test_two_separators_need_a_statement(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,label\na.mp4,run|jump\nb.mp4,walk; fast\n")
        with pytest.raises(DataError, match=r"'\|' and ';', such as 'run\|jump', 'walk; fast'.*--data.label-separator"):
            read_video_list(source, multi_label=True)
        assert labels(source, label_separator="|")["b.mp4"] == {"walk; fast"}

    @pytest.mark.parametrize("line", ["a b.mp4 0,2", "a b.mp4 0 2", "a b.mp4,0,2", "a b.mp4\t0;2", "a b.mp4::0 2"])
    def test_numbers_in_a_plain_list(self, tmp_path, line):
        source = write(tmp_path / "a.txt", f"{line}\n{line.replace('a b', 'c').replace('2', '1')}\n")
        assert labels(source, multi_label=True) == {"a b.mp4": {"0", "2"}, "c.mp4": {"0", "1"}}

    @needs_faults
    def test_a_list_of_another_tool(self):
        assert labels(FAULTS / "unknown_header/multilabel.txt", multi_label=True) == {
            "a.mp4": {"0", "2"},
            "b.mp4": {"1", "2"},
        }

    @pytest.mark.parametrize(
        "rows", ["a.mp4,run|jump\nb.mp4,run", "a.mp4,0;2\nb.mp4,1", 'a.mp4,"a,b"\nb.mp4,a\nc.mp4,b']
    )
    def test_labels_that_look_like_several_are_refused(self, tmp_path, rows):
        source = write(tmp_path / "a.csv", f"video,label\n{rows}\n")
        with pytest.raises(DataError, match=r"several labels for one video, such as .* --data\.multi-label true"):
            read_video_list(source)

    def test_names_with_a_bar_are_kept_if_stated(self, tmp_path):
        found = read_video_list(write(tmp_path / "a.csv", "video,label\na,run|jump\nb,run\n"), multi_label=False)
        assert (found.class_names, found.multi_label) == (("run", "run|jump"), False)

    def test_names_with_separators_are_names(self, tmp_path):
        source = write(tmp_path / "a.csv", 'video,label\na.mp4,"hold, then let go"\nb.mp4,let go\n')
        assert read_video_list(source).class_names == ("hold, then let go", "let go")


class TestForms:
    def test_json_lists(self, tmp_path):
        rows = [
            {"video": "a", "labels": ["run", "jump, high"]},
            {"video": "b", "labels": []},
            {"video": "c", "labels": "run"},
        ]
        source = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
        assert labels(source) == {"a": {"run", "jump, high"}, "b": set(), "c": {"run"}}
        assert any(
            note.startswith("Several labels per video (multi-label): 0 to 2") for note in read_video_list(source).notes
        )

    def test_json_lists_of_numbers(self, tmp_path):
        source = write(tmp_path / "a.jsonl", '{"video": "a", "label": [0, 2]}\n{"video": "b", "label": [1]}\n')
        found = read_video_list(source, class_names=["x", "y", "z"])
        assert [video.labels for video in found.videos] == [(0, 2), (1,)]

    def test_json_lists_of_one_are_single_labels(self, tmp_path):
        source = write(tmp_path / "a.jsonl", '{"video": "a", "label": ["x"]}\n{"video": "b", "label": ["y"]}\n')
        found = read_video_list(source)
        assert ([video.label for video in found.videos], found.multi_label) == ([0, 1], False)
        assert labels(source, multi_label=True) == {"a": {"x"}, "b": {"y"}}

    def test_a_column_per_class(self, tmp_path):
        source = write(
            tmp_path / "a.csv", 'video,Run Fast,"jump, high",note\na.mp4,1,1,x\nb.mp4,0,0.0,y\nc.mp4,TRUE,false,z\n'
        )
        assert labels(source) == {"a.mp4": {"Run Fast", "jump, high"}, "b.mp4": set(), "c.mp4": {"Run Fast"}}
        notes = " ".join(read_video_list(source).notes)
        assert "one column of 0 and 1 for each of 2 classes" in notes
        assert "ignored: 'note'" in notes

    def test_columns_of_0_and_1_next_to_other_labels_are_refused(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,verb,is_cc,valid\na.mp4,run,0,1\nb.mp4,jump,1,1\nc.mp4,run,0,1\n")
        with pytest.raises(DataError, match=r"'verb' may contain the labels.*give --data\.columns label verb\. Other"):
            read_video_list(source)
        assert read_video_list(source, columns={"label": "verb"}).class_names == ("jump", "run")
        assert labels(source, multi_label=True)["b.mp4"] == {"is_cc", "valid"}

    def test_identifiers_are_no_classes(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,id,person_id,run,jump\na.mp4,0,1,1,0\nb.mp4,1,1,0,1\n")
        assert read_video_list(source).class_names == ("run", "jump")

    def test_a_column_per_class_with_one_class_each(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,walk,run\na,1,0\nb,0,1\n")
        found = read_video_list(source)
        assert (found.class_names, [video.label for video in found.videos]) == (("walk", "run"), [0, 1])

    @needs_faults
    def test_a_column_per_class_of_another_tool(self):
        assert labels(FAULTS / "unknown_header/onehot.csv") == {"a.mp4": {"x", "indoor"}, "b.mp4": {"y"}}

    def test_rows_of_one_segment(self, tmp_path):
        text = "video,label,start,end\na.mp4,run,0,1\na.mp4,jump,0,1.0\na.mp4,run,2,3\nb.mp4,jump,,\n"
        source = write(tmp_path / "a.csv", text)
        found = read_video_list(source, multi_label=True)
        assert [(video.name, video.start_seconds, video.labels) for video in found.videos] == [
            ("a.mp4", 0.0, (0, 1)),
            ("a.mp4", 2.0, (1,)),
            ("b.mp4", None, (0,)),
        ]
        for name in ("a.mp4", "b.mp4"):
            write(tmp_path / name, "")
        with pytest.raises(DataError, match=r"1 videos have two labels.* or give --data\.multi-label true"):
            check_video_list(read_video_list(source))

    def test_a_stated_single_label_is_required(self, tmp_path):
        source = write(tmp_path / "a.jsonl", '{"video": "a", "label": ["x", "y"]}\n{"video": "b", "label": []}\n')
        with pytest.raises(DataError, match="2 videos have not exactly one label: 'a: x, y', 'b: none'"):
            read_video_list(source, multi_label=False)

    def test_lists_without_labels_stay_without(self, tmp_path):
        found = read_video_list(write(tmp_path / "a.csv", "video,label\na,\nb,\n"), multi_label=True, class_names=["x"])
        assert [(video.label, video.labels) for video in found.videos] == [(None, None)] * 2

    def test_labels_out_of_range(self, tmp_path):
        source = write(tmp_path / "a.jsonl", '{"video": "a", "label": [0, 7]}\n')
        with pytest.raises(DataError, match="1 labels are outside 0 to 1: 'a 7'"):
            check_video_list(read_video_list(source, class_names=["x", "y"]))


def test_check_data_reads_both_lists_alike(tmp_path):
    train = write(tmp_path / "train.jsonl", '{"video": "a", "labels": ["x", "y"]}\n{"video": "b", "labels": ["y"]}\n')
    test = write(tmp_path / "test.jsonl", '{"video": "c", "labels": ["y"]}\n')
    sets = read_entries(DataConfig(train=train, test=test), "recognition")
    assert [entry.video.labels for one in sets for entry in one.entries] == [(0, 1), (1,), (1,)]


def test_training_on_one_class_is_refused(tmp_path):
    write(tmp_path / "run/a.mp4", "")
    with pytest.raises(DataError, match="has videos of one class, 'run', so there is nothing to tell apart"):
        read_data(DataConfig(train=tmp_path))
    assert read_data(DataConfig(train=tmp_path, arrow_of_time=True)).train is not None
    assert read_data(DataConfig(test=tmp_path)).test is not None


def test_contradicting_settings_are_told_plainly():
    with pytest.raises(ConfigError, match=r"^data\.label_separator = '\|' separates .* leave out one of them\.$"):
        DataConfig(multi_label=False, label_separator="|")
    with pytest.raises(ConfigError, match=r"^shots = 0: Input should be greater than 0$"):
        DataConfig(shots=0)
