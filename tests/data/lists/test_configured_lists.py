"""The lists that the settings name: splits, numbering, and evaluation videos among the training videos."""

import shutil
from pathlib import Path

import pytest

from side4video.config import DataConfig
from side4video.data.lists.annotations import DataError, LabelledVideo
from side4video.data.lists.configured_lists import read_configured_list
from side4video.data.lists.overlap import check_overlap
from side4video.tasks.recognition.data import read_data

FAULTS = Path(__file__).parents[3] / "../shared/data/faults"


def names(source: Path, **settings) -> dict[str, list[str]]:
    config = DataConfig(train=source, test=source, **settings)
    return {split: [video.name for video in read_configured_list(config, split).videos] for split in ("train", "test")}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class TestSplits:
    @pytest.mark.parametrize("column", ["split", "Subset", "set", "partition"])
    @pytest.mark.parametrize("test", ["test", "val", "Validation"])
    def test_one_csv_for_both(self, tmp_path, column, test):
        source = write(tmp_path / "all.csv", f"video,label,{column}\na.mp4,x,train\nb.mp4,y,{test}\nc.mp4,y,Train\n")
        assert names(source) == {"train": ["a.mp4", "c.mp4"], "test": ["b.mp4"]}

    def test_the_split_is_reported(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label,split\na.mp4,x,train\nb.mp4,y,test\nc.mp4,y,\n")
        notes = read_configured_list(DataConfig(train=source), "train").notes
        assert "Split 'train' of the column 'split': 1 of 3 rows; others: 'test' (1), 'none' (1)." in notes

    @pytest.mark.parametrize(
        ("column", "train", "test"),
        [
            ("phase", "Training", "Testing"),
            ("data_split", "train_set", "Test set"),
            ("usage", "trn", "tst"),
            ("is_train", "True", "False"),
            ("Is Test", "0", "1"),
        ],
    )
    def test_columns_of_splits_with_other_names(self, tmp_path, column, train, test):
        rows = f"a.mp4,x,{train}\nb.mp4,y,{train}\nc.mp4,x,{test}\nd.mp4,y,{test}\n"
        source = write(tmp_path / "all.csv", f"video,label,{column}\n{rows}")
        assert names(source) == {"train": ["a.mp4", "b.mp4"], "test": ["c.mp4", "d.mp4"]}

    def test_several_columns_of_splits_need_one(self, tmp_path):
        rows = "a.mp4,x,1,0\nb.mp4,y,0,1\nc.mp4,x,0,0\n"
        source = write(tmp_path / "all.csv", f"video,label,is_train,is_val\n{rows}")
        with pytest.raises(DataError, match=r"the columns 'is_train', 'is_val' look like splits\. Give --data"):
            names(source)
        assert names(source, columns={"split": "is_train"}) == {"train": ["a.mp4"], "test": ["b.mp4", "c.mp4"]}

    def test_columns_of_one_word_are_no_splits(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label,vehicle,quality\na.mp4,x,train,valid\nb.mp4,y,bus,valid\n")
        assert names(source)["train"] == ["a.mp4", "b.mp4"]

    def test_both_spellings_of_a_split_are_read(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label,split\na.mp4,x,train\nb.mp4,y,Training\nc.mp4,y,test\n")
        assert names(source)["train"] == ["a.mp4", "b.mp4"]

    def test_two_kinds_of_validation_are_refused(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label,split\na.mp4,x,train\nb.mp4,y,dev\nc.mp4,y,eval\n")
        with pytest.raises(DataError, match="several splits for 'test', 'dev', 'eval'"):
            read_configured_list(DataConfig(test=source), "test")

    def test_a_list_of_another_split_is_reported(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label,split\na.mp4,x,test\nb.mp4,y,test\n")
        note = "All rows have the split 'test' (column 'split'); they are read for train."
        assert note in read_configured_list(DataConfig(train=source), "train").notes
        assert note not in read_configured_list(DataConfig(test=source), "test").notes

    def test_unknown_splits_are_refused(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label,split\na.mp4,x,1\nb.mp4,y,2\n")
        with pytest.raises(DataError, match="no split 'train'; its splits are '1', '2'"):
            read_configured_list(DataConfig(train=source), "train")

    def test_a_column_with_one_split_is_read_whole(self, tmp_path):
        source = write(tmp_path / "train.csv", "video,label,split\na.mp4,x,train\nb.mp4,y,train\n")
        assert names(source)["test"] == ["a.mp4", "b.mp4"]

    def test_kinetics(self, tmp_path):
        rows = "run,aaaaaaaaaaa,0,10,train\nwalk,bbbbbbbbbbb,0,10,val\n"
        source = write(tmp_path / "all.csv", f"label,youtube_id,time_start,time_end,split\n{rows}")
        assert names(source) == {"train": ["aaaaaaaaaaa_000000_000010"], "test": ["bbbbbbbbbbb_000000_000010"]}

    def test_ucf101_is_detected(self, tmp_path):
        write(tmp_path / "classInd.txt", "1 Archery\n2 Punch\n")
        write(tmp_path / "trainlist01.txt", "Archery/a.avi 1\n")
        write(tmp_path / "testlist01.txt", "Punch/b.avi\n")
        assert names(tmp_path) == {"train": ["Archery/a.avi"], "test": ["Punch/b.avi"]}

    def test_folders(self, tmp_path):
        write(tmp_path / "train/x/a.mp4", "")
        write(tmp_path / "valid/x/b.mp4", "")
        assert names(tmp_path) == {"train": ["train/x/a.mp4"], "test": ["valid/x/b.mp4"]}

    @pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")
    def test_a_list_with_a_split_column(self):
        source = FAULTS / "split_column/all.csv"
        data = read_data(DataConfig(train=source, test=source))
        assert [video.name for video in data.train.videos] == ["a.mp4", "b.mp4"]
        assert [video.name for video in data.test.videos] == ["c.mp4", "d.mp4"]


class TestNumbering:
    @pytest.fixture
    def lists(self, tmp_path):
        for name in ("a", "b", "c", "d"):
            write(tmp_path / f"{name}.mp4", name)
        train = write(tmp_path / "train.csv", "video,label\na.mp4,walk\nb.mp4,run\n")
        return {"train": train, "test": write(tmp_path / "test.csv", "video,label\nc.mp4,0\nd.mp4,1\n")}

    def test_names_and_numbers_need_a_stated_numbering(self, lists, tmp_path):
        with pytest.raises(DataError, match="The numbering is unknown"):
            read_data(DataConfig(**lists))
        names = write(tmp_path / "names.txt", "walk\nrun\n")
        data = read_data(DataConfig(**lists, class_names=names))
        assert [data.class_names[video.label] for video in data.test.videos] == ["walk", "run"]

    def test_an_adapter_with_names_needs_one_too(self, lists, tmp_path):
        config = DataConfig(test=lists["test"])
        with pytest.raises(DataError, match="The numbering is unknown"):
            read_data(config, class_names=("run", "walk"))
        assert read_data(config, class_names=("0", "1")).test.videos[1].label == 1


class TestOverlap:
    def test_the_same_list_is_refused(self, tmp_path):
        source = write(tmp_path / "all.csv", "video,label\na.mp4,x\nb.mp4,y\n")
        for name in "ab":
            write(tmp_path / f"{name}.mp4", name)
        with pytest.raises(DataError, match=r"2 of 2 evaluation videos are also training videos: 'a.mp4', 'b.mp4'"):
            read_data(DataConfig(train=source, test=source))
        data = read_data(DataConfig(train=source, test=source, overlap="allow"))
        assert [warning for warning in data.warnings if "also training videos" in warning]

    def test_copies_and_links(self, tmp_path):
        contents = {"a": "one", "b": "two", "c": "six"}
        videos = {name: write(tmp_path / name, text * 400) for name, text in contents.items()}
        shutil.copy(videos["a"], tmp_path / "copy")
        (tmp_path / "link").symlink_to(videos["b"])
        train = [LabelledVideo(videos[name], 0, name) for name in "ab"]
        test = [LabelledVideo(tmp_path / name, 0, name) for name in ("copy", "link", "c")]
        with pytest.raises(DataError, match=r"2 of 3 .*'copy', 'link'\."):
            check_overlap(train, test, overlap="refuse")
        assert check_overlap(train, test[2:], overlap="refuse") == []

    def test_pages_of_failed_downloads_are_no_copies(self, tmp_path):
        train, test = (LabelledVideo(write(tmp_path / name, "<html>gone</html>"), 0, name) for name in "ab")
        assert check_overlap([train], [test], overlap="refuse") == []

    def test_parts_of_one_file(self):
        def part(start, end):
            return LabelledVideo(Path("a.mp4"), 0, f"{start}", start, end)

        assert check_overlap([part(0.0, 5.0)], [part(5.0, 9.0)], overlap="refuse") == []
        with pytest.raises(DataError, match="1 of 2"):
            check_overlap([part(0.0, 5.0)], [part(5.0, 9.0), part(4.0, None)], overlap="refuse")


class TestSharedRecordings:
    def warnings(self, tmp_path, train: str, test: str, **settings) -> str:
        for name in ("v_x_g01_c01", "v_x_g01_c02", "v_y_g02_c01", "v_y_g03_c01"):
            write(tmp_path / f"{name}.mp4", name)
        config = DataConfig(train=write(tmp_path / "a.csv", train), test=write(tmp_path / "b.csv", test), **settings)
        return " ".join(read_data(config).warnings)

    TRAIN = "video,label\nv_x_g01_c01.mp4,x\nv_y_g02_c01.mp4,y\n"

    def test_names_of_public_data_sets(self, tmp_path):
        found = self.warnings(tmp_path, self.TRAIN, "video,label\nv_x_g01_c02.mp4,x\nv_y_g03_c01.mp4,y\n")
        assert "1 of 2 evaluation videos are of recordings with training videos: 'v_x_g01' (names, read as UCF" in found
        assert "recordings" not in self.warnings(tmp_path, self.TRAIN, "video,label\nv_y_g03_c01.mp4,y\n")

    def test_a_column(self, tmp_path):
        train = "video,label,group\nv_x_g01_c01.mp4,x,mon\nv_y_g02_c01.mp4,y,tue\n"
        test = "video,label,group\nv_x_g01_c02.mp4,x,wed\nv_y_g03_c01.mp4,y,tue\n"
        assert "training videos: 'tue' (column group of the list)" in self.warnings(tmp_path, train, test)

    def test_a_pattern(self, tmp_path):
        test = "video,label\nv_y_g03_c01.mp4,y\n"
        assert "training videos: 'c01'" in self.warnings(tmp_path, self.TRAIN, test, group="c[0-9]+")

    def test_segments_of_one_file(self, tmp_path):
        header = "video,label,start,end\n"
        train = f"{header}v_x_g01_c01.mp4,x,0,1\nv_y_g02_c01.mp4,y,0,1\n"
        found = self.warnings(tmp_path, train, f"{header}v_y_g02_c01.mp4,y,2,3\n")
        assert "1 of 1 evaluation videos are of recordings with training videos: " in found
        assert "v_y_g02_c01.mp4' (files of segments)" in found

    def test_one_class_with_videos_is_refused(self, tmp_path):
        for name in ("train/x/a.mp4", "train/notes/a.txt"):
            write(tmp_path / name, name)
        with pytest.raises(DataError, match="has videos of one class, 'x', so there is nothing to tell apart"):
            read_data(DataConfig(train=tmp_path / "train"))
